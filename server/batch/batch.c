/*
 * Group commit: while one batch of a domain is at the store, the next one gathers.
 *
 * The normal path: batch_submit() queues the operation in its domain and wakes the batcher. The
 * batcher runs at the end of the event loop's turn and, for each domain with nothing under way,
 * forms a batch of what waits and sends it. The answer completes the operations and wakes the
 * batcher again.
 *
 * What goes wrong:
 *   the store is not ready          operations wait in their domain
 *   the batch's fate is unknown     it stays in the domain and is sent again, marked, before
 *                                   anything else of its domain
 *   the script refused it           nothing was written; it is tried again in halves, until the
 *                                   operation that the script cannot decide is alone and ends as
 *                                   OP_REFUSED
 *   the store refused it            (out of memory, read-only, ...) its operations end as
 *                                   OP_REFUSED
 *   the calendar moved on (stale)   the same batch is packed again with the time of the store, or
 *                                   of the bucket that is ahead
 *   an operation waited too long    it ends as OP_UNAVAILABLE; its place in the batch stays, so
 *                                   that the others keep theirs when the batch is sent again
 *   a free-form id                  the store is first asked for whom it was made (lookup.c)
 */
#define _GNU_SOURCE
#include "batch/batch.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "batch/batch_inner.h"
#include "clock.h"
#include "hash.h"
#include "log.h"

enum { SWEEP_MS = 20, STALE_TRIES = 3, AHEAD_LOGGED_MS = 1000 };
enum { MOST_ROW_BYTES = 64 << 20 };  /* of one batch */
enum { SAID = 64, SAID_MS = 60000 }; /* what was logged recently */

static void on_answer(void *arg, enum store_status status, const char *data, size_t n);

/* ---- queues ---------------------------------------------------------------------------------- */

void op_queue_put(struct op_queue *queue, struct op *op)
{
    op->next = NULL;
    if (queue->last)
        queue->last->next = op;
    else
        queue->first = op;
    queue->last = op;
    queue->n++;
    queue->own_ids += op->own_id;
}

struct op *op_queue_take(struct op_queue *queue)
{
    struct op *op = queue->first;
    if (op) {
        queue->first = op->next;
        if (!queue->first)
            queue->last = NULL;
        queue->n--;
        queue->own_ids -= op->own_id;
    }
    return op;
}

static struct domain_queue *find_domain(struct batcher *b, const char *name)
{
    for (struct domain_queue *domain = b->domains; domain; domain = domain->next)
        if (strcmp(domain->name, name) == 0)
            return domain;
    struct domain_queue *domain = calloc(1, sizeof *domain);
    if (!domain)
        return NULL;
    domain->name = strdup(name);
    if (!domain->name) {
        free(domain);
        return NULL;
    }
    domain->batcher = b;
    domain->next = b->domains;
    b->domains = domain;
    return domain;
}

static bool has_waiting(const struct op_queue *queue, const struct id *id)
{
    for (const struct op *op = queue->own_ids > 0 ? queue->first : NULL; op; op = op->next)
        if (op->own_id && id_same_reservation(&op->id, id))
            return true;
    return false;
}

bool batcher_acquire_waits(const struct batcher *b, const struct op *op)
{
    for (const struct domain_queue *domain = b->domains; domain; domain = domain->next)
        for (int q = QUEUE_ACQUIRE_0; q <= QUEUE_ACQUIRE_2; q++)
            if (has_waiting(&domain->queues[q], &op->id))
                return true;
    return false;
}

/* Reports, renewals and cancels first (they make room), then acquires by priority, then queries.
 * But a client may send an acquire under its own id with the report right behind it. */
static enum op_urgency queue_of(const struct batcher *b, const struct op *op)
{
    if (op->kind == OP_ACQUIRE)
        return (enum op_urgency)(QUEUE_ACQUIRE_0 + op->priority);
    if (op->kind >= OP_PEEK)
        return QUEUE_PEEK;
    return batcher_acquire_waits(b, op) ? QUEUE_AFTER : QUEUE_SETTLE;
}

void batcher_wake(struct batcher *b)
{
    event_active(b->wake, EV_TIMEOUT, 1);
}

/* Completions are deferred: an operation may fail inside batch_submit(), when its caller is not yet
 * ready for its end. */
void batcher_end(struct batcher *b, struct op *op, enum op_outcome outcome)
{
    op->outcome = outcome;
    op_queue_put(&b->ended, op);
    batcher_wake(b);
}

