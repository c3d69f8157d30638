/*
 * The store's states and its one connection.
 *
 *     down -> connecting -> ready
 *                 |  ^        |
 *                 v  |        v
 *              backing off <--+
 *
 * The normal path: the host's name is looked up (only if it is a name), hiredis connects without
 * blocking, the greeting (store_greeting.c) is answered, and the store is ready. `connecting` has
 * one timeout for connection and greeting together; looking up a name has none, because the
 * resolver ends by itself.
 *
 * Every failure ends in store_leave(): it lets the context go, keeps and logs the reason, and
 * schedules the next attempt after a delay that doubles, with jitter so that many servers do not
 * return in step.
 *   - refused, or not connected in time: on_connect with a bad status, or the timer
 *   - the greeting is answered with an error: store_greeting.c
 *   - the connection breaks: the first command's callback with NULL, or on_disconnect
 *   - a reply is late: on_watch, because all later replies would be out of step
 *   - the store says READONLY, LOADING, ...: store_command.c
 *
 * Letting a context go sets its `data` to NULL: every callback of ours checks that first, so
 * whatever hiredis still calls (all pending commands, with NULL, from redisAsyncFree or after it)
 * has no effect. Commands live on our own list and are called back from there. A context is never
 * freed inside on_connect: hiredis 0.14 continues to use it, and frees it itself if the connection
 * failed.
 */
#include "store/store_inner.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <hiredis/adapters/libevent.h>

#include "log.h"
#include "store/store_lookup.h"

enum {
    CONNECT_MS = 3000, /* connection and greeting together; enough for one lost SYN */
    BACK_OFF_MIN_MS = 50,
    BACK_OFF_MAX_MS = 2000,
    STEADY_MS = 5000,        /* after being ready this long, the next failure counts as the first */
    SAME_TROUBLE_MS = 30000, /* before the same trouble is logged again */
    KEEPALIVE_IDLE_S = 15,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_PROBES = 3,
};

static const bool allowed_moves[STATE_COUNT][STATE_COUNT] = {
    [STATE_DOWN] = {[STATE_CONNECTING] = true},
    [STATE_CONNECTING] = {[STATE_READY] = true, [STATE_BACKING_OFF] = true},
    [STATE_READY] = {[STATE_BACKING_OFF] = true},
    [STATE_BACKING_OFF] = {[STATE_CONNECTING] = true},
};

static void connect_start(struct store *store);

static void set_state(struct store *store, enum store_state state)
{
    bool allowed = allowed_moves[store->state][state];
    assert(allowed);
    (void)allowed;
    store->state = state;
}

void store_set_timer(struct event *event, uint64_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(event, &tv);
}

/* A random time between half the delay and all of it. */
static unsigned back_off_ms(unsigned failures)
{
    unsigned delay = BACK_OFF_MAX_MS;
    if (failures < 6)
        delay = (unsigned)BACK_OFF_MIN_MS << failures;
    if (delay > BACK_OFF_MAX_MS)
        delay = BACK_OFF_MAX_MS;
    uint32_t random = 0;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    return delay / 2 + random % (delay / 2 + 1);
}

/* Logs a store that stays away once in a while, not at every attempt. */
static void log_trouble(struct store *store, bool was_ready, unsigned delay_ms)
{
    uint64_t now = clock_ms();
    if (!was_ready && !strcmp(store->trouble, store->logged) &&
        now - store->logged_ms < SAME_TROUBLE_MS)
        return;
    memcpy(store->logged, store->trouble, sizeof store->logged);
    store->logged_ms = now;
    log_warn(was_ready ? "store lost" : "store not ready", "url=%s retry_ms=%u reason=\"%s\"",
             store->settings->url ? store->settings->url : "", delay_ms, store->trouble);
}

const char *store_context_error(const redisAsyncContext *context)
{
    const struct store *store = context->data;
    if (store && store->nonsense)
        return store->nonsense;
    /* hiredis 0.14 has not yet copied anything to the outer fields when it calls on_connect. */
    if (context->err && context->errstr && context->errstr[0])
        return context->errstr;
    if (context->c.errstr[0])
        return context->c.errstr;
    return "the connection was closed";
}

