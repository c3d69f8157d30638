/*
 * AUDIT: do the ledger of a pool balance? granted = reported + outstanding + expired + cancelled, and the outstanding
 * reservations, counted one by one, agree with the pool's running sum.
 */
#ifndef RATIOND_AUDIT_H
#define RATIOND_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct store;
struct event_base;

struct audit_row {
    const struct config_pool *pool;
    enum ration_unit unit;
    int64_t granted, reported, outstanding, expired, cancelled, used,
        scanned; /* scanned -1: they moved meanwhile */
    int balanced;
};

/* rows NULL: the store did not answer; error has the reason. Borrowed until the callback returns. */
typedef void audit_done_fn(void *arg, const struct audit_row *rows, size_t n, const char *error);

struct audit;

/*
 * Audits one pool, or all (pool NULL). Takes its own reference to config. done is called once, from the event loop, and
 * ends the audit; NULL: out of memory, and done will not be called.
 */
struct audit *audit_run(struct event_base *base, struct store *store, struct config *config,
                        const struct config_pool *pool, audit_done_fn *done, void *arg);
/* Ends it at once, if the store owes it no answer: for the end of a worker, after store_free(). Calls done. */
void audit_end(struct audit *audit);
/* How much of it is done, in percent. It may begin again, and then falls. */
int audit_percent(const struct audit *audit);

#endif
