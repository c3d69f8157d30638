/*
 * The audit of one or all pools, in steps:
 *
 *     read the ledgers  ->  SCAN for the slices  ->  count them  ->  read the ledgers again
 *
 * A step is one bounded call (lua/audit.lua), sent when the one before it has been answered, so the
 * store decides for others in between, however much there is to audit. Everything is judged as of
 * one second of the store's clock, that of the first reading.
 *
 * If anything was granted or settled in between, a pool's count cannot be compared. If the whole
 * audit took only a moment, it is repeated; otherwise, or after the last try, that pool's `scanned`
 * is -1.
 *
 * A record identifies its pool only by 20 bits of a hash. Pools that share them are compared
 * together: what was counted beyond the sum of their ledgers shows in each of them.
 *
 * When the connection to the store breaks, the audit starts again as soon as the store is back. It
 * gives up if that takes longer than an operation may wait, or happens too often.
 */
#define _GNU_SOURCE
#include "batch/audit.h"

#include <endian.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/key_names.h"
#include "batch/script_wire.h"
#include "clock.h"
#include "log.h"
#include "store/store.h"

enum { NUMBERS = 6, ACCOUNTS = 6, POOLS_A_CALL = 16, SLICES_A_CALL = 64 };
enum { LEDGER_BYTES = ACCOUNTS * NUMBERS * 8, COUNT_BYTES = 4 + NUMBERS * 8 };
enum { TRIES = 3, AGAIN_WITHIN_MS = 1000, MAX_RESTARTS = 10 };
#define LARGEST_SUM (INT64_C(1) << 60)
enum { GRANTED, REPORTED, EXPIRED, CANCELLED, SPENT, OUTSTANDING };
enum phase { READ_LEDGERS, SCAN, COUNT, READ_AGAIN };

#define LOST           "the connection to the store broke; try again"
#define NOT_UNDERSTOOD "the store's answer was not understood"
#define DOMAIN_BEGIN   "ration:{"

struct pool_audit {
    const struct config_pool *pool;
    size_t place;  /* in the configuration */
    uint32_t hash; /* as in the check of its records */
    bool asked;    /* false: read only because a pool that was asked for shares its hash */
    bool moved;
    int64_t ledger[ACCOUNTS][NUMBERS];
    int64_t counted[NUMBERS]; /* kept in the first of the pools that share a domain and a hash */
};

struct audit {
    struct store *store;
    struct config *config;
    audit_done_fn *done;
    void *arg;
    enum phase phase;
    int64_t second;
    struct pool_audit *pools; /* by domain, then by hash */
    size_t n_pools, next_pool;
    char cursor[32];
    char **slices; /* by domain, too */
    size_t n_slices, cap_slices, next_slice;
    size_t tries, restarts;
    bool failed;
    struct event *timer;  /* starts the audit, at once or again */
    uint64_t began_ms;    /* this try; monotonic */
    uint64_t deadline_ms; /* of the wait for a store that is away */
};

static void begin(struct audit *a);
static void step(struct audit *a);

static void free_slices(struct audit *a)
{
    for (size_t i = 0; i < a->n_slices; i++)
        free(a->slices[i]);
    a->n_slices = a->next_slice = 0;
}

static void audit_free(struct audit *a)
{
    free_slices(a);
    free(a->slices);
    free(a->pools);
    if (a->timer)
        event_free(a->timer);
    config_unref(a->config);
    free(a);
}

static void fail(struct audit *a, const char *why)
{
    a->done(a->arg, NULL, 0, why);
    audit_free(a);
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    begin(arg);
}

/* Waits for a store that is not ready, then starts again. */
static void begin_again(struct audit *a)
{
    static const struct timeval soon = {0, 20 * 1000L};
    const char *why = store_trouble(a->store);
    bool closed = strcmp(why, "closed") == 0; /* the server is ending */
    if (closed || clock_ms() >= a->deadline_ms || event_add(a->timer, &soon) < 0)
        fail(a, *why ? why : LOST);
}

static void lost(struct audit *a)
{
    a->deadline_ms = clock_ms() + a->config->store.timeout_ms;
    if (++a->restarts > MAX_RESTARTS)
        fail(a, LOST);
    else
        begin_again(a);
}

