/* Shared by the tests of the store module: an event loop, a private redis-server, a store, and its
 * callbacks. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "own_redis.h"

enum { DEADLINE_MS = 20000, TIMEOUT_MS = 250, TICK_MS = 5 };

/* What became of one command. */
struct outcome {
    struct fixture *f;
    unsigned calls;
    enum store_status status;
    char data[256];
};

struct fixture {
    struct own_redis redis;
    struct event_base *base;
    struct event *tick; /* wakes the loop, so that conditions and deadlines are checked */
    struct config_store settings;
    struct store *store;
    char states[64]; /* what on_state reported: R ready, N not */
    bool sending;    /* inside a sending function */
    size_t n_keys;   /* from on_key */
};

#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        uint64_t until_ = own_now_ms() + DEADLINE_MS;                                              \
        while (!(condition)) {                                                                     \
            if (own_now_ms() > until_)                                                             \
                fail_msg("not within the deadline: %s; trouble: %s", #condition,                   \
                         store_trouble((f)->store));                                               \
            event_base_loop((f)->base, EVLOOP_ONCE);                                               \
        }                                                                                          \
    } while (0)

int store_setup(void **state);
int store_teardown(void **state);
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

/* Opens the store, and checks that it calls nothing back meanwhile. */
void open_store(struct fixture *f);
/* Does the same, and waits until it is ready. */
void open_ready(struct fixture *f);
/* Waits until store_trouble() contains these words. */
void wait_for_trouble(struct fixture *f, const char *words);

/* A callback for store_hget and the like; arg is a struct outcome. */
void on_reply(void *arg, enum store_status status, const char *data, size_t n);
/* Calls the first function with two keys; returns what store_call does. */
int eval(struct fixture *f, struct outcome *outcome, const char *key, const char *argument);
/* Does the same and waits: it must end exactly once, with data that begins like this. */
void check_eval(struct fixture *f, const char *argument, enum store_status status,
                const char *data);
/* Sends another client's command. */
void ask(struct fixture *f, const char *command);

#endif
