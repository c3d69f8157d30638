/*
 * Packing a batch for the script and unpacking its answer.
 *
 * Whatever several operations share is sent once: a bucket that a hundred requests use is one key,
 * a tier's limits are one set, and equal acquires of one tenant are one group with one record.
 */
#define _GNU_SOURCE /* htole64 and friends */
#include "batch/script_wire.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "batch/key_names.h"
#include "policy/zone.h"

enum {
    SCRIPT_VERSION = 4,
    ANSWER_HEAD = 9,
    ANSWER_AHEAD = 8,
    ANSWER_OP = 12,
    ANSWER_ROW = 16,
    ANSWER_SHOWN = 12
};
enum { ANSWER_LEARNED = 8 };
enum { LIMIT_AT_END = 1, LIMIT_SETTLES = 2, LIMIT_BYTES = 56, LIMIT_CALENDAR_BYTES = 74 };
enum { BUCKET_HAS_SLOTS = 1, BUCKET_HAS_LEDGER = 2, BUCKET_HAS_HEALTH = 4, BUCKET_COUNTS = 8 };
enum {
    OP_RESENT = 1,
    OP_DRY = 2,
    OP_PARTIAL = 4,
    OP_SPLIT_UNKNOWN = 8,
    OP_NAMES = 16,
    OP_TOKEN = 32,
    OP_ESTIMATES = 64,
    OP_FEEDBACK = 128
};

/* The first byte of an answer that decided nothing. */
enum { DECIDED_STALE = 1 };

/* What packing needs, kept from batch to batch. */
enum { MAX_SETS = BATCH_MAX_GROUPS * POLICY_MAX_BUCKETS, SET_PLACES = 1024 };
enum { MOST_ARGUMENT_BYTES = 64 << 20 };