void batcher_enqueue(struct batcher *b, struct op *op)
{
    struct domain_queue *domain = find_domain(b, op->policy.pool->domain);
    if (!domain) {
        batcher_end(b, op, OP_UNAVAILABLE);
        return;
    }
    op_queue_put(&domain->queues[queue_of(b, op)], op);
    batcher_wake(b);
}

void batch_submit(struct batcher *b, struct op *op)
{
    op->outcome = OP_PENDING;
    if (b->turn_ms == 0)
        b->turn_ms = clock_ms();
    op->deadline_ms = b->turn_ms + b->timeout_ms;
    counter_add(&b->load, 1);
    if (!b->sweeping) {
        struct timeval soon = {0, SWEEP_MS * 1000L};
        b->sweeping = true;
        event_add(b->sweep, &soon);
    }
    if (op->id.free_form && op->kind != OP_ACQUIRE && op->kind < OP_PEEK)
        batcher_look_up(b, op);
    else
        batcher_enqueue(b, op);
}

/* The number of operations in the part that is under way. */
static size_t part_ops(const struct batch *batch)
{
    size_t end = batch->to < batch->n_groups ? batch->groups[batch->to].first : batch->n;
    return end - batch->groups[batch->from].first;
}

static void finish(struct batcher *b, struct op *op)
{
    if (op->kind == OP_ACQUIRE && !id_is_made(&op->id))
        /* It was in no batch, but may be allowed all the same. */
        id_make(&b->ids, clock_ms(), 1, &op->id);
    counter_add(&b->load, (uint64_t)-1);
    counter_add(&b->counters.unavailable, op->outcome == OP_UNAVAILABLE);
    counter_add(&b->counters.refused, op->outcome == OP_REFUSED);
    op->done(op);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int64_t store_now_ms(const struct batcher *b)
{
    if (b->store_clock_known)
        return b->store_clock_ms + (int64_t)(clock_ms() - b->store_clock_at);
    /* A first guess for calendar limits; if it is wrong, the script says so and gives the right
     * time. */
    return (int64_t)time(NULL) * 1000;
}

static void end_batch(struct domain_queue *domain, enum op_outcome outcome)
{
    struct batch *batch = &domain->batch;
    for (size_t i = 0; i < batch->n; i++)
        if (batch->ops[i])
            batcher_end(domain->batcher, batch->ops[i], outcome);
    domain->state = DOMAIN_IDLE;
    batch->n = domain->n_ends = 0;
}

/* Ends what is under way. The next part of the batch follows, if there is one. `done` may submit
 * operations; they wait for on_wake(). */
static void end_part(struct domain_queue *domain, enum op_outcome outcome, const char *trouble)
{
    struct batch *batch = &domain->batch;
    size_t first = batch->groups[batch->from].first;
    size_t end = first + part_ops(batch);
    bool last = domain->n_ends == 0;
    domain->state = last ? DOMAIN_IDLE : DOMAIN_UNSENT;
    if (last) {
        batch->n = 0;
    } else {
        batch->from = batch->to;
        batch->to = domain->ends[--domain->n_ends];
        domain->stale_tries = 0;
    }
    for (size_t i = first; i < end; i++) {
        struct op *op = batch->ops[i];
        batch->ops[i] = NULL;
        if (!op)
            continue;
        if (outcome != OP_PENDING)
            op->outcome = outcome;
        op->trouble = trouble;
        finish(domain->batcher, op);
    }
    batcher_wake(domain->batcher);
}

static void send_batch(struct domain_queue *domain)
{
    struct batcher *b = domain->batcher;
    struct batch *batch = &domain->batch;
    if (batch_pack(batch, store_now_ms(b)) < 0) {
        log_error("out of memory", "what=batch operations=%zu", batch->n);
        end_batch(domain, OP_UNAVAILABLE);
        return;
    }
    const struct key_table *keys = batch_keys(batch);
    const struct buf *argument = batch_argument(batch);
    if (keys->n == 0) { /* all of them have been answered meanwhile */
        end_part(domain, OP_UNAVAILABLE, NULL);
        return;
    }
    if (store_call(b->store, FUNCTION_DECIDE, keys->n, keys->keys, keys->bytes, buf_bytes(argument),
                   buf_size(argument), on_answer, domain) < 0) {
        domain->state = DOMAIN_UNSENT;
        return;
    }
    domain->state = DOMAIN_SENT;
    counter_add(&b->counters.batches, 1);
    counter_add(&b->counters.operations, part_ops(batch));
    counter_add(&b->counters.resent, batch->resent ? part_ops(batch) : 0);
}

static void form_batch(struct domain_queue *domain)
{
    struct op *ops[BATCH_MAX_OPS];
    size_t n = 0;
    for (int q = 0; q < QUEUE_COUNT; q++)
        for (struct op *op = domain->queues[q].first; op && n < BATCH_MAX_OPS; op = op->next)
            ops[n++] = op;
    if (n == 0)
        return;
    domain->stale_tries = 0;
    domain->n_ends = 0;
    size_t taken = batch_form(&domain->batch, domain->name, ops, n, &domain->batcher->ids);
    for (int q = 0; q < QUEUE_COUNT; q++)
        for (; taken > 0 && domain->queues[q].first; taken--)
            op_queue_take(&domain->queues[q]);
    send_batch(domain);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct batcher *b = arg;
    b->turn_ms = 0;
    while (b->ended.first)
        finish(b, op_queue_take(&b->ended));
    if (!store_ready(b->store))
        return;
    for (struct domain_queue *domain = b->domains; domain; domain = domain->next) {
        if (domain->state == DOMAIN_UNSENT)
            send_batch(domain);
        else if (domain->state == DOMAIN_IDLE)
            form_batch(domain);
    }
    /* Look-ups come after the batches: one for an id whose acquire has just been sent must follow
     * it. */
    if (store_ready(b->store))
        batcher_look_up_waiting(b);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Limits the log: nothing twice within a minute, whichever thread logs it, and at most SAID lines a
 * minute. */
static bool may_say(uint64_t what)
{
    static _Atomic uint64_t said_until[SAID];
    _Atomic uint64_t *until = &said_until[what % SAID];
    uint64_t now = clock_ms(), seen = *until;
    return seen <= now && atomic_compare_exchange_strong(until, &seen, now + SAID_MS);
}

static void say_ahead(struct batcher *b, const struct batch *batch, int64_t store_ms)
{
    counter_add(&b->counters.ahead, batch->n_ahead);
    for (size_t i = 0; i < batch->n_ahead; i++) {
        int64_t by_ms = batch->ahead[i].time_ms - store_ms;
        size_t n;
        const char *key = batch_bucket_key(batch, batch->ahead[i].bucket, &n);
        if (key && by_ms >= AHEAD_LOGGED_MS && may_say(batch->ahead[i].bucket))
            log_warn("a bucket is ahead of the store's clock, which has stepped back; the bucket "
                     "stands still until the clock has caught up",
                     "key=\"%.*s\" ahead_ms=%" PRId64, (int)n, key, by_ms);
    }
}

static void on_readable(struct domain_queue *domain, const char *data, size_t n)
{
    struct batcher *b = domain->batcher;
    struct batch *batch = &domain->batch;
    int64_t store_ms = 0;
    enum batch_answer answer = batch_unpack(batch, data, n, &b->rows, &store_ms);
    if (answer != BATCH_UNREADABLE) {
        b->store_clock_known = true;
        b->store_clock_ms = store_ms;
        b->store_clock_at = clock_ms();
    }
    if (answer != BATCH_UNREADABLE)
        say_ahead(b, batch, store_ms);
    if (answer == BATCH_STALE && domain->stale_tries++ < STALE_TRIES) {
        send_batch(domain);
        return;
    }
    if (answer != BATCH_ANSWERED) {
        log_error("the script's answer was not understood", "bytes=%zu stale=%d", n,
                  answer == BATCH_STALE);
        end_part(domain, OP_UNAVAILABLE, NULL);
        return;
    }
    end_part(domain, OP_PENDING, NULL);
}

/* Is there an operation in the batch that cannot be decided? If not, the store refuses everybody
 * (OOM, READONLY, ...). A function's own errors are ERR. */
static bool is_of_one(const char *words)
{
    return strncmp(words, "ERR ", 4) == 0 || strncmp(words, "WRONGTYPE ", 10) == 0;
}

/* Tries the first half of what was refused; the other half follows. */
static void halve(struct domain_queue *domain)
{
    struct batch *batch = &domain->batch;
    assert(domain->n_ends < sizeof domain->ends / sizeof domain->ends[0]);
    domain->ends[domain->n_ends++] = batch->to;
    batch->to = batch->from + (batch->to - batch->from) / 2;
    domain->stale_tries = 0;
    counter_add(&domain->batcher->counters.halved, 1);
    send_batch(domain);
}

/* Logs once for each error and whoever is refused, not for each list of keys: slices change every
 * few seconds. */
static void say_refused(const struct batch *batch, const char *trouble)
{
    const struct key_table *keys = batch_keys(batch);
    char names[512] = "";
    size_t n = 0;
    uint64_t what = hash_bytes(trouble, strlen(trouble));
    const struct op *op = batch->ops[batch->groups[batch->from].first];
    if (op && batch->to - batch->from == 1)
        what ^= id_check(&op->id);
    if (!may_say(what))
        return;
    for (size_t i = 0; i < keys->n && n + keys->bytes[i] + 2 < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%.*s", i > 0 ? " " : "",
                              (int)keys->bytes[i], keys->keys[i]);
    log_warn("the store refused", "operations=%zu error=\"%s\" keys=\"%s\"", part_ops(batch),
             trouble, names);
}

static void on_refused(struct domain_queue *domain, const char *words, size_t n)
{
    struct batch *batch = &domain->batch;
    char trouble[256];
    size_t length = n < sizeof trouble - 1 ? n : sizeof trouble - 1;
    memcpy(trouble, words, length);
    trouble[length] = 0;
    if (batch->to - batch->from > 1 && is_of_one(trouble)) {
        halve(domain);
        return;
    }
    say_refused(batch, trouble);
    end_part(domain, OP_REFUSED, trouble);
}

static void on_answer(void *arg, enum store_status status, const char *data, size_t n)
{
    struct domain_queue *domain = arg;
    switch (status) {
    case STORE_OK:
        on_readable(domain, data, n);
        break;
    case STORE_REFUSED:
        on_refused(domain, data, n);
        break;
    case STORE_NIL: /* the script never answers nil */
    case STORE_LOST:
        domain->batch.resent = true;
        domain->state = DOMAIN_UNSENT;
        batcher_wake(domain->batcher);
        break;
    }
}

/* ---- age ------------------------------------------------------------------------------------- */

/* Queues are in order of arrival, so the oldest comes first. */
static void sweep_queue(struct batcher *b, struct op_queue *queue, uint64_t now)
{
    while (queue->first && queue->first->deadline_ms <= now)
        batcher_end(b, op_queue_take(queue), OP_UNAVAILABLE);
}

static void sweep_domain(struct domain_queue *domain, uint64_t now)
{
    struct batch *batch = &domain->batch;
    for (int q = 0; q < QUEUE_COUNT; q++)
        sweep_queue(domain->batcher, &domain->queues[q], now);
    for (size_t i = 0; i < batch->n; i++) {
        struct op *op = batch->ops[i];
        if (op && op->deadline_ms <= now) {
            batch->ops[i] = NULL;
            batcher_end(domain->batcher, op, OP_UNAVAILABLE);
        }
    }
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct batcher *b = arg;
    uint64_t now = clock_ms();
    sweep_queue(b, &b->to_look_up, now);
    for (struct domain_queue *domain = b->domains; domain; domain = domain->next)
        sweep_domain(domain, now);
    b->sweeping = b->load > 0;
    if (b->sweeping) {
        struct timeval soon = {0, SWEEP_MS * 1000L};
        event_add(b->sweep, &soon);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

struct batcher *batcher_new(struct event_base *base, struct store *store, uint32_t timeout_ms)
{
    struct batcher *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->store = store;
    b->timeout_ms = timeout_ms;
    buf_init(&b->rows, MOST_ROW_BYTES, NULL);
    id_maker_init(&b->ids);
    b->wake = event_new(base, -1, 0, on_wake, b);
    b->sweep = evtimer_new(base, on_sweep, b);
    if (!b->wake || !b->sweep) {
        batcher_free(b);
        return NULL;
    }
    return b;
}

void batcher_free(struct batcher *b)
{
    if (!b)
        return;
    /* From here on, operations that `done` submits end at once. */
    for (struct domain_queue *domain = b->domains; domain; domain = domain->next) {
        end_batch(domain, OP_UNAVAILABLE);
        for (int q = 0; q < QUEUE_COUNT; q++)
            sweep_queue(b, &domain->queues[q], UINT64_MAX);
    }
    sweep_queue(b, &b->to_look_up, UINT64_MAX);
    while (b->ended.first)
        finish(b, op_queue_take(&b->ended));
    assert(b->load == 0);
    while (b->domains) {
        struct domain_queue *domain = b->domains;
        b->domains = domain->next;
        batch_close(&domain->batch);
        free(domain->name);
        free(domain);
    }
    if (b->wake)
        event_free(b->wake);
    if (b->sweep)
        event_free(b->sweep);
    buf_close(&b->rows);
    free(b);
}

void batch_store_changed(struct batcher *b)
{
    batcher_wake(b);
}

size_t batch_load(const struct batcher *b)
{
    return counter_read(&b->load);
}

const struct batch_counters *batch_counters(const struct batcher *b)
{
    return &b->counters;
}
