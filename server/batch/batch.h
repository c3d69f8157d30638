/*
 * Batches: turn many operations into one round trip to the store.
 *
 * A batcher gathers the operations that arrive while its previous batch is at the store and sends
 * them as one FCALL for each domain: reports, renewals and cancels first, then acquires by
 * priority, then queries. A lone operation leaves at the end of the turn of the event loop in which
 * it came. The only timer is the one that answers OP_UNAVAILABLE to what has waited too long.
 *
 * When a batch's fate is unknown (the connection broke), its operations are sent again under the
 * same ids, marked, and the script charges only what it has not charged.
 *
 * A batch that the script refuses has written nothing. It is tried again in halves, the first half
 * first, until the operation that the script cannot decide is alone: only that one is refused. Each
 * such operation costs a batch of n another 2 log n batches.
 */
#ifndef RATIOND_BATCH_H
#define RATIOND_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "counter.h"
#include "batch/op.h"

struct batcher;
struct event_base;
struct store;

struct batch_counters {
    counter batches;     /* sent to the store */
    counter operations;  /* in those batches */
    counter resent;      /* operations sent again because a batch's fate was unknown */
    counter unavailable; /* operations answered OP_UNAVAILABLE */
    counter refused;     /* operations answered OP_REFUSED */
    counter halved;      /* batches that were refused and tried again in halves */
    counter ahead;       /* decisions that met a bucket ahead of the store's clock */
};

/* Borrows store. timeout_ms is the age at which a waiting operation is answered OP_UNAVAILABLE. */
struct batcher *batcher_new(struct event_base *base, struct store *store, uint32_t timeout_ms);
/* Answers everything that waits with OP_UNAVAILABLE and frees the batcher. NULL is allowed. Call it
 * after store_free(). */
void batcher_free(struct batcher *batcher);

void batch_submit(struct batcher *batcher, struct op *op);
/* Call this when the store becomes ready or stops being ready. */
void batch_store_changed(struct batcher *batcher);
/* The number of operations waiting or under way. Any thread may ask. */
size_t batch_load(const struct batcher *batcher);
const struct batch_counters *batch_counters(const struct batcher *batcher);

#endif
