/*
 * AUDIT: does a pool's ledger balance? granted = reported + outstanding + expired + cancelled, and
 * the outstanding reservations, counted one by one, agree with the pool's running sum.
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
    /* scanned is -1 if they moved meanwhile. */
    int64_t granted, reported, outstanding, expired, cancelled, used, scanned;
    int balanced;
};

/* rows is NULL if the store did not answer; error then has the reason. Both are borrowed until the
 * callback returns. */
typedef void audit_done_fn(void *arg, const struct audit_row *rows, size_t n, const char *error);

struct audit;

/*
 * Audits one pool, or all if pool is NULL. Takes its own reference to config. done is called once,
 * from the event loop, and ends the audit. Returns NULL when out of memory; then done is not
 * called.
 */
struct audit *audit_run(struct event_base *base, struct store *store, struct config *config,
                        const struct config_pool *pool, audit_done_fn *done, void *arg);
/* Ends the audit at once and calls done. The store must owe it no answer: for the end of a worker,
 * after store_free(). */
void audit_end(struct audit *audit);
/* How much of it is done, in percent. Falls if the audit starts again. */
int audit_percent(const struct audit *audit);

#endif
