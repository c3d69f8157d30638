/*
 * All workers of the server: opened, drained and closed. The first runs in the main thread, with
 * the signals; each of the others in a thread of its own, with listening sockets of its own at the
 * same address, so that the kernel spreads the connections.
 *
 * Workers share nothing but this: a mailbox each, through which the main thread hands over a new
 * configuration or the order to end, and counters that INFO sums.
 */
#ifndef RATIOND_WORKERS_H
#define RATIOND_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker.h"

/* What they are made with. */
struct workers_setup {
    struct event_base *base;          /* the main thread's, borrowed */
    struct config *config;            /* borrowed; each worker has its own reference */
    const struct config_store *store; /* borrowed, must live as long as the workers */
    const char *config_path;          /* borrowed; NULL: the built-in example */
    uint64_t started_ms;
};

/*
 * Opens the listening sockets and the workers, and starts the threads of all but the first, which
 * runs in the base's loop. Returns 0, or -1 with a message for people in errmsg; workers_close is
 * due either way.
 */
int workers_open(struct workers *workers, const struct workers_setup *setup, char *errmsg,
                 size_t size);
/* Gives every worker a reference to the configuration. */
void workers_reload(struct workers *workers, struct config *config);
/* Orders all workers to finish what was asked, or at_once to end; each then leaves its loop. */
void workers_drain(struct workers *workers, bool at_once);
/* Waits for the threads and frees what the workers had. Call workers_drain first. */
void workers_close(struct workers *workers);

/* An event base for a worker, or NULL: out of memory. */
struct event_base *worker_base_new(void);

#endif
