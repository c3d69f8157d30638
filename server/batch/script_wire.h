/*
 * One batch: a number of operations for one domain, packed into the script's argument, and the
 * answer unpacked. lua/README.md has both layouts.
 */
#ifndef RATIOND_SCRIPT_WIRE_H
#define RATIOND_SCRIPT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/key_table.h"
#include "batch/op.h"
#include "buf.h"

/* What a batch costs the store grows with its groups, so their number bounds how long others wait
 * for it; there may be many more equal operations. */
#define BATCH_MAX_GROUPS 128
#define BATCH_MAX_OPS    2048
/* Equal acquires of one tenant are decided as one group, under one record; the operations of a
 * group are adjacent in `ops`. */
struct batch_group {
    uint16_t first, n;
    bool sent; /* somebody waited for it when it was packed, so the answer includes it */
};

/* A bucket whose time is later than the store's: the store's clock was ahead when the bucket was
 * last written. */
struct batch_ahead {
    uint64_t bucket; /* a hash of its key */
    int64_t time_ms;
};

struct packer;

struct batch {
    const char *domain; /* borrowed from the domain's queue */
    size_t n;
    struct op *ops[BATCH_MAX_OPS]; /* NULL: already answered; its place in the group stays */
    size_t n_groups;
    struct batch_group groups[BATCH_MAX_GROUPS];
    size_t from, to; /* the groups of the next call: all, or a part of a batch that was refused */
    size_t n_ahead;  /* in the last answer */
    struct batch_ahead ahead[BATCH_MAX_GROUPS * POLICY_MAX_BUCKETS];
    bool resent; /* it was sent before, and its fate is unknown */

    struct packer *packer; /* what batch_pack() makes */
};

/* Takes operations from the front of the array, which is in order of priority, and forms groups of
 * them as long as there is room. Acquires that bring no id get one, a group one for all. Returns
 * how many operations it took. n <= BATCH_MAX_OPS. */
size_t batch_form(struct batch *batch, const char *domain, struct op *const ops[], size_t n,
                  struct id_maker *ids);

/* Packs the keys and the argument of the groups from `from` to `to`. store_now_ms is what the
 * store's clock is believed to say: the periods of calendar limits are made from it, except for
 * buckets known to be ahead. Returns 0, or -1 when out of memory. */
int batch_pack(struct batch *batch, int64_t store_now_ms);

/* What batch_pack() made, valid until it packs again. */
const struct key_table *batch_keys(const struct batch *batch);
const struct buf *batch_argument(const struct batch *batch);

enum batch_answer { BATCH_ANSWERED, BATCH_STALE, BATCH_UNREADABLE };

/*
 * Unpacks the script's answer into the operations (those that are not NULL), and which buckets are
 * ahead. rows is scratch for PEEK: op->rows points into it until the next call. *store_ms gets the
 * store's clock.
 */
enum batch_answer batch_unpack(struct batch *batch, const char *data, size_t n, struct buf *rows,
                               int64_t *store_ms);

/* The key of a bucket that the last answer reported as ahead, for a log; NULL if it is not in the
 * last call. */
const char *batch_bucket_key(const struct batch *batch, uint64_t bucket, size_t *n);

void batch_close(struct batch *batch);

#endif