/* ---- the result ------------------------------------------------------------------------------ */

static bool shares_hash(const struct pool_audit *a, const struct pool_audit *b)
{
    return a->hash == b->hash && strcmp(a->pool->domain, b->pool->domain) == 0;
}

/* Compares what was counted for the pools that share a hash with the sum of their ledgers, and
 * gives the difference to each of them. */
static void share_counts(struct pool_audit *pools, size_t n)
{
    int64_t beyond[NUMBERS];
    bool moved = false;
    memcpy(beyond, pools[0].counted, sizeof beyond);
    for (size_t i = 0; i < n; i++) {
        moved |= pools[i].moved;
        for (size_t u = 0; u < NUMBERS; u++)
            beyond[u] -= pools[i].ledger[OUTSTANDING][u];
    }
    for (size_t i = 0; i < n; i++) {
        pools[i].moved = moved;
        for (size_t u = 0; u < NUMBERS; u++)
            pools[i].counted[u] = pools[i].ledger[OUTSTANDING][u] + beyond[u];
    }
}

static void share_all_counts(struct audit *a)
{
    for (size_t first = 0, n; first < a->n_pools; first += n) {
        n = 1;
        while (first + n < a->n_pools && shares_hash(&a->pools[first], &a->pools[first + n]))
            n++;
        share_counts(&a->pools[first], n);
    }
}

static struct audit_row make_row(const struct pool_audit *p, int unit)
{
    struct audit_row row = {
        .pool = p->pool,
        .unit = (enum ration_unit)unit,
        .granted = p->ledger[GRANTED][unit],
        .reported = p->ledger[REPORTED][unit],
        .outstanding = p->ledger[OUTSTANDING][unit],
        .expired = p->ledger[EXPIRED][unit],
        .cancelled = p->ledger[CANCELLED][unit],
        .used = p->ledger[SPENT][unit],
        .scanned = p->moved ? -1 : p->counted[unit],
    };
    row.balanced = row.granted == row.reported + row.outstanding + row.expired + row.cancelled &&
                   (p->moved || row.scanned == row.outstanding);
    return row;
}

static int by_place(const void *a, const void *b)
{
    const struct pool_audit *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void finish(struct audit *a)
{
    struct audit_row *rows = calloc(a->n_pools * RATION_UNIT_COUNT + 1, sizeof *rows);
    size_t n = 0;
    if (!rows) {
        fail(a, "out of memory");
        return;
    }
    share_all_counts(a);
    qsort(a->pools, a->n_pools, sizeof *a->pools, by_place);
    for (size_t i = 0; i < a->n_pools; i++)
        for (int unit = 0; a->pools[i].asked && unit < RATION_UNIT_CONCURRENT; unit++)
            if (unit == RATION_UNIT_REQUESTS || a->pools[i].ledger[GRANTED][unit] != 0)
                rows[n++] = make_row(&a->pools[i], unit);
    a->done(a->arg, rows, n, NULL);
    free(rows);
    audit_free(a);
}

/* ---- the ledgers ----------------------------------------------------------------------------- */

static int64_t get_int(const char *data, size_t n)
{
    uint64_t little = 0;
    memcpy(&little, data, n);
    return (int64_t)le64toh(little);
}

/* The script keeps them in seven bytes, so anything larger is damaged, and the sums here cannot
 * overflow. */
static bool take_numbers(const char *data, int64_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = get_int(data + 8 * i, 8);
        if (to[i] < -LARGEST_SUM || to[i] > LARGEST_SUM)
            return false;
    }
    return true;
}

/* Anything granted, reported or cancelled in between makes the two readings differ. */
static bool same_movement(int64_t a[ACCOUNTS][NUMBERS], int64_t b[ACCOUNTS][NUMBERS])
{
    return memcmp(a[GRANTED], b[GRANTED], sizeof a[0]) == 0 &&
           memcmp(a[REPORTED], b[REPORTED], sizeof a[0]) == 0 &&
           memcmp(a[CANCELLED], b[CANCELLED], sizeof a[0]) == 0;
}