struct packer {
    struct batch *batch;
    int64_t now_ms;
    uint32_t max_outstanding;
    struct buf argument, sets, buckets, ops;
    struct key_table keys;
    size_t bucket_key[MAX_SETS]; /* of each bucket: the index of its levels' key in `keys` */
    size_t n_sets, n_ops;
    const struct limit_set *set[MAX_SETS];
    int64_t set_ms[MAX_SETS];        /* the time that its periods are made from */
    uint16_t set_places[SET_PLACES]; /* open addressing: a set's index + 1; 0: empty */
    uint16_t targets[BATCH_MAX_GROUPS][POLICY_MAX_BUCKETS]; /* of each group: which buckets */
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static void put(struct buf *to, const void *data, size_t n)
{
    buf_append(to, data, n);
}

static void put_int(struct buf *to, int64_t value, size_t n)
{
    uint64_t little = htole64((uint64_t)value);
    buf_append(to, &little, n);
}

/* ---- limit sets ------------------------------------------------------------------------------ */

/* Identifies a limit of a bucket over time: usage stays with the same unit, algorithm and
 * period. */
static int64_t limit_sig(const struct limit *l)
{
    return ((int64_t)l->unit << 21) + ((int64_t)l->algorithm << 19) +
           (l->counted_end ? 1 << 18 : 0) + (int64_t)(l->per_ms % 262139);
}

static void put_limit(struct packer *p, const struct limit *l, int64_t now_ms)
{
    struct buf *to = &p->sets;
    put_int(to, l->unit, 1);
    put_int(to, l->algorithm, 1);
    put_int(to, (l->counted_end ? LIMIT_AT_END : 0) | (l->settle ? LIMIT_SETTLES : 0), 1);
    put_int(to, l->amount, 8);
    put_int(to, l->capacity, 8);
    for (int i = 0; i < RATION_PRIORITIES; i++)
        put_int(to, l->held_back[i], 8);
    put_int(to, (int64_t)l->per_ms, 6);
    put_int(to, l->slack_ms, 4);
    put_int(to, limit_sig(l), 3);
    if (l->algorithm == LIMIT_CALENDAR) {
        int64_t bounds[3];
        zone_bounds(l->zone, l->calendar, now_ms, bounds);
        for (int i = 0; i < 3; i++)
            put_int(to, bounds[i], 6);
    }
}

/* The bucket's time: the store's, unless the last answer said that the bucket is ahead. */
static int64_t bucket_ms(const struct packer *p, uint64_t bucket)
{
    for (size_t i = 0; i < p->batch->n_ahead; i++)
        if (p->batch->ahead[i].bucket == bucket && p->batch->ahead[i].time_ms > p->now_ms)
            return p->batch->ahead[i].time_ms;
    return p->now_ms;
}

/* The set's index in the argument. Sets are compared by address: a tier's tenants share one if
 * their times are the same. */
static size_t find_set(struct packer *p, const struct limit_set *set, int64_t now_ms)
{
    size_t at = ((uintptr_t)set >> 4) * 0x9e3779b97f4a7c15ULL >> 54;
    for (; p->set_places[at]; at = (at + 1) % SET_PLACES) {
        size_t i = p->set_places[at] - 1u;
        if (p->set[i] == set && p->set_ms[i] == now_ms)
            return i;
    }
    p->set[p->n_sets] = set;
    p->set_ms[p->n_sets] = now_ms;
    p->set_places[at] = (uint16_t)++p->n_sets;
    size_t length = 1;
    for (size_t i = 0; i < set->n; i++)
        length += set->limits[i].algorithm == LIMIT_CALENDAR ? LIMIT_CALENDAR_BYTES : LIMIT_BYTES;
    put_int(&p->sets, (int64_t)length, 2);
    put_int(&p->sets, (int64_t)set->n, 1);
    for (size_t i = 0; i < set->n; i++)
        put_limit(p, &set->limits[i], now_ms);
    return p->n_sets - 1;
}

/* ---- buckets and slices ---------------------------------------------------------------------- */

/* Puts the key of a pool's health, and when its circuit opens. */
static void put_health(struct packer *p, const struct config_breaker *breaker,
                       const struct id *names)
{
    char key[KEY_BYTES];
    size_t n = key_name(KEY_POOL_HEALTH, p->batch->domain, names, key);
    key_table_add(&p->keys, key, n);
    put_int(&p->buckets, breaker->failures_ppm, 4);
    put_int(&p->buckets, breaker->at_least, 4);
    put_int(&p->buckets, breaker->window_ms, 4);
    put_int(&p->buckets, breaker->cool_down_ms, 4);
}

static size_t find_bucket(struct packer *p, const struct policy *policy, size_t which,
                          const struct id *names)
{
    static const struct {
        enum key_kind levels, slots;
    } kinds[] = {[SCOPE_POOL] = {KEY_POOL, KEY_POOL_SLOTS},
                 [SCOPE_TENANT] = {KEY_TENANT, KEY_TENANT_SLOTS},
                 [SCOPE_TENANT_IN_POOL] = {KEY_IN_POOL, KEY_IN_POOL_SLOTS}};
    const struct policy_bucket *bucket = &policy->buckets[which];
    char key[KEY_BYTES];
    size_t n = key_name(kinds[bucket->scope].levels, p->batch->domain, names, key);
    size_t key_at = p->keys.n;
    bool is_new;
    size_t i = key_table_find(&p->keys, KEYED_BUCKETS, key, n, &is_new);
    if (!is_new)
        return i;
    p->bucket_key[i] = key_at;
    bool pool = bucket->scope == SCOPE_POOL;
    bool slots = pool || limit_set_has_slots(bucket->set);
    if (slots) {
        n = key_name(kinds[bucket->scope].slots, p->batch->domain, names, key);
        key_table_add(&p->keys, key, n);
    }
    put_int(&p->buckets, (int64_t)find_set(p, bucket->set, bucket_ms(p, p->keys.hash[key_at])), 2);
    put_int(&p->buckets,
            (slots ? BUCKET_HAS_SLOTS : 0) | (pool ? BUCKET_HAS_LEDGER | BUCKET_HAS_HEALTH : 0) |
                (bucket->scope == SCOPE_TENANT ? BUCKET_COUNTS : 0),
            1);
    if (pool)
        put_health(p, &policy->pool->breaker, names);
    return i;
}

/* Estimates come after the buckets in KEYS, so they are found in a second pass; slices come last
 * and are found in a third. */
static size_t find_key(struct packer *p, enum key_section section, enum key_kind kind,
                       const struct id *names)
{
    char key[KEY_BYTES];
    bool is_new;
    size_t n = key_name(kind, p->batch->domain, names, key);
    return key_table_find(&p->keys, section, key, n, &is_new);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Any operation of the group that somebody still waits for, or NULL. All of a group ask the
 * same. */
static const struct op *group_leader(const struct batch *batch, const struct batch_group *group)
{
    for (size_t i = 0; i < group->n; i++)
        if (batch->ops[group->first + i])
            return batch->ops[group->first + i];
    return NULL;
}

static bool has_feedback(const struct op *op)
{
    return op->feedback.failed || op->feedback.pause_ms > 0 || op->feedback.n_headers > 0 ||
           op->reason[0] != '\0';
}

static int op_flags(const struct packer *p, const struct op *op, bool names)
{
    return (p->batch->resent || op->own_id ? OP_RESENT : 0) | (op->dry_run ? OP_DRY : 0) |
           (op->partial ? OP_PARTIAL : 0) | (op->split_unknown ? OP_SPLIT_UNKNOWN : 0) |
           (names ? OP_NAMES : 0) | (op->has_token ? OP_TOKEN : 0) |
           (op->learned ? OP_ESTIMATES : 0) | (has_feedback(op) ? OP_FEEDBACK : 0);
}

static void put_feedback(struct packer *p, const struct op *op)
{
    struct buf *to = &p->ops;
    const struct op_feedback *feedback = &op->feedback;
    size_t n = strlen(op->reason);
    put_int(to, feedback->failed, 1);
    put_int(to, feedback->pause_ms, 4);
    put_int(to, (int64_t)n, 1);
    put(to, op->reason, n);
    put_int(to, feedback->n_headers, 1);
    for (size_t i = 0; i < feedback->n_headers; i++) {
        put_int(to, feedback->headers[i].unit, 1);
        put_int(to, feedback->headers[i].per_ms, 6);
        put_int(to, feedback->headers[i].limit, 6);
        put_int(to, feedback->headers[i].remaining, 6);
    }
}

/* Which slices of the batch an operation needs. */
struct places {
    size_t slice;  /* its reservation's */
    size_t tenant; /* for an acquire under a free-form id: where the id's tenant is kept */
};

static bool has_names(const struct op *op)
{
    return op->kind == OP_ACQUIRE && op->id.free_form;
}

static struct places find_places(struct packer *p, const struct op *op)
{
    struct places places = {UINT16_MAX, UINT16_MAX};
    if (op->kind < OP_PEEK || op->kind == OP_FORGIVE)
        places.slice =
            find_key(p, KEYED_SLICES, op->id.free_form ? KEY_FREE_ID : KEY_SLICE, &op->id);
    if (has_names(op))
        places.tenant = find_key(p, KEYED_SLICES, KEY_FREE_TENANT, &op->id);
    return places;
}

static void put_op(struct packer *p, const struct op *op, size_t n,
                   const uint16_t targets[POLICY_MAX_BUCKETS], size_t estimate,
                   struct places places)
{
    struct buf *to = &p->ops;
    bool names = has_names(op);
    int flags = op_flags(p, op, names);
    put_int(to, op->kind, 1);
    put_int(to, flags, 1);
    put_int(to, op->priority, 1);
    put_int(to, (int64_t)n, 1);
    put_int(to, op->stated, 1);
    put_int(to, op->policy.n, 1);
    for (size_t i = 0; i < POLICY_MAX_BUCKETS; i++)
        put_int(to, i < op->policy.n ? targets[i] : 0, 2);
    put_int(to, (int64_t)places.slice, 2);
    put_int(to, op->kind == OP_ACQUIRE ? 0 : op->id.member, 1);
    put(to, op->id.nonce, RATION_ID_NONCE_BYTES);
    put_int(to, (int64_t)id_check(&op->id), 6);
    put_int(to, op->ttl_ms, 4);
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++)
        put_int(to, op->amounts[unit], 6);
    if (names) {
        put_int(to, op->id.tenant_bytes + 1 + op->id.pool_bytes, 2);
        put(to, op->id.tenant, op->id.tenant_bytes);
        put(to, " ", 1);
        put(to, op->id.pool, op->id.pool_bytes);
        put_int(to, (int64_t)places.tenant, 2);
    }
    if (op->has_token)
        put(to, op->token, sizeof op->token);
    if (op->learned)
        put_int(to, (int64_t)estimate, 2);
    if (flags & OP_FEEDBACK)
        put_feedback(p, op);
    p->n_ops++;
}

static void pack_groups(struct packer *p)
{
    struct batch *b = p->batch;
    size_t estimates[BATCH_MAX_GROUPS] = {0};
    for (size_t g = b->from; g < b->to; g++) {
        const struct op *op = group_leader(b, &b->groups[g]);
        for (size_t i = 0; op && i < op->policy.n; i++)
            p->targets[g][i] = (uint16_t)find_bucket(p, &op->policy, i, &op->id);
    }
    for (size_t g = b->from; g < b->to; g++) {
        const struct op *op = group_leader(b, &b->groups[g]);
        if (op && op->learned)
            estimates[g] = find_key(p, KEYED_ESTIMATES, KEY_ESTIMATES, &op->id);
    }
    for (size_t g = b->from; g < b->to; g++) {
        const struct op *op = group_leader(b, &b->groups[g]);
        b->groups[g].sent = op != NULL;
        if (!op)
            continue;
        p->max_outstanding = op->config->max_outstanding;
        put_op(p, op, b->groups[g].n, p->targets[g], estimates[g], find_places(p, op));
    }
}

static struct packer *packer_new(struct batch *batch)
{
    struct packer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->batch = batch;
    struct buf *bufs[] = {&p->argument, &p->sets, &p->buckets, &p->ops};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_init(bufs[i], MOST_ARGUMENT_BYTES, NULL);
    key_table_init(&p->keys);
    return p;
}

static void packer_clear(struct packer *p)
{
    struct buf *bufs[] = {&p->argument, &p->sets, &p->buckets, &p->ops};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_clear(bufs[i]);
    key_table_clear(&p->keys);
    p->n_sets = p->n_ops = 0;
    memset(p->set_places, 0, sizeof p->set_places);
}

static void put_buf(struct buf *to, const struct buf *from)
{
    if (buf_size(from) > 0)
        buf_append(to, buf_bytes(from), buf_size(from));
}

int batch_pack(struct batch *batch, int64_t store_now_ms)
{
    if (!batch->packer && !(batch->packer = packer_new(batch)))
        return -1;
    struct packer *p = batch->packer;
    packer_clear(p);
    p->now_ms = store_now_ms;

    pack_groups(p);
    struct buf *to = &p->argument;
    put_int(to, SCRIPT_VERSION, 1);
    put_int(to, (int64_t)p->n_sets, 2);
    put_int(to, (int64_t)key_table_count(&p->keys, KEYED_BUCKETS), 2);
    put_int(to, (int64_t)key_table_count(&p->keys, KEYED_ESTIMATES), 2);
    put_int(to, (int64_t)p->n_ops, 2);
    put_int(to, p->max_outstanding, 4);
    put_buf(to, &p->sets);
    put_buf(to, &p->buckets);
    put_buf(to, &p->ops);
    if (to->failed || p->sets.failed || p->buckets.failed || p->ops.failed || p->keys.text.failed)
        return -1;
    key_table_finish(&p->keys);
    return 0;
}

const struct key_table *batch_keys(const struct batch *batch)
{
    return &batch->packer->keys;
}

const struct buf *batch_argument(const struct batch *batch)
{
    return &batch->packer->argument;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int64_t get_int(const char *data, size_t n)
{
    uint64_t little = 0;
    memcpy(&little, data, n);
    return (int64_t)le64toh(little);
}

static bool is_settled(const char *answer)
{
    return (unsigned char)answer[0] == OP_SETTLED || (unsigned char)answer[0] == OP_LATE;
}

/* How many more bytes an answer has when input was learned. */
static size_t learned_bytes(const char *answer)
{
    return is_settled(answer) && ((unsigned char)answer[2] & OP_LEARNED_INPUT) ? ANSWER_LEARNED : 0;
}

/*
 * The store is believed only as far as its answers make sense: data that was damaged there, or
 * written by something else, must not lead a reply to a limit that does not exist.
 */
#define LARGEST_NUMBER (INT64_C(1) << 50) /* the script's own bound for a wait */

/* A number that can be calculated with: a wait, or how wrong an estimate was. */
static bool is_told(int64_t number)
{
    return number >= -LARGEST_NUMBER && number <= LARGEST_NUMBER;
}

static bool outcome_fits(enum op_kind kind, enum op_outcome outcome)
{
    switch (outcome) {
    case OP_GRANTED:
    case OP_DENIED:
        return kind == OP_ACQUIRE || kind == OP_RENEW;
    case OP_SETTLED:
    case OP_LATE:
    case OP_DUPLICATE:
        return kind == OP_REPORT || kind == OP_CANCEL;
    case OP_NOSUCH:
    case OP_FOREIGN:
    case OP_ENDED:
        return kind < OP_PEEK;
    case OP_PEEKED:
        return kind == OP_PEEK;
    case OP_CROWDED:
        return kind == OP_ACQUIRE;
    case OP_SHOWN:
        return kind >= OP_POOL_OPEN && kind <= OP_POOL_GET;
    case OP_FORGIVEN:
        return kind == OP_FORGIVE;
    default: /* the server's own outcomes are not the script's to give */
        return false;
    }
}

/* Does it name a limit of the operation's policy, and a wait that can be reported? */
static bool refusal_fits(const struct op *op, const char *data)
{
    size_t bucket = (unsigned char)data[2], limit = (unsigned char)data[3];
    int64_t wait_ms = get_int(data + 4, 8);
    return bucket < op->policy.n &&
           (limit >= OP_LIMITED_OUTSTANDING || limit < op->policy.buckets[bucket].set->n) &&
           wait_ms >= RATION_RETRY_NEVER && wait_ms <= LARGEST_NUMBER;
}

static size_t row_count(const struct policy *policy)
{
    size_t n = 0;
    for (unsigned i = 0; i < policy->n; i++)
        n += policy->buckets[i].set->n;
    return n;
}

/* op is any operation of the group, or NULL if nobody waits for it any more; then anything fits. */
static bool answer_fits(const struct op *op, size_t group_n, const char *data)
{
    enum op_outcome outcome = (enum op_outcome)(unsigned char)data[0];
    size_t granted = (unsigned char)data[1];
    int64_t number = get_int(data + 4, 8);
    if (!op)
        return true;
    if (!outcome_fits(op->kind, outcome))
        return false;
    switch (outcome) {
    case OP_GRANTED:
        return op->kind != OP_ACQUIRE || granted >= group_n || refusal_fits(op, data);
    case OP_DENIED:
        return refusal_fits(op, data);
    case OP_PEEKED:
    case OP_FORGIVEN:
        return granted == row_count(&op->policy);
    case OP_SHOWN:
        return number >= RATION_RETRY_NEVER;
    default:
        return is_told(number);
    }
}

static void answer_op(struct op *op, const char *data, bool granted)
{
    op->outcome = (enum op_outcome)(unsigned char)data[0];
    if (op->kind == OP_ACQUIRE && op->outcome == OP_GRANTED && !granted)
        op->outcome = OP_DENIED;
    op->limited_bucket = (uint8_t)data[2];
    op->limited_limit = (uint8_t)data[3];
    op->learned_parts = is_settled(data) ? (uint8_t)data[2] : 0;
    op->over_output = op->learned_parts & OP_LEARNED_OUTPUT ? get_int(data + 4, 8) : 0;
    op->over_input =
        op->learned_parts & OP_LEARNED_INPUT ? get_int(data + ANSWER_OP, ANSWER_LEARNED) : 0;
    op->retry_after_ms = op->outcome == OP_DENIED ? get_int(data + 4, 8) : 0;
}

/* Reads what follows an answer about a pool that is closed or shown. Returns its length, or
 * SIZE_MAX if it is cut short or malformed. */
static size_t answer_pool(const struct batch *batch, const struct batch_group *group,
                          const char *answer, size_t n)
{
    bool shown = (unsigned char)answer[0] == OP_SHOWN;
    if (!shown && (unsigned char)answer[3] != OP_LIMITED_CLOSED)
        return 0;
    const char *tail = answer + ANSWER_OP + (shown ? ANSWER_SHOWN : 0);
    size_t before = ANSWER_OP + (shown ? ANSWER_SHOWN : 0) + 1;
    size_t length = n < before ? 0 : (unsigned char)*tail;
    if (n < before + length || length > RATION_MAX_REASON_BYTES)
        return SIZE_MAX;
    for (size_t i = 0; i < length; i++)
        if (tail[1 + i] <= 0x20 || tail[1 + i] >= 0x7f)
            return SIZE_MAX;
    for (size_t i = 0; i < group->n; i++) {
        struct op *op = batch->ops[group->first + i];
        if (!op)
            continue;
        memcpy(op->reason, tail + 1, length);
        op->reason[length] = '\0';
        if (shown)
            op->shown =
                (struct op_shown){(uint8_t)answer[2], (uint32_t)get_int(answer + 12, 4),
                                  (uint32_t)get_int(answer + 16, 4),
                                  (uint32_t)get_int(answer + 20, 4), get_int(answer + 4, 8)};
    }
    return before + length - ANSWER_OP;
}

/* How far the bucket is ahead of the store's clock. */
static int64_t ahead_by(const struct packer *p, size_t bucket)
{
    return bucket_ms(p, p->keys.hash[p->bucket_key[bucket]]) - p->now_ms;
}

/* Copies the rows, for alignment. Several queries of one batch share the scratch, so the pointers
 * are set afterwards. */
static size_t answer_rows(struct packer *p, struct buf *rows, const struct op *op, size_t group,
                          const char *data)
{
    size_t at = buf_size(rows);
    for (unsigned i = 0; op && i < op->policy.n; i++) {
        int64_t ahead_ms = ahead_by(p, p->targets[group][i]);
        for (size_t j = 0; j < op->policy.buckets[i].set->n; j++, data += ANSWER_ROW) {
            struct op_row row = {get_int(data, 8), get_int(data + 8, 8), ahead_ms};
            put(rows, &row, sizeof row);
        }
    }
    return at;
}

/* Reads which buckets are ahead. Returns the number of bytes that took; 0 if unreadable. */
static size_t answer_ahead(struct batch *batch, const char *data, size_t n)
{
    struct packer *p = batch->packer;
    size_t n_ahead = n < ANSWER_HEAD ? 0 : (size_t)get_int(data + 7, 2);
    if (n < ANSWER_HEAD + n_ahead * ANSWER_AHEAD ||
        n_ahead > key_table_count(&p->keys, KEYED_BUCKETS))
        return 0;
    p->now_ms = get_int(data + 1, 6);
    batch->n_ahead = n_ahead;
    for (size_t i = 0; i < n_ahead; i++) {
        const char *one = data + ANSWER_HEAD + i * ANSWER_AHEAD;
        size_t bucket = (size_t)get_int(one, 2);
        batch->ahead[i].time_ms = get_int(one + 2, 6);
        if (bucket >= key_table_count(&p->keys, KEYED_BUCKETS) ||
            batch->ahead[i].time_ms <= p->now_ms)
            return 0;
        batch->ahead[i].bucket = p->keys.hash[p->bucket_key[bucket]];
    }
    return ANSWER_HEAD + n_ahead * ANSWER_AHEAD;
}

const char *batch_bucket_key(const struct batch *batch, uint64_t bucket, size_t *n)
{
    const struct packer *p = batch->packer;
    for (size_t i = 0; i < key_table_count(&p->keys, KEYED_BUCKETS); i++) {
        size_t key = p->bucket_key[i];
        if (p->keys.hash[key] == bucket) {
            *n = p->keys.bytes[key];
            return p->keys.keys[key];
        }
    }
    return NULL;
}

enum batch_answer batch_unpack(struct batch *batch, const char *data, size_t n, struct buf *rows,
                               int64_t *store_ms)
{
    size_t at = answer_ahead(batch, data, n), rows_at[BATCH_MAX_GROUPS] = {0};
    if (at == 0)
        return BATCH_UNREADABLE;
    *store_ms = batch->packer->now_ms;
    if (data[0] == DECIDED_STALE)
        return BATCH_STALE;
    buf_clear(rows);
    for (size_t g = batch->from; g < batch->to; g++) {
        const struct batch_group *group = &batch->groups[g];
        if (!group->sent)
            continue;
        if (n - at < ANSWER_OP)
            return BATCH_UNREADABLE;
        const char *answer = data + at;
        size_t granted = (unsigned char)answer[1];
        if (!answer_fits(group_leader(batch, group), group->n, answer))
            return BATCH_UNREADABLE;
        size_t tail = answer_pool(batch, group, answer, n - at);
        if (tail == SIZE_MAX || n - at < ANSWER_OP + tail + learned_bytes(answer))
            return BATCH_UNREADABLE;
        if (learned_bytes(answer) > 0 && !is_told(get_int(answer + ANSWER_OP + tail, 8)))
            return BATCH_UNREADABLE;
        at += ANSWER_OP + tail + learned_bytes(answer);
        if ((unsigned char)answer[0] == OP_PEEKED || (unsigned char)answer[0] == OP_FORGIVEN) {
            if (n - at < granted * ANSWER_ROW)
                return BATCH_UNREADABLE;
            rows_at[g] = answer_rows(batch->packer, rows, group_leader(batch, group), g, data + at);
            at += granted * ANSWER_ROW;
        }
        for (size_t i = 0; i < group->n; i++)
            if (batch->ops[group->first + i])
                answer_op(batch->ops[group->first + i], answer, i < granted);
    }
    for (size_t g = batch->from; g < batch->to; g++) {
        struct op *op = batch->ops[batch->groups[g].first];
        if (op && (op->outcome == OP_PEEKED || op->outcome == OP_FORGIVEN))
            op->rows = (struct op_row *)(void *)(buf_bytes(rows) + rows_at[g]);
    }
    return at == n ? BATCH_ANSWERED : BATCH_UNREADABLE;
}

void batch_close(struct batch *batch)
{
    struct packer *p = batch->packer;
    if (!p)
        return;
    buf_close(&p->argument);
    buf_close(&p->sets);
    buf_close(&p->buckets);
    buf_close(&p->ops);
    key_table_close(&p->keys);
    free(p);
    batch->packer = NULL;
}
