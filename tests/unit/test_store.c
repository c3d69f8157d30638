/*
 * The store module against a real redis-server on a unix socket: commands and their replies,
 * functions that the server has forgotten, and that every command ends exactly once even if the
 * connection breaks.
 */
#include "store_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void on_key(void *arg, const char *key, size_t n)
{
    struct outcome *outcome = arg;
    assert_true(n > 4 && !memcmp(key, "key:", 4));
    outcome->f->n_keys++;
}

static void test_eval(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    assert_string_equal(store_warning(f->store), "");
    check_eval(f, "hello", STORE_OK, "{d}k,{d}second=hello");
    check_eval(f, "", STORE_OK, "{d}k,{d}second=");
    check_eval(f, "nil", STORE_NIL, "");
    check_eval(f, "error", STORE_REFUSED, "OOPS said the function");
    check_eval(f, "integer", STORE_REFUSED, "unexpected reply type");

    struct outcome outcome = {.f = f};
    assert_int_equal(
        store_call(f->store, FUNCTION_AUDIT, 0, NULL, NULL, "me", 2, on_reply, &outcome), 0);
    WAIT_FOR(f, outcome.calls);
    assert_int_equal(outcome.status, STORE_OK);
    assert_string_equal(outcome.data, "audit me");
    assert_string_equal(f->states, "R");
}

static void test_large_binary_argument(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    f->settings.timeout_ms = 10000;
    open_ready(f);
    const size_t n = 3 << 20;
    char *bytes = calloc(1, n);
    assert_non_null(bytes);
    bytes[n - 1] = 'z';
    for (int i = 0; i < 3; i++) {
        struct outcome outcome = {.f = f};
        const char *const keys[] = {"k"};
        const size_t sizes[] = {1};
        assert_int_equal(
            store_call(f->store, FUNCTION_DECIDE, 1, keys, sizes, bytes, n, on_reply, &outcome), 0);
        WAIT_FOR(f, outcome.calls);
        assert_string_equal(outcome.data, "3145728z");
    }
    free(bytes);
}

static void test_hget(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    ask(f, "HSET h field value");
    ask(f, "SET s 1");
    struct outcome outcomes[3] = {{.f = f}, {.f = f}, {.f = f}};
    assert_int_equal(store_hget(f->store, "h", 1, "field", 5, on_reply, &outcomes[0]), 0);
    assert_int_equal(store_hget(f->store, "h", 1, "other", 5, on_reply, &outcomes[1]), 0);
    assert_int_equal(store_hget(f->store, "s", 1, "field", 5, on_reply, &outcomes[2]), 0);
    WAIT_FOR(f, outcomes[2].calls);
    assert_int_equal(outcomes[0].status, STORE_OK);
    assert_string_equal(outcomes[0].data, "value");
    assert_int_equal(outcomes[1].status, STORE_NIL);
    assert_int_equal(outcomes[2].status, STORE_REFUSED);
    assert_int_equal(strncmp(outcomes[2].data, "WRONGTYPE", 9), 0);
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    for (int i = 0; i < 3500; i++) {
        char command[64];
        snprintf(command, sizeof command, "SET %s:%d x", i % 7 ? "key" : "other", i);
        ask(f, command);
    }
    char cursor[32] = "0";
    int steps = 0;
    do {
        struct outcome outcome = {.f = f};
        assert_int_equal(store_scan(f->store, cursor, "key:*", on_key, on_reply, &outcome), 0);
        WAIT_FOR(f, outcome.calls);
        assert_int_equal(outcome.status, STORE_OK);
        snprintf(cursor, sizeof cursor, "%.20s", outcome.data);
        steps++;
    } while (strcmp(cursor, "0") != 0);
    assert_int_equal(f->n_keys, 3000);
    assert_true(steps > 1);

    struct outcome outcome = {.f = f};
    assert_int_equal(store_scan(f->store, "rubbish", "*", on_key, on_reply, &outcome), 0);
    WAIT_FOR(f, outcome.calls);
    assert_int_equal(outcome.status, STORE_REFUSED);
}