/* How many pools the next call reads: neighbours in one domain. */
static size_t pools_of_call(const struct audit *a)
{
    size_t n = 1;
    while (n < POOLS_A_CALL && a->next_pool + n < a->n_pools &&
           strcmp(a->pools[a->next_pool].pool->domain, a->pools[a->next_pool + n].pool->domain) ==
               0)
        n++;
    return n;
}

static bool take_ledgers(struct audit *a, const char *data, size_t n)
{
    size_t read = n >= 8 ? (size_t)get_int(data + 6, 2) : 0;
    if (read == 0 || read > pools_of_call(a) || n < 8 + read * LEDGER_BYTES)
        return false;
    if (a->second == 0)
        a->second = get_int(data, 6);
    for (size_t i = 0; i < read; i++, a->next_pool++) {
        struct pool_audit *p = &a->pools[a->next_pool];
        int64_t ledger[ACCOUNTS][NUMBERS];
        if (!take_numbers(data + 8 + i * LEDGER_BYTES, ledger[0], (size_t)ACCOUNTS * NUMBERS))
            return false;
        if (a->phase == READ_AGAIN)
            p->moved = !same_movement(p->ledger, ledger);
        else
            memcpy(p->ledger, ledger, sizeof ledger);
    }
    return true;
}

static bool any_moved(const struct audit *a)
{
    for (size_t i = 0; i < a->n_pools; i++)
        if (a->pools[i].moved)
            return true;
    return false;
}

static void end_try(struct audit *a)
{
    if (any_moved(a) && ++a->tries < TRIES && clock_ms() - a->began_ms <= AGAIN_WITHIN_MS)
        begin(a);
    else
        finish(a);
}

static void on_ledgers(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST) {
        lost(a);
    } else if (status != STORE_OK || !take_ledgers(a, data, n)) {
        fail(a, NOT_UNDERSTOOD);
    } else if (a->next_pool < a->n_pools) {
        step(a);
    } else if (a->phase == READ_AGAIN) {
        end_try(a);
    } else {
        a->phase = SCAN;
        step(a);
    }
}

static int call(struct audit *a, size_t n_pools, size_t n_keys, const char *const keys[],
                store_reply_fn *on_reply)
{
    size_t bytes[SLICES_A_CALL];
    char argument[8];
    uint64_t little = htole64((uint64_t)a->second << 16 | n_pools);
    memcpy(argument, &little, sizeof argument);
    for (size_t i = 0; i < n_keys; i++)
        bytes[i] = strlen(keys[i]);
    return store_call(a->store, FUNCTION_AUDIT, n_keys, keys, bytes, argument, sizeof argument,
                      on_reply, a);
}

static int read_ledgers(struct audit *a)
{
    _Static_assert(2 * POOLS_A_CALL <= SLICES_A_CALL, "call() has room for the keys");
    char names[2 * POOLS_A_CALL][KEY_BYTES];
    const char *keys[2 * POOLS_A_CALL];
    size_t n = pools_of_call(a);
    for (size_t i = 0; i < 2 * n; i++) {
        const struct config_pool *pool = a->pools[a->next_pool + i / 2].pool;
        key_name_of_pool(i % 2 ? KEY_POOL_SLOTS : KEY_POOL, pool->domain, pool->name, names[i]);
        keys[i] = names[i];
    }
    return call(a, n, 2 * n, keys, on_ledgers);
}

/* ---- finding the slices ---------------------------------------------------------------------- */

static const char *domain_end(const char *slice)
{
    return strchr(slice, '}');
}

