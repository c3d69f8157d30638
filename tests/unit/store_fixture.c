/* Two small functions stand in for the real library, so that these tests cover only the store
 * module. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define LIBRARY                                                                                    \
    "#!lua name=ration_test\n"                                                                     \
    "redis.register_function('ration_test', function(keys, args)\n"                                \
    "local what = args[1]\n"                                                                       \
    "if what == 'nil' then return false end\n"                                                     \
    "if what == 'integer' then return 7 end\n"                                                     \
    "if what == 'error' then return redis.error_reply('OOPS said the function') end\n"             \
    "if what == 'write' then redis.call('SET', keys[1], 'x') end\n"                                \
    "if what == 'count' then return tostring(redis.call('INCR', keys[1])) end\n"                   \
    "if #what > 100 then return tostring(#what) .. what:sub(-1) end\n"                             \
    "return table.concat(keys, ',') .. '=' .. what\n"                                              \
    "end)\n"                                                                                       \
    "redis.register_function('ration_test_audit', function(keys, args)\n"                          \
    "return 'audit ' .. args[1]\n"                                                                 \
    "end)\n"

extern const char ration_library_lua[];
extern const unsigned long ration_library_lua_size;
const char ration_library_lua[] = LIBRARY;
const unsigned long ration_library_lua_size = sizeof LIBRARY - 1;

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void on_state(void *arg, bool ready)
{
    struct fixture *f = arg;
    size_t n = strlen(f->states);
    assert_false(f->sending);
    assert_int_equal(ready, store_ready(f->store));
    assert_true(n < sizeof f->states - 1);
    f->states[n] = ready ? 'R' : 'N';
}

void on_reply(void *arg, enum store_status status, const char *data, size_t n)
{
    struct outcome *outcome = arg;
    assert_false(outcome->f->sending);
    outcome->calls++;
    outcome->status = status;
    snprintf(outcome->data, sizeof outcome->data, "%.*s", (int)n, data);
}

int store_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    own_redis_open(&f->redis);
    f->base = event_base_new();
    f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
    struct timeval tv = {.tv_usec = TICK_MS * 1000L};
    event_add(f->tick, &tv);
    f->settings = (struct config_store){
        .kind = STORE_UNIX, .url = "test", .path = f->redis.socket, .timeout_ms = TIMEOUT_MS};
    *state = f;
    return 0;
}

int store_teardown(void **state)
{
    struct fixture *f = *state;
    store_free(f->store);
    event_free(f->tick);
    event_base_free(f->base);
    own_redis_close(&f->redis);
    free(f);
    return 0;
}

void open_store(struct fixture *f)
{
    f->sending = true; /* no callback may come from inside */
    f->store = store_new(f->base, &f->settings, on_state, f);
    f->sending = false;
    assert_non_null(f->store);
}

void open_ready(struct fixture *f)
{
    open_store(f);
    WAIT_FOR(f, store_ready(f->store));
    assert_string_equal(store_trouble(f->store), "");
    assert_string_equal(f->states, "R");
}

void wait_for_trouble(struct fixture *f, const char *words)
{
    WAIT_FOR(f, strstr(store_trouble(f->store), words));
    assert_false(store_ready(f->store));
}

int eval(struct fixture *f, struct outcome *outcome, const char *key, const char *argument)
{
    const char *const keys[] = {key, "{d}second"};
    const size_t sizes[] = {strlen(key), strlen("{d}second")};
    *outcome = (struct outcome){.f = f};
    f->sending = true;
    int err = store_call(f->store, FUNCTION_DECIDE, 2, keys, sizes, argument, strlen(argument),
                         on_reply, outcome);
    f->sending = false;
    return err;
}

void check_eval(struct fixture *f, const char *argument, enum store_status status, const char *data)
{
    struct outcome outcome;
    assert_int_equal(eval(f, &outcome, "{d}k", argument), 0);
    WAIT_FOR(f, outcome.calls);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.status, status);
    if (strncmp(outcome.data, data, strlen(data)) != 0)
        fail_msg("%s, not %s", outcome.data, data);
}

void ask(struct fixture *f, const char *command)
{
    char *text = own_redis_ask(f->redis.socket, command);
    assert_non_null(text);
    free(text);
}
