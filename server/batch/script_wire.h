/*
 * One batch: a number of operations for one domain, packed into the script's argument and its answer unpacked again.
 * lua/README.md has both layouts.
 */
#ifndef RATIOND_BATCH_PACK_H
#define RATIOND_BATCH_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/op.h"

/* What a batch costs the store goes with its groups, so their number bounds how long others wait for it; what is equal may be
 * many more. */
#define BATCH_MAX_GROUPS 128
#define BATCH_MAX_OPS    2048
/* Two of each bucket, what is known of the pool, the estimates, the slice, whose a free-form id is. */
#define BATCH_MAX_KEYS (BATCH_MAX_GROUPS * (2 * POLICY_MAX_BUCKETS + 4))

/* Bytes that grow; emptied, not freed, between batches. */
struct bytes {
    unsigned char *data;
    size_t n, cap;
};

/* Equal acquires of one tenant are decided as one group, under one record: `ops` of one group follow each other. */
struct batch_group {
    uint16_t first, n;
    bool sent; /* when it was packed somebody waited for it, so that the answer speaks of it */
};

/* A bucket whose time is later than the store's: when it was last written, the store's clock was ahead of today's. */
struct batch_ahead {
    uint64_t bucket; /* a hash of its key */
    int64_t time_ms;
};

struct packer;

struct batch {
    const char *domain; /* borrowed from the lane */
    size_t n;
    struct op *ops[BATCH_MAX_OPS]; /* NULL: was answered meanwhile; its place in the group stays */
    size_t n_groups;
    struct batch_group groups[BATCH_MAX_GROUPS];
    size_t from,
        to; /* which groups the next call carries: all, or a part of a batch that was refused */
    size_t n_ahead; /* as the last answer said it */
    struct batch_ahead ahead[BATCH_MAX_GROUPS * POLICY_MAX_BUCKETS];
    bool resent; /* it was sent before and its fate is unknown */

    /* what batch_pack() makes */
    struct packer *packer;
    struct bytes argument, key_text;
    size_t n_keys;
    size_t key_at[BATCH_MAX_KEYS]; /* offsets into key_text while it grows */
    const char *keys[BATCH_MAX_KEYS];
    size_t key_bytes[BATCH_MAX_KEYS];
};

/* Takes operations from the front of the array, which is in the order of their priority, and forms groups of them, for as long as
 * there is room; acquires that bring no id get one, a group one for all. Returns how many were taken. n <= BATCH_MAX_OPS. */
size_t batch_form(struct batch *batch, const char *domain, struct op *const ops[], size_t n,
                  struct id_maker *ids);

/* Packs keys and argument of the groups from `from` to `to`. store_now_ms is where the store's clock is believed to be: calendar
 * limits have their periods made from it, but those of buckets that are known to be `ahead`. Returns 0, or -1: out of memory. */
int batch_pack(struct batch *batch, int64_t store_now_ms);

enum batch_answer { BATCH_ANSWERED, BATCH_STALE, BATCH_UNREADABLE };

/*
 * Unpacks the script's answer into the operations (those not NULL), and which buckets are ahead. rows is scratch for PEEK: op->rows
 * points into it until the next call. *store_ms gets the store's clock.
 */
enum batch_answer batch_unpack(struct batch *batch, const char *data, size_t n, struct bytes *rows,
                               int64_t *store_ms);

/* The key of a bucket that the last answer called ahead, for a log; NULL if it is not in the last call. */
const char *batch_bucket_key(const struct batch *batch, uint64_t bucket, size_t *n);

/* The 48 bits that tie a record to its pool and tenant; the upper 20 tell the pool. */
uint64_t batch_check(const char *tenant, size_t tenant_n, const char *pool, size_t pool_n);
uint32_t batch_pool_check(const char *pool, size_t pool_n);

void batch_close(struct batch *batch);
void bytes_free(struct bytes *bytes);

#endif