/* The index of the first pool in the slice's domain with this hash or a greater one. */
static size_t find_pools(const struct audit *a, const char *slice, uint32_t hash)
{
    const char *domain = slice + strlen(DOMAIN_BEGIN);
    size_t domain_bytes = (size_t)(domain_end(slice) - domain), low = 0, high = a->n_pools;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pool_audit *p = &a->pools[middle];
        int order = strncmp(p->pool->domain, domain, domain_bytes);
        if (order == 0 && p->pool->domain[domain_bytes] != '\0')
            order = 1;
        if (order < 0 || (order == 0 && p->hash < hash))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool in_domain_of(const struct audit *a, size_t pool, const char *slice)
{
    const char *domain = slice + strlen(DOMAIN_BEGIN);
    size_t n = (size_t)(domain_end(slice) - domain);
    return pool < a->n_pools && strlen(a->pools[pool].pool->domain) == n &&
           memcmp(a->pools[pool].pool->domain, domain, n) == 0;
}

static void on_slice(void *arg, const char *key, size_t n)
{
    struct audit *a = arg;
    char *slice = strndup(key, n);
    if (a->n_slices == a->cap_slices) {
        size_t cap = a->cap_slices ? a->cap_slices * 2 : 64;
        char **grown = realloc(a->slices, cap * sizeof *grown);
        if (grown) {
            a->slices = grown;
            a->cap_slices = cap;
        }
    }
    if (!slice || a->n_slices == a->cap_slices)
        a->failed = true;
    else if (strncmp(slice, DOMAIN_BEGIN, strlen(DOMAIN_BEGIN)) == 0 && domain_end(slice) &&
             in_domain_of(a, find_pools(a, slice, 0), slice)) {
        a->slices[a->n_slices++] = slice;
        return;
    }
    free(slice);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* SCAN may name a key twice. */
static void drop_repeated(struct audit *a)
{
    size_t kept = 0;
    if (a->n_slices > 1)
        qsort(a->slices, a->n_slices, sizeof *a->slices, by_text);
    for (size_t i = 0; i < a->n_slices; i++) {
        if (kept > 0 && strcmp(a->slices[kept - 1], a->slices[i]) == 0)
            free(a->slices[i]);
        else
            a->slices[kept++] = a->slices[i];
    }
    a->n_slices = kept;
}

static void on_scanned(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST) {
        lost(a);
        return;
    }
    if (status != STORE_OK || n >= sizeof a->cursor || a->failed) {
        fail(a, a->failed ? "out of memory" : NOT_UNDERSTOOD);
        return;
    }
    memcpy(a->cursor, data, n);
    a->cursor[n] = 0;
    if (strcmp(a->cursor, "0") == 0) {
        drop_repeated(a);
        a->phase = COUNT;
    }
    step(a);
}

/* ---- counting -------------------------------------------------------------------------------- */

/* How many slices the next call counts: neighbours in one domain. */
static size_t slices_of_call(const struct audit *a)
{
    const char *const first = a->slices[a->next_slice];
    size_t n = 1, domain_bytes = (size_t)(domain_end(first) + 1 - first);
    while (n < SLICES_A_CALL && a->next_slice + n < a->n_slices &&
           strncmp(first, a->slices[a->next_slice + n], domain_bytes) == 0)
        n++;
    return n;
}

static bool take_counts(struct audit *a, const char *data, size_t n)
{
    const char *slice = a->slices[a->next_slice];
    size_t slices = n >= 14 ? (size_t)get_int(data + 8, 2) : 0;
    if (slices == 0 || slices > slices_of_call(a) || get_int(data + 6, 2) != 0 ||
        (n - 14) / COUNT_BYTES != (size_t)get_int(data + 10, 4) || (n - 14) % COUNT_BYTES != 0)
        return false;
    for (size_t at = 14; at < n; at += COUNT_BYTES) {
        int64_t numbers[NUMBERS];
        uint32_t hash = (uint32_t)get_int(data + at, 4);
        size_t i = find_pools(a, slice, hash);
        if (!take_numbers(data + at + 4, numbers, NUMBERS))
            return false;
        if (!in_domain_of(a, i, slice) || a->pools[i].hash != hash)
            continue; /* a pool that is not audited, or no longer configured */
        for (size_t u = 0; u < NUMBERS; u++) {
            a->pools[i].counted[u] += numbers[u];
            if (a->pools[i].counted[u] < -LARGEST_SUM || a->pools[i].counted[u] > LARGEST_SUM)
                return false;
        }
    }
    a->next_slice += slices;
    return true;
}

static void on_counts(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST)
        lost(a);
    else if (status != STORE_OK || !take_counts(a, data, n))
        fail(a, NOT_UNDERSTOOD);
    else
        step(a);
}

/* ---- the steps ------------------------------------------------------------------------------- */

