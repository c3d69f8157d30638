/*
 * The audit of one or all pools, a domain at a time:
 *
 *     read the ledger  ->  SCAN for the domain's slices  ->  count them, some at a time  ->  read the ledger again
 *
 * All of it is judged as of one second of the store's clock, that of the first reading. If anything was granted or
 * settled in between, the count cannot be compared: it is taken again, and after the last try `scanned` is -1.
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

enum { NUMBERS = 6, ACCOUNTS = 6, SLICES_A_CALL = 64, TRIES = 3, RECORD_BYTES = 42 };
#define LARGEST_SUM (INT64_C(1) << 60)
enum { GRANTED, REPORTED, EXPIRED, CANCELLED, SPENT, OUTSTANDING };

#define LOST "the connection to the store broke; try again"

struct pool_audit {
    const struct config_pool *pool;
    int64_t ledger[ACCOUNTS][NUMBERS];
    int64_t scanned[NUMBERS];
    bool moved;
};

struct audit {
    struct event_base *base;
    struct store *store;
    struct config *config;
    audit_done_fn *done;
    void *arg;
    size_t domain, tries;
    int64_t second;
    size_t n_pools; /* of all domains; those of the current one are [first, first + n) */
    size_t first, n;
    struct pool_audit *pools;
    char cursor[32];
    char **slices;
    size_t n_slices, cap_slices, next_slice;
    bool failed;
    uint64_t deadline_ms; /* of waiting for a store that is away; monotonic */
};

static void read_ledger(struct audit *a, store_reply_fn *on_ledger);
static void start_domain(struct audit *a);

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
    config_unref(a->config);
    free(a);
}

static void on_start(evutil_socket_t fd, short what, void *arg);

static void fail(struct audit *a, const char *why)
{
    a->done(a->arg, NULL, 0, why);
    audit_free(a);
}

/* The store is away: the domain is begun again when it is back, if that does not take longer than an operation may wait. */
static void begin_again(struct audit *a, const char *why)
{
    static const struct timeval soon = {0, 20 * 1000L};
    bool closed = strcmp(store_trouble(a->store), "closed") == 0; /* the server is ending */
    if (closed || clock_ms() >= a->deadline_ms ||
        event_base_once(a->base, -1, EV_TIMEOUT, on_start, a, &soon) < 0)
        fail(a, why);
}

/* ---- the result -------------------------------------------------------------------------------------------- */

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
        .scanned = p->moved ? -1 : p->scanned[unit],
    };
    row.balanced = row.granted == row.reported + row.outstanding + row.expired + row.cancelled &&
                   (p->moved || row.scanned == row.outstanding);
    return row;
}

static void finish(struct audit *a)
{
    struct audit_row *rows = calloc(a->n_pools * RATION_UNIT_COUNT + 1, sizeof *rows);
    size_t n = 0;
    if (!rows) {
        fail(a, "out of memory");
        return;
    }
    for (size_t i = 0; i < a->n_pools; i++)
        for (int unit = 0; unit < RATION_UNIT_CONCURRENT; unit++)
            if (unit == RATION_UNIT_REQUESTS || a->pools[i].ledger[GRANTED][unit] != 0)
                rows[n++] = make_row(&a->pools[i], unit);
    a->done(a->arg, rows, n, NULL);
    free(rows);
    audit_free(a);
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

static int64_t get_int(const char *data, size_t n)
{
    uint64_t little = 0;
    memcpy(&little, data, n);
    return (int64_t)le64toh(little);
}

/* The script keeps them in seven bytes, so that what is beyond is damaged, and the sums below cannot overflow. */
static bool is_sum(int64_t number)
{
    return number >= -LARGEST_SUM && number <= LARGEST_SUM;
}

static void take_ledger(const char *data, int64_t ledger[ACCOUNTS][NUMBERS])
{
    for (size_t b = 0; b < ACCOUNTS; b++)
        for (size_t i = 0; i < NUMBERS; i++)
            ledger[b][i] = get_int(data + (b * NUMBERS + i) * 8, 8);
}

static const char *ledger_problem(const struct audit *a, enum store_status status, const char *data,
                                 size_t n)
{
    static const char problem[] = "the store's answer was not understood";
    if (status != STORE_OK || n != 6 + a->n * ACCOUNTS * NUMBERS * 8)
        return problem;
    for (size_t at = 6; at < n; at += 8)
        if (!is_sum(get_int(data + at, 8)))
            return problem;
    return NULL;
}

/* Whatever was granted, reported or cancelled meanwhile makes the two readings differ. */
static bool same_movement(int64_t a[ACCOUNTS][NUMBERS], int64_t b[ACCOUNTS][NUMBERS])
{
    return memcmp(a[GRANTED], b[GRANTED], sizeof a[0]) == 0 &&
           memcmp(a[REPORTED], b[REPORTED], sizeof a[0]) == 0 &&
           memcmp(a[CANCELLED], b[CANCELLED], sizeof a[0]) == 0;
}

static void on_ledger_again(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST) {
        begin_again(a, LOST);
        return;
    }
    const char *problem = ledger_problem(a, status, data, n);
    if (problem) {
        fail(a, problem);
        return;
    }
    bool moved = false;
    for (size_t i = 0; i < a->n; i++) {
        int64_t ledger[ACCOUNTS][NUMBERS];
        take_ledger(data + 6 + i * sizeof ledger, ledger);
        a->pools[a->first + i].moved = !same_movement(a->pools[a->first + i].ledger, ledger);
        moved |= a->pools[a->first + i].moved;
    }
    if (moved && ++a->tries < TRIES) {
        start_domain(a);
        return;
    }
    a->tries = 0;
    a->first += a->n;
    a->domain++;
    start_domain(a);
}