static void test_forgotten_functions_are_loaded_once_and_nobody_notices(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    for (int round = 1; round <= 3; round++) {
        struct outcome outcomes[20];
        ask(f, round == 2 ? "FUNCTION DELETE ration_test" : "FUNCTION FLUSH");
        for (int i = 0; i < 20; i++)
            assert_int_equal(eval(f, &outcomes[i], "{d}counter", "count"), 0);
        for (int i = 0; i < 20; i++) {
            WAIT_FOR(f, outcomes[i].calls);
            assert_int_equal(outcomes[i].calls, 1);
            assert_int_equal(outcomes[i].status, STORE_OK);
            assert_int_equal(atoi(outcomes[i].data), (round - 1) * 20 + i + 1);
        }
        char *info = own_redis_ask(f->redis.socket, "INFO commandstats");
        char wanted[64];
        snprintf(wanted, sizeof wanted, "cmdstat_function|load:calls=%d,", 1 + round);
        assert_non_null(strstr(info, wanted));
        free(info);
    }
    assert_string_equal(f->states, "R");
}

static void test_a_late_reply_is_a_loss_once_and_the_store_comes_back(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    check_eval(f, "before", STORE_OK, "");
    struct outcome first, second;
    kill(f->redis.pid, SIGSTOP);
    uint64_t begin = own_now_ms();
    assert_int_equal(eval(f, &first, "{d}k", "first"), 0);
    assert_int_equal(eval(f, &second, "{d}k", "second"), 0);
    WAIT_FOR(f, first.calls && second.calls);
    uint64_t took = own_now_ms() - begin;
    assert_int_equal(first.status, STORE_LOST);
    assert_int_equal(second.status, STORE_LOST);
    assert_string_equal(f->states, "RN");
    assert_non_null(strstr(store_trouble(f->store), "no reply within 250 ms"));
    assert_true(took >= TIMEOUT_MS - 1 && took < 10UL * TIMEOUT_MS);
    struct outcome third;
    assert_int_equal(eval(f, &third, "{d}k", "third"), -1);

    /* The kernel accepts connections for a stopped process, but nobody answers the greeting. */
    wait_for_trouble(f, "no answer within");
    kill(f->redis.pid, SIGCONT);
    WAIT_FOR(f, store_ready(f->store));
    check_eval(f, "after", STORE_OK, "{d}k,{d}second=after");
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(third.calls, 0);
    assert_string_equal(f->states, "RNR");
}

static void test_a_killed_store_is_a_loss_and_comes_back_empty(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    f->settings.timeout_ms = DEADLINE_MS;
    open_ready(f);
    struct outcome outcomes[3];
    kill(f->redis.pid, SIGSTOP);
    for (int i = 0; i < 3; i++)
        assert_int_equal(eval(f, &outcomes[i], "{d}k", "x"), 0);
    for (int i = 0; i < 3; i++) /* written, not only queued */
        event_base_loop(f->base, EVLOOP_ONCE);
    own_redis_kill(&f->redis);
    for (int i = 0; i < 3; i++) {
        WAIT_FOR(f, outcomes[i].calls);
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].status, STORE_LOST);
    }
    wait_for_trouble(f, "cannot connect");
    own_redis_start(&f->redis, NULL);
    WAIT_FOR(f, store_ready(f->store));
    check_eval(f, "again", STORE_OK, "{d}k,{d}second=again");

    /* Idle, nothing in flight. */
    own_redis_kill(&f->redis);
    WAIT_FOR(f, !store_ready(f->store));
    assert_string_equal(f->states, "RNRN");
}

static void test_a_full_store_refuses(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    ask(f, "CONFIG SET maxmemory 1");
    check_eval(f, "write", STORE_REFUSED, "OOM");
    assert_true(store_ready(f->store));
    assert_string_equal(f->states, "R");
}

static void test_free_with_commands_in_flight(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    struct outcome outcomes[3];
    kill(f->redis.pid, SIGSTOP);
    for (int i = 0; i < 3; i++)
        assert_int_equal(eval(f, &outcomes[i], "{d}k", "x"), 0);
    event_base_loop(f->base, EVLOOP_ONCE);
    store_free(f->store);
    f->store = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].status, STORE_LOST);
    }
    /* While connecting. */
    open_store(f);
    event_base_loop(f->base, EVLOOP_ONCE);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_eval),
        STORE_TEST(test_large_binary_argument),
        STORE_TEST(test_hget),
        STORE_TEST(test_scan),
        STORE_TEST(test_forgotten_functions_are_loaded_once_and_nobody_notices),
        STORE_TEST(test_a_late_reply_is_a_loss_once_and_the_store_comes_back),
        STORE_TEST(test_a_killed_store_is_a_loss_and_comes_back_empty),
        STORE_TEST(test_a_full_store_refuses),
        STORE_TEST(test_free_with_commands_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