static int send_step(struct audit *a)
{
    char pattern[KEY_BYTES];
    switch (a->phase) {
    case READ_LEDGERS:
    case READ_AGAIN:
        return read_ledgers(a);
    case SCAN:
        key_pattern_of_reservations("*", pattern);
        return store_scan(a->store, a->cursor, pattern, on_slice, on_scanned, a);
    case COUNT:
        return call(a, 0, slices_of_call(a), (const char *const *)a->slices + a->next_slice,
                    on_counts);
    }
    return -1;
}

static void step(struct audit *a)
{
    if (a->phase == COUNT && a->next_slice == a->n_slices) {
        a->phase = READ_AGAIN;
        a->next_pool = 0;
    }
    if (send_step(a) < 0) {
        a->deadline_ms = clock_ms() + a->config->store.timeout_ms;
        begin_again(a);
    }
}

static void begin(struct audit *a)
{
    if (!store_ready(a->store)) {
        begin_again(a);
        return;
    }
    if (a->n_pools == 0) {
        finish(a);
        return;
    }
    free_slices(a);
    for (size_t i = 0; i < a->n_pools; i++)
        memset(a->pools[i].counted, 0, sizeof a->pools[i].counted);
    a->phase = READ_LEDGERS;
    a->second = 0;
    a->next_pool = 0;
    a->began_ms = clock_ms();
    strcpy(a->cursor, "0");
    step(a);
}

void audit_end(struct audit *a)
{
    fail(a, LOST);
}

/* A cursor counts up from its highest bit down, so its bits in reverse are the share of the keys
 * already seen. */
static int scanned_percent(const char *cursor)
{
    uint64_t bits = strtoull(cursor, NULL, 10), backwards = 0;
    for (int i = 0; i < 64; i++, bits >>= 1)
        backwards = backwards << 1 | (bits & 1);
    return (int)(backwards / (UINT64_MAX / 100 + 1));
}

int audit_percent(const struct audit *a)
{
    int pools = a->n_pools ? (int)(100 * a->next_pool / a->n_pools) : 0;
    int slices = a->n_slices ? (int)(100 * a->next_slice / a->n_slices) : 0;
    switch (a->phase) {
    case READ_LEDGERS:
        return pools / 10;
    case SCAN:
        return 10 + scanned_percent(a->cursor) * 4 / 10;
    case COUNT:
        return 50 + slices * 4 / 10;
    case READ_AGAIN:
        return 90 + pools / 10;
    }
    return 0;
}

static int by_domain_and_hash(const void *a, const void *b)
{
    const struct pool_audit *x = a, *y = b;
    int order = strcmp(x->pool->domain, y->pool->domain);
    if (order == 0 && x->hash != y->hash)
        order = x->hash < y->hash ? -1 : 1;
    return order ? order : by_place(a, b);
}

/* The pools that were asked for, and those that cannot be told apart from them. */
static bool choose_pools(struct audit *a, const struct config_pool *pool)
{
    size_t count = config_pool_count(a->config);
    uint32_t hash = pool ? id_pool_check(pool->name, strlen(pool->name)) : 0;
    a->pools = calloc(count + 1, sizeof *a->pools);
    for (size_t i = 0; a->pools && i < count; i++) {
        const struct config_pool *each = config_pool_at(a->config, i);
        struct pool_audit p = {.pool = each,
                               .place = i,
                               .hash = id_pool_check(each->name, strlen(each->name)),
                               .asked = !pool || pool == each};
        if (p.asked || (p.hash == hash && strcmp(each->domain, pool->domain) == 0))
            a->pools[a->n_pools++] = p;
    }
    if (a->pools && a->n_pools > 1)
        qsort(a->pools, a->n_pools, sizeof *a->pools, by_domain_and_hash);
    return a->pools != NULL;
}

struct audit *audit_run(struct event_base *base, struct store *store, struct config *config,
                        const struct config_pool *pool, audit_done_fn *done, void *arg)
{
    static const struct timeval at_once = {0, 0};
    struct audit *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct audit){.store = store, .config = config_ref(config), .done = done, .arg = arg};
    a->deadline_ms = clock_ms() + config->store.timeout_ms;
    a->timer = event_new(base, -1, 0, on_begin, a);
    if (!choose_pools(a, pool) || !a->timer || event_add(a->timer, &at_once) < 0) {
        audit_free(a);
        return NULL;
    }
    return a;
}