static struct pool_audit *pool_of(struct audit *a, uint64_t check)
{
    for (size_t i = 0; i < a->n; i++) {
        const char *name = a->pools[a->first + i].pool->name;
        if (batch_pool_check(name, strlen(name)) == check >> 28)
            return &a->pools[a->first + i];
    }
    return NULL; /* a pool that is not audited, or no longer configured */
}

static bool take_counts(struct audit *a, size_t slices, const char *data, size_t n)
{
    size_t at = 6;
    for (size_t s = 0; s < slices; s++) {
        if (n < at + 2)
            return false;
        int64_t records = get_int(data + at, 2);
        at += 2;
        for (; records > 0; records--, at += RECORD_BYTES) {
            if (n < at + RECORD_BYTES)
                return false;
            struct pool_audit *p = pool_of(a, (uint64_t)get_int(data + at, 6));
            for (int i = 0; p && i < NUMBERS; i++) {
                p->scanned[i] += get_int(data + at + 6 + (size_t)i * 6, 6);
                if (!is_sum(p->scanned[i]))
                    return false;
            }
        }
    }
    return at == n;
}

static size_t slices_a_call(const struct audit *a)
{
    size_t left = a->n_slices - a->next_slice;
    return left < SLICES_A_CALL ? left : SLICES_A_CALL;
}

static void count_slices(struct audit *a);

static void on_counts(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    size_t slices = slices_a_call(a);
    if (status == STORE_LOST) {
        begin_again(a, LOST);
        return;
    }
    if (status != STORE_OK || !take_counts(a, slices, data, n)) {
        fail(a, "the store's answer was not understood");
        return;
    }
    a->next_slice += slices;
    count_slices(a);
}

static void pack_argument(const struct audit *a, size_t pools, char out[8])
{
    uint64_t little = htole64((uint64_t)a->second << 16 | pools);
    memcpy(out, &little, 8);
}

static void count_slices(struct audit *a)
{
    const char *keys[SLICES_A_CALL];
    size_t bytes[SLICES_A_CALL], n = slices_a_call(a);
    if (n == 0) {
        read_ledger(a, on_ledger_again);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = a->slices[a->next_slice + i];
        bytes[i] = strlen(keys[i]);
    }
    char argument[8];
    pack_argument(a, 0, argument);
    if (store_call(a->store, FUNCTION_AUDIT, n, keys, bytes, argument, sizeof argument, on_counts,
                   a) < 0)
        begin_again(a, store_trouble(a->store));
}

/* ---- finding the slices ------------------------------------------------------------------------------------ */