/* From here on this context's callbacks have no effect. */
static void context_let_go(struct store *store, enum context_end end)
{
    redisAsyncContext *context = store->context;
    store->context = NULL;
    if (!context)
        return;
    context->data = NULL;
    /* Inside a reply's callback this only marks it; hiredis frees it afterwards. */
    if (end == CONTEXT_OURS)
        redisAsyncFree(context);
}

static void leave(struct store *store, enum context_end end)
{
    bool was_ready = store->state == STATE_READY;
    assert(was_ready || !store->in_flight.first);
    context_let_go(store, end);
    store_lookup_cancel(store->lookup);
    store->lookup = NULL;
    set_state(store, STATE_BACKING_OFF);
    store->reloading = false;
    struct store_command *command;
    while ((command = store_command_list_take(&store->in_flight)))
        store_command_list_append(&store->lost, command);
    event_del(store->watch);

    if (was_ready && clock_ms() - store->ready_since_ms >= STEADY_MS)
        store->failures = 0;
    unsigned delay_ms = back_off_ms(store->failures++);
    log_trouble(store, was_ready, delay_ms);
    store_set_timer(store->timer, delay_ms);
}

void store_leave(struct store *store, enum context_end end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(store->trouble, sizeof store->trouble, format, args);
    va_end(args);
    leave(store, end);
}

void store_break(struct store *store, enum context_end end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(store->trouble, sizeof store->trouble, format, args);
    va_end(args);
    leave(store, end);
    store_tell(store);
}

static void tell_state(struct store *store, bool ready)
{
    if (store->told_ready == ready)
        return;
    store->told_ready = ready;
    store->calling++;
    if (store->on_state)
        store->on_state(store->state_arg, ready);
    store->calling--;
}

/* The state first: whoever hears of a loss must find a store that accepts nothing. */
void store_tell(struct store *store)
{
    tell_state(store, store->state == STATE_READY);
    struct store_command *command;
    while ((command = store_command_list_take(&store->lost)))
        store_command_finish(store, command, STORE_LOST, store->trouble, strlen(store->trouble));
}

void store_set_ready(struct store *store)
{
    assert(store->context && !store->in_flight.first && !store->lost.first);
    set_state(store, STATE_READY);
    event_del(store->timer);
    store->trouble[0] = store->logged[0] = '\0';
    store->ready_since_ms = clock_ms();
    log_info("store ready", "url=%s", store->settings->url ? store->settings->url : "");
    tell_state(store, true);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct store *store = context->data;
    if (!store || status == REDIS_OK)
        return;
    store_break(store, CONTEXT_ENDS_ITSELF, "cannot connect: %s; is the store running there?",
                store_context_error(context));
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    (void)status;
    struct store *store = context->data;
    if (store)
        store_break(store, CONTEXT_ENDS_ITSELF, "%s", store_context_error(context));
}

/* hiredis 0.14 sets TCP_NODELAY only for blocking connects, and never sets close-on-exec. */
static void socket_setup(int fd, bool tcp)
{
    evutil_make_socket_closeonexec(fd);
    if (!tcp)
        return;
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
    };
    /* The connection works without them, if more slowly. */
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
}

/* Takes a fresh context, which at best is connecting. */
static void context_take(struct store *store, redisAsyncContext *context, bool tcp)
{
    if (!context) {
        store_break(store, CONTEXT_OURS, "out of memory");
        return;
    }
    if (context->err || redisLibeventAttach(context, store->base) != REDIS_OK) {
        char why[128];
        snprintf(why, sizeof why, "%s", store_context_error(context));
        redisAsyncFree(context);
        store_break(store, CONTEXT_OURS, "cannot connect: %s; is the store running there?", why);
        return;
    }
    context->data = store;
    store->context = context;
    store_guard_replies(store);
    socket_setup((int)context->c.fd, tcp);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    /* Sent when connected. */
    store_greet(store);
}

static void connect_tcp(struct store *store, const char *address)
{
    store_set_timer(store->timer, CONNECT_MS);
    context_take(store, redisAsyncConnect(address, store->settings->port), true);
}

