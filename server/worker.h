/*
 * A worker: one thread, one event base, one connection to the store, its own listener, batcher and client connections.
 * Nothing on the path of a request is shared between workers; counters are atomic so that INFO on one worker can sum them.
 */
#ifndef RATIOND_WORKER_H
#define RATIOND_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "batch/batch.h"
#include "config/config.h"
#include "counter.h"

struct event_base;
struct store;
struct front;
struct crew;
struct worker_audit;

/* Counters of one worker, for INFO. One list makes the struct and the names. */
#define WORKER_COUNTERS(X)                                                                         \
    X(connections_accepted, "connections accepted")                                                \
    X(connections_refused, "connections refused because max_connections was reached")              \
    X(connections_dropped, "connections closed for sending rubbish or not reading replies")        \
    X(commands, "commands read")                                                                   \
    X(commands_failed, "commands answered with an error")                                          \
    X(granted, "acquires and renewals granted")                                                    \
    X(denied, "acquires and renewals denied")                                                      \
    X(denied_never, "of those, such as can never fit")                                             \
    X(denied_pool, "of those, such as the pool's pause, circuit or closing refused")               \
    X(settled, "reports and cancels charged")                                                      \
    X(late, "of those, late ones")                                                                 \
    X(duplicate, "reports and cancels that came again")                                            \
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
    struct event_base *base;
    struct config *config;   /* what new requests see; one reference, and those in stock */
    size_t config_stock;     /* references that operations may have: worker.c */
    const char *config_path; /* its file, for INFO; NULL: the built-in example */
    struct store *store;
    struct batcher *batcher;
    struct front *front; /* the client connections: front.h */
    struct worker_counters counters;
    struct worker_audit *audits; /* under way, or not fetched yet: cmd_audit.c */
    uint64_t started_ms;         /* monotonic */
    struct crew *crew;           /* all workers: crew.h */
    bool was_ready;              /* its store has been ready before */
    _Atomic bool store_ready;    /* its store is ready: for INFO, which any worker may be asked */
    bool draining; /* SIGTERM came: no new connections, commands under way are finished */
};

/* For an operation: a reference to the configuration in force. In the worker's thread, as the two below. */
struct config *worker_config_ref(struct worker *worker);
/* Gives it back, whichever configuration it is; NULL allowed. */
void worker_config_unref(struct worker *worker, struct config *config);
/* Puts a configuration in force, or NULL at the worker's end; takes the reference. */
void worker_config_set(struct worker *worker, struct config *config);

#endif