static void on_slice(void *arg, const char *key, size_t n)
{
    struct audit *a = arg;
    if (a->n_slices == a->cap_slices) {
        size_t cap = a->cap_slices ? a->cap_slices * 2 : 64;
        char **grown = realloc(a->slices, cap * sizeof *grown);
        if (!grown) {
            a->failed = true;
            return;
        }
        a->slices = grown;
        a->cap_slices = cap;
    }
    a->slices[a->n_slices] = strndup(key, n);
    if (a->slices[a->n_slices])
        a->n_slices++;
    else
        a->failed = true;
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

static void scan(struct audit *a);

static void on_scanned(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST) {
        begin_again(a, LOST);
        return;
    }
    if (status != STORE_OK || n >= sizeof a->cursor || a->failed) {
        fail(a, a->failed ? "out of memory" : "the store did not answer; try again");
        return;
    }
    memcpy(a->cursor, data, n);
    a->cursor[n] = 0;
    if (strcmp(a->cursor, "0") != 0) {
        scan(a);
        return;
    }
    drop_repeated(a);
    count_slices(a);
}

static void scan(struct audit *a)
{
    char pattern[KEY_BYTES];
    key_pattern_of_reservations(a->config->domains[a->domain], pattern);
    if (store_scan(a->store, a->cursor, pattern, on_slice, on_scanned, a) < 0)
        begin_again(a, store_trouble(a->store));
}

/* ---- a domain ---------------------------------------------------------------------------------------------- */

static void on_ledger(void *arg, enum store_status status, const char *data, size_t n)
{
    struct audit *a = arg;
    if (status == STORE_LOST) {
        begin_again(a, LOST);
        return;
    }
    const char *problem = ledger_problem(a, status, data, n);
    if (problem) {
        fail(a, problem);
        return;
    }
    a->second = get_int(data, 6);
    for (size_t i = 0; i < a->n; i++)
        take_ledger(data + 6 + i * sizeof a->pools[0].ledger, a->pools[a->first + i].ledger);
    strcpy(a->cursor, "0");
    scan(a);
}

static void read_ledger(struct audit *a, store_reply_fn *reply)
{
    size_t n = 2 * a->n;
    char(*names)[KEY_BYTES] = calloc(n, sizeof *names);
    const char **keys = calloc(n, sizeof *keys);
    size_t *bytes = calloc(n, sizeof *bytes);
    bool made = names && keys && bytes;
    for (size_t i = 0; made && i < n; i++) {
        const struct config_pool *pool = a->pools[a->first + i / 2].pool;
        keys[i] = names[i];
        bytes[i] = key_name_of_pool(i % 2 ? KEY_POOL_SLOTS : KEY_POOL, pool->domain, pool->name,
                                    names[i]);
    }
    char argument[8];
    pack_argument(a, a->n, argument);
    bool sent = made && store_call(a->store, FUNCTION_AUDIT, n, keys, bytes, argument,
                                   sizeof argument, reply, a) == 0;
    free(names);
    free(keys);
    free(bytes);
    if (!made)
        fail(a, "out of memory");
    else if (!sent)
        begin_again(a, store_trouble(a->store));
}

/* Pools were sorted by domain, so a domain's are next to each other. */
static void start_domain(struct audit *a)
{
    free_slices(a);
    a->second = 0;
    for (; a->domain < a->config->n_domains; a->domain++) {
        const char *domain = a->config->domains[a->domain];
        for (a->n = 0; a->first + a->n < a->n_pools; a->n++) {
            struct pool_audit *p = &a->pools[a->first + a->n];
            if (strcmp(p->pool->domain, domain) != 0)
                break;
            memset(p->scanned, 0, sizeof p->scanned);
        }
        if (a->n > 0) {
            read_ledger(a, on_ledger);
            return;
        }
    }
    finish(a);
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    start_domain(arg);
}

void audit_run(struct event_base *base, struct store *store, struct config *config,
               const struct config_pool *pool, audit_done_fn *done, void *arg)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a) {
        done(arg, NULL, 0, "out of memory");
        return;
    }
    *a = (struct audit){
        .base = base, .store = store, .config = config_ref(config), .done = done, .arg = arg};
    a->deadline_ms = clock_ms() + config->store.timeout_ms;
    size_t count = config_pool_count(config);
    a->pools = calloc(count + 1, sizeof *a->pools);
    for (size_t d = 0; a->pools && d < config->n_domains; d++)
        for (size_t i = 0; i < count; i++) {
            const struct config_pool *each = config_pool_at(config, i);
            if ((!pool || pool == each) && strcmp(each->domain, config->domains[d]) == 0)
                a->pools[a->n_pools++].pool = each;
        }
    struct timeval at_once = {0, 0};
    if (!a->pools || event_base_once(base, -1, EV_TIMEOUT, on_start, a, &at_once) < 0)
        fail(a, "out of memory");
}
