/*
 * A worker: one thread, one event base, one connection to the store, its own listening sockets,
 * batcher and client connections. Nothing on the path of a request is shared between workers;
 * counters are atomic so that INFO on one worker can sum them. workers.h opens and closes them.
 */
#ifndef RATIOND_WORKER_H
#define RATIOND_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "counter.h"

struct batcher;
struct known_config;
struct event;
struct event_base;
struct front;
struct store;
struct worker_audit;
struct workers;

/* Counters of one worker, for INFO. One list makes the struct and the names. */
#define WORKER_COUNTERS(X)                                                                         \
    X(connections_accepted, "connections accepted")                                                \
    X(connections_refused, "connections refused because max_connections was reached")              \
    X(connections_dropped, "connections closed for sending rubbish or not reading replies")        \
    X(commands, "commands read")                                                                   \
    X(commands_failed, "commands answered with an error")                                          \
    X(granted, "acquires and renewals granted")                                                    \
    X(denied, "acquires and renewals denied")                                                      \
    X(denied_never, "of those, requests that can never fit")                                       \
    X(denied_pool, "of those, refused by the pool's pause, circuit or closing")                    \
    X(settled, "reports and cancels charged")                                                      \
    X(late, "of those, late ones")                                                                 \
    X(duplicate, "reports and cancels that were repeated")                                         \
    X(estimates_learned, "reports that judged a learned estimate of the output")                   \
    X(estimates_actual_tokens, "output tokens that they reported")                                 \
    X(estimates_over_tokens, "output tokens charged beyond what was used")                         \
    X(estimates_under_tokens, "output tokens used beyond what was charged")                        \
    X(estimates_input_learned, "reports that judged a learned estimate of the input")              \
    X(estimates_input_actual_tokens, "input tokens that they reported")                            \
    X(estimates_input_over_tokens, "input tokens charged beyond what was used")                    \
    X(estimates_input_under_tokens, "input tokens used beyond what was charged")                   \
    X(allowed_without_store, "acquires granted because the store was away and on_outage is allow")

struct worker_counters {
#define WORKER_COUNTER_FIELD(name, help) counter name;
    WORKER_COUNTERS(WORKER_COUNTER_FIELD)
#undef WORKER_COUNTER_FIELD
};

struct worker {
    struct event_base *base;    /* borrowed */
    struct config *config;      /* what new requests see */
    struct known_config *known; /* it and those before it that are still held: worker.c */
    struct store *store;
    struct batcher *batcher;
    struct front *front; /* the client connections: front.h */
    struct workers *all; /* borrowed: what is common to all workers */
    struct worker_counters counters;
    struct worker_audit *audits; /* under way, or not fetched yet: cmd_audit.c */
    _Atomic size_t connections;  /* of clients */
    _Atomic bool store_ready;    /* its store is ready: for INFO, which any worker may be asked */
    bool was_ready;              /* its store has been ready before */
    bool draining; /* SIGTERM came: accepts no connections, finishes commands under way */

    /* How the main thread reaches it: workers.c. */
    pthread_t thread;
    bool has_thread;
    int bell; /* eventfd */
    struct event *bell_event, *drain_timer;
    _Atomic(struct config *) next_config; /* a reference for the worker to take, or NULL */
    _Atomic int order;                    /* enum worker_order */
};

/* All workers of the server; list[0] runs in the main thread. */
struct workers {
    size_t n;
    struct worker *list;     /* n of them */
    _Atomic size_t ready;    /* workers whose store has been ready once */
    const char *config_path; /* the configuration's file, borrowed; NULL: the built-in example */
    uint64_t started_ms;     /* monotonic */
    uint16_t port;           /* that all of them listen at */
    const char *store_url;   /* borrowed, for the log */
    const char *own_path;    /* listen.unix, to be removed in the end, borrowed; NULL: none */
};

/* Client connections of all workers. */
size_t worker_connections(const struct worker *worker);

/* Gives an operation a reference to the configuration in force. Only in the worker's thread, like
 * the two below. */
struct config *worker_config_ref(struct worker *worker);
/* Releases such a reference; NULL allowed. */
void worker_config_unref(struct worker *worker, struct config *config);
/* Puts a configuration in force, or NULL at the worker's end; takes the reference. False: out of
 * memory; then the one before stays in force. */
bool worker_config_set(struct worker *worker, struct config *config);

#endif
