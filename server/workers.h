/*
 * The crew: all workers of the server. The first one runs in the main thread, with the signals; each of the others in a
 * thread of its own, with a listener at the same address (SO_REUSEPORT), so that the kernel spreads the connections.
 *
 * Workers share nothing but this: a mailbox each, through which the main thread hands over a new configuration or the
 * word to end, and counters that INFO sums.
 */
#ifndef RATIOND_CREW_H
#define RATIOND_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker.h"

#define CREW_MAX 64

struct crew_member;

struct crew {
    size_t n; /* 1 - CREW_MAX, the main thread's included */
    struct worker *workers[CREW_MAX];
    _Atomic size_t ready;        /* workers whose store has been ready once */
    void (*on_ready)(void *arg); /* called once, by any worker: all of them are */
    void *on_ready_arg;
    struct crew_member *members; /* n - 1 of them: those that have threads */
};

/* What each worker is made with. */
struct crew_plan {
    size_t n;
    const struct config_store *store; /* borrowed, must live as long as the crew */
    const char *config_path;          /* borrowed; NULL: the built-in example */
    uint64_t started_ms;
};

/* How many workers a configuration asks for. */
size_t crew_size(const struct config *config);

/*
 * Makes the other workers (listeners and all) and starts their threads. first is the main thread's worker, complete and
 * listening. Returns 0, or -1 with a message for people; then nothing runs.
 */
int crew_start(struct crew *crew, struct worker *first, const struct crew_plan *plan, char *errmsg,
               size_t errmsg_cap);
/* Gives every other worker a reference to the configuration. */
void crew_reload(struct crew *crew, struct config *config);
/* Tells the others to finish what was asked, or, at_once, to end. */
void crew_drain(struct crew *crew, bool at_once);
/* Waits for their threads and frees what they had. */
void crew_stop(struct crew *crew);

/* An event base for a worker, or NULL: out of memory. */
struct event_base *crew_base_new(void);

/* To be called by each worker when its store becomes ready or ceases to be. */
void crew_store_changed(struct worker *worker, bool ready);

/* ---- Asked by a worker ---------------------------------------------------------------------------------------- */

/* Client connections of all workers. */
size_t crew_connections(const struct worker *worker);
/* Is the store ready for every worker? After a failover one may have it back some milliseconds before another. */
bool crew_store_ready(const struct worker *worker);
/* The port to listen at: the configured one, or what the first worker got for port 0. */
uint16_t crew_port(const struct worker *worker);
bool crew_is_first(const struct worker *worker);

#endif