static void on_addresses(void *arg, const char (*addresses)[LOOKUP_TEXT], size_t n,
                         const char *problem)
{
    struct store *store = arg;
    assert(store->state == STATE_CONNECTING && !store->context);
    store->lookup = NULL;
    /* If an address does not answer, the next attempt uses the name's next one. */
    if (n)
        connect_tcp(store, addresses[store->failures % n]);
    else
        store_break(store, CONTEXT_OURS, "cannot look up the host name %s: %s; check store.url",
                    store->settings->host, problem);
}

static void connect_start(struct store *store)
{
    const struct config_store *settings = store->settings;
    set_state(store, STATE_CONNECTING);
    if (settings->kind != STORE_TCP) {
        store_set_timer(store->timer, CONNECT_MS);
        context_take(store, redisAsyncConnectUnix(settings->path ? settings->path : ""), false);
        return;
    }
    if (store_lookup_is_numeric(settings->host)) {
        connect_tcp(store, settings->host);
        return;
    }
    store->lookup = store_lookup_start(store->base, settings->host, on_addresses, store);
    if (!store->lookup)
        store_break(store, CONTEXT_OURS, "cannot look up the host name %s: out of resources",
                    settings->host);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct store *store = arg;
    if (store->state == STATE_CONNECTING)
        store_break(store, CONTEXT_OURS, "no answer within %d ms of connecting", CONNECT_MS);
    else
        connect_start(store);
}

/*
 * The watch is not moved with every command: it is set if it is not pending, and looks for the
 * earliest deadline when it fires. That makes one timer operation per timeout instead of two per
 * command.
 */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct store *store = arg;
    const struct store_command *command = store->in_flight.first;
    if (!command)
        return;
    uint64_t now = clock_ms(), earliest = command->deadline_ms;
    for (; command; command = command->next)
        if (command->deadline_ms < earliest)
            earliest = command->deadline_ms;
    if (now < earliest)
        store_set_timer(store->watch, earliest - now);
    else
        store_break(store, CONTEXT_OURS, "no reply within %u ms",
                    (unsigned)store->settings->timeout_ms);
}

/*
 * Sends what was queued in this turn of the loop in one write at its end. hiredis by itself would
 * wait until the socket is reported writable, which costs another turn and two system calls per
 * batch.
 */
static void on_push(evutil_socket_t fd, short what, void *arg)
{
    struct store *store = arg;
    (void)fd, (void)what;
    if (store->state == STATE_READY && store->context)
        redisAsyncHandleWrite(store->context);
}

struct store *store_new(struct event_base *base, const struct config_store *settings,
                        store_state_fn *on_state, void *arg)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->base = base;
    store->settings = settings;
    store->on_state = on_state;
    store->state_arg = arg;
    snprintf(store->trouble, sizeof store->trouble, "connecting");
    store->timer = evtimer_new(base, on_timer, store);
    store->watch = evtimer_new(base, on_watch, store);
    store->push = event_new(base, -1, 0, on_push, store);
    if (!store->timer || !store->watch || !store->push) {
        store_free(store);
        return NULL;
    }
    connect_start(store);
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    assert(!store->calling);
    context_let_go(store, CONTEXT_OURS);
    store_lookup_cancel(store->lookup);
    if (store->timer)
        event_free(store->timer);
    if (store->watch)
        event_free(store->watch);
    if (store->push)
        event_free(store->push);
    /* Whoever hears of the loss and asks finds a store that accepts nothing. */
    store->state = STATE_DOWN;
    snprintf(store->trouble, sizeof store->trouble, "closed");
    struct store_command *command;
    while ((command = store_command_list_take(&store->in_flight)))
        store_command_finish(store, command, STORE_LOST, "closed", strlen("closed"));
    store_command_free_spare(store);
    free(store);
}

bool store_ready(const struct store *store)
{
    return store->state == STATE_READY;
}

const char *store_trouble(const struct store *store)
{
    return store->trouble;
}

const char *store_warning(const struct store *store)
{
    return store->warning;
}
