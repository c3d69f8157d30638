/*
 * Replies to operations that have come back from the store.
 *
 * Written straight from the op into the connection's output, without intermediate strings. A
 * failure is an error whose text says what to do; if the store was away and the configuration says
 * allow, an acquire is granted with mode "local", so that nobody mistakes it for a decision.
 */
#include "command/answer.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "command/arguments.h"
#include "config/config.h"
#include "policy/id.h"
#include "policy/limit.h"
#include "store/store.h"
#include "worker.h"

#define PIECE_BYTES 256
#define LABEL_BYTES (RATION_MAX_ID_BYTES + RATION_MAX_REASON_BYTES + 64)

static bool is_asking(const struct op *op)
{
    return op->kind == OP_ACQUIRE || op->kind == OP_RENEW;
}

static bool allowed_without_store(const struct op *op)
{
    return op->outcome == OP_UNAVAILABLE && is_asking(op) && op->config->on_outage == OUTAGE_ALLOW;
}

static bool pool_refused(const struct op *op)
{
    return op->limited_limit >= OP_LIMITED_CLOSED;
}

/* As stated by a report, or the sum less the input. */
static uint64_t actual_output(const struct op *op)
{
    int64_t actual = op->stated & 1u << RATION_UNIT_OUTPUT_TOKENS
                         ? op->amounts[RATION_UNIT_OUTPUT_TOKENS]
                         : op->amounts[RATION_UNIT_TOKENS] - op->amounts[RATION_UNIT_INPUT_TOKENS];
    return actual > 0 ? (uint64_t)actual : 0;
}

static uint64_t distance(int64_t over)
{
    return over > 0 ? (uint64_t)over : 0 - (uint64_t)over;
}

/* Counts how wrong learned estimates are: the error is (over + under) / actual. */
static void count_estimate(struct worker_counters *counters, const struct op *op)
{
    if (op->learned_parts & OP_LEARNED_OUTPUT) {
        counter_add(&counters->estimates_learned, 1);
        counter_add(&counters->estimates_actual_tokens, actual_output(op));
        counter_add(op->over_output > 0 ? &counters->estimates_over_tokens
                                        : &counters->estimates_under_tokens,
                    distance(op->over_output));
    }
    if (op->learned_parts & OP_LEARNED_INPUT) {
        counter_add(&counters->estimates_input_learned, 1);
        counter_add(&counters->estimates_input_actual_tokens,
                    (uint64_t)op->amounts[RATION_UNIT_INPUT_TOKENS]);
        counter_add(op->over_input > 0 ? &counters->estimates_input_over_tokens
                                       : &counters->estimates_input_under_tokens,
                    distance(op->over_input));
    }
}

void answer_count(const struct request *r)
{
    struct worker_counters *counters = &r->worker->counters;
    const struct op *op = &r->op;
    switch (op->outcome) {
    case OP_GRANTED:
        counter_add(&counters->granted, 1);
        break;
    case OP_DENIED:
        counter_add(&counters->denied, 1);
        counter_add(&counters->denied_never, op->retry_after_ms == RATION_RETRY_NEVER);
        counter_add(&counters->denied_pool, pool_refused(op));
        break;
    case OP_LATE:
        counter_add(&counters->late, 1);
        counter_add(&counters->settled, 1);
        count_estimate(counters, op);
        break;
    case OP_SETTLED:
        counter_add(&counters->settled, 1);
        count_estimate(counters, op);
        break;
    case OP_DUPLICATE:
        counter_add(&counters->duplicate, 1);
        break;
    default:
        counter_add(&counters->allowed_without_store, allowed_without_store(op));
        break;
    }
}

/* "pool:openai/gpt-4o", "tenant:acme", "tenant:acme@openai/gpt-4o"; returns the length. */
static size_t write_scope(const struct op *op, enum policy_scope scope, char *to)
{
    const struct id *id = &op->id;
    if (scope == SCOPE_POOL)
        return (size_t)sprintf(to, "pool:%s", op->policy.pool->name);
    if (scope == SCOPE_TENANT)
        return (size_t)sprintf(to, "tenant:%.*s", id->tenant_bytes, id->tenant);
    return (size_t)sprintf(to, "tenant:%.*s@%s", id->tenant_bytes, id->tenant,
                           op->policy.pool->name);
}

/* "paused", "circuit", "closed:<reason>" or "outstanding"; returns the length. */
static size_t write_refusal(const struct op *op, char *to)
{
    switch ((enum op_refusal)op->limited_limit) {
    case OP_LIMITED_PAUSED:
        return (size_t)sprintf(to, RATION_LIMITED_PAUSED);
    case OP_LIMITED_CIRCUIT:
        return (size_t)sprintf(to, RATION_LIMITED_CIRCUIT);
    case OP_LIMITED_OUTSTANDING:
        return (size_t)sprintf(to, RATION_LIMITED_OUTSTANDING);
    case OP_LIMITED_CLOSED:
        break;
    }
    return (size_t)sprintf(to, RATION_LIMITED_CLOSED "%s", op->reason);
}

static void write_limited_by(struct buf *out, const struct op *op)
{
    char label[LABEL_BYTES];
    const struct policy_bucket *bucket = &op->policy.buckets[op->limited_bucket];
    size_t n = write_scope(op, bucket->scope, label);
    label[n++] = ' ';
    if (op->limited_limit >= OP_LIMITED_OUTSTANDING) {
        n += write_refusal(op, label + n);
        resp_bulk(out, label, n);
        return;
    }
    int more = limit_label(&bucket->set->limits[op->limited_limit], label + n, sizeof label - n);
    resp_bulk(out, label, n + (more > 0 ? (size_t)more : 0));
}

/* A decision has three parts: one before the id, the id, and one behind it. */
static void write_before_id(struct buf *out, int resp, bool granted)
{
    resp_map(out, resp, 5);
    resp_text(out, RATION_FIELD_STATUS);
    resp_text(out, granted ? RATION_STATUS_GRANTED : RATION_STATUS_DENIED);
    resp_text(out, RATION_FIELD_ID);
}

/* op: NULL if granted. */
static void write_behind_id(struct buf *out, const struct op *op, const char *mode)
{
    resp_text(out, RATION_FIELD_RETRY_AFTER_MS);
    resp_integer(out, op != NULL ? op->retry_after_ms : 0);
    resp_text(out, RATION_FIELD_LIMITED_BY);
    if (op != NULL)
        write_limited_by(out, op);
    else
        resp_text(out, "");
    resp_text(out, RATION_FIELD_MODE);
    resp_text(out, mode);
}

static void write_id(struct buf *out, const struct op *op)
{
    char id[RATION_MAX_ID_BYTES];
    resp_bulk(out, id, op->dry_run ? 0 : id_format(&op->id, id));
}

/* Grants are the most frequent answer, so they are put together from two prepared pieces that are
 * the same for all. */
static struct piece {
    char text[PIECE_BYTES];
    size_t n;
} before_id[2], behind_id; /* in RESP2, in RESP3 */
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void keep(struct piece *piece, struct buf *from)
{
    assert(!from->failed && buf_size(from) <= sizeof piece->text);
    piece->n = buf_size(from);
    memcpy(piece->text, buf_bytes(from), piece->n);
    buf_clear(from);
}

static void prepare(void)
{
    struct buf buf;
    buf_init(&buf, PIECE_BYTES, NULL);
    for (int resp = 2; resp <= 3; resp++) {
        write_before_id(&buf, resp, true);
        keep(&before_id[resp - 2], &buf);
    }
    write_behind_id(&buf, NULL, RATION_MODE_EXACT);
    keep(&behind_id, &buf);
    buf_close(&buf);
}

static void write_grant(struct request *r, struct buf *out)
{
    const struct piece *before = &before_id[r->resp >= 3];
    pthread_once(&prepared, prepare);
    buf_append(out, before->text, before->n);
    write_id(out, &r->op);
    buf_append(out, behind_id.text, behind_id.n);
}

static void write_local_grant(struct request *r, struct buf *out)
{
    write_before_id(out, r->resp, true);
    write_id(out, &r->op);
    write_behind_id(out, NULL, RATION_MODE_LOCAL);
}

static void write_denial(struct request *r, struct buf *out)
{
    write_before_id(out, r->resp, false);
    write_id(out, &r->op);
    write_behind_id(out, &r->op, RATION_MODE_EXACT);
}

static void write_status(struct request *r, struct buf *out, const char *status)
{
    resp_map(out, r->resp, 1);
    resp_text(out, RATION_FIELD_STATUS);
    resp_text(out, status);
}

static void write_row(struct request *r, struct buf *out, const struct policy_bucket *bucket,
                      const struct limit *limit, const struct op_row *row)
{
    char scope[LABEL_BYTES];
    resp_map(out, r->resp, row->ahead_ms > 0 ? 7 : 6);
    resp_text(out, "scope");
    resp_bulk(out, scope, write_scope(&r->op, bucket->scope, scope));
    resp_text(out, "unit");
    resp_text(out, limit_unit_name(limit->unit));
    resp_text(out, "per");
    resp_text(out, limit->per);
    resp_text(out, "limit");
    resp_integer(out, limit->capacity);
    resp_text(out, "remaining");
    resp_integer(out, row->remaining);
    resp_text(out, "reset_ms");
    resp_integer(out, row->reset_ms);
    if (row->ahead_ms > 0) {
        resp_text(out, "ahead_ms");
        resp_integer(out, row->ahead_ms);
    }
}

static void write_rows(struct request *r, struct buf *out)
{
    const struct policy *policy = &r->op.policy;
    const struct op_row *row = r->op.rows;
    size_t n = 0;
    for (unsigned i = 0; i < policy->n; i++)
        n += policy->buckets[i].set->n;
    resp_array(out, n);
    for (unsigned i = 0; i < policy->n; i++)
        for (size_t j = 0; j < policy->buckets[i].set->n; j++)
            write_row(r, out, &policy->buckets[i], &policy->buckets[i].set->limits[j], row++);
}

static void write_pool(struct request *r, struct buf *out)
{
    static const char *const states[] = {RATION_POOL_OPEN, RATION_POOL_PAUSED, RATION_POOL_CIRCUIT,
                                         RATION_POOL_PROBING, RATION_POOL_CLOSED};
    const struct op_shown *shown = &r->op.shown;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"until_ms", shown->until_ms},
                   {"failures", shown->failures},
                   {"reports", shown->reports},
                   {"cool_down_ms", shown->cool_down_ms}};
    resp_map(out, r->resp, 7);
    resp_text(out, "pool");
    resp_text(out, r->op.policy.pool->name);
    resp_text(out, "state");
    resp_text(out, shown->state < sizeof states / sizeof states[0] ? states[shown->state] : "");
    resp_text(out, "reason");
    resp_text(out, r->op.reason);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        resp_text(out, numbers[i].name);
        resp_integer(out, numbers[i].value);
    }
}

static void write_error(struct request *r, struct buf *out, const char *text)
{
    resp_error(out, text);
    counter_add(&r->worker->counters.commands_failed, 1);
}

static void write_unavailable(struct request *r, struct buf *out)
{
    char text[512];
    /* When stopping, the store goes before the operations that wait for it are answered. */
    const struct store *store = r->worker->store;
    const char *trouble = store != NULL ? store_trouble(store) : "this server is stopping";
    const char *then = "send it again later with the same id, so that nothing is charged twice";
    if (r->op.kind == OP_PEEK)
        then = "try again later";
    else if (r->op.kind > OP_PEEK)
        then = "send it again later";
    else if (is_asking(&r->op) && r->op.config->on_outage == OUTAGE_LOCAL)
        then = "on_outage is \"local\", which this version answers as \"deny\"";
    else if (is_asking(&r->op))
        then = "on_outage is \"deny\"; send it again later, with the same ID if you gave one";
    snprintf(text, sizeof text, "%s the store is not reachable (%s); %s", RATION_ERR_UNAVAILABLE,
             *trouble != '\0' ? trouble : "it did not answer in time", then);
    write_error(r, out, text);
}

static void write_id_error(struct request *r, struct buf *out, const char *what)
{
    char text[RATION_MAX_ID_BYTES + 128], id[RATION_MAX_ID_BYTES];
    id_format(&r->op.id, id);
    snprintf(text, sizeof text, "%s id %s %s", RATION_ERR_MALFORMED, id, what);
    write_error(r, out, text);
}

static void write_refused(struct request *r, struct buf *out)
{
    char text[512];
    snprintf(text, sizeof text, "%s the store refused: %.300s", RATION_ERR_UNAVAILABLE,
             r->op.trouble != NULL ? r->op.trouble : "no reason given");
    write_error(r, out, text);
}

void answer_write(struct request *r, struct buf *out)
{
    switch (r->op.outcome) {
    case OP_GRANTED:
        write_grant(r, out);
        break;
    case OP_DENIED:
        write_denial(r, out);
        break;
    case OP_SETTLED:
        write_status(r, out, RATION_STATUS_SETTLED);
        break;
    case OP_LATE:
        write_status(r, out, RATION_STATUS_LATE);
        break;
    case OP_DUPLICATE:
        write_status(r, out, RATION_STATUS_DUPLICATE);
        break;
    case OP_PEEKED:
        write_rows(r, out);
        break;
    case OP_SHOWN:
        write_pool(r, out);
        break;
    case OP_NOSUCH:
        write_error(r, out,
                    RATION_ERR_NOSUCH
                    " no such reservation; it was never granted, or it ended long ago");
        break;
    case OP_ENDED:
        write_error(r, out,
                    RATION_ERR_NOSUCH " the reservation has ended (reported, cancelled or "
                                      "expired); ACQUIRE again, with another id");
        break;
    case OP_FOREIGN:
        write_id_error(r, out, "was used for another request; choose an id that no other call has");
        break;
    case OP_CROWDED:
        write_id_error(r, out,
                       "is in a slice that is full; begin a new slice, the part after \"r1.\", "
                       "for every hundred ids");
        break;
    case OP_UNAVAILABLE:
        if (allowed_without_store(&r->op))
            write_local_grant(r, out);
        else
            write_unavailable(r, out);
        break;
    case OP_SEVERAL:
        write_error(r, out,
                    RATION_ERR_MALFORMED " several tenants have used that id; add TENANT and the "
                                         "tenant's name");
        break;
    case OP_NOPOOL:
        write_error(r, out,
                    RATION_ERR_NOPOOL " the reservation's pool is no longer configured; add it "
                                      "to \"pools\" again to settle");
        break;
    case OP_REFUSED:
        write_refused(r, out);
        break;
    case OP_FORGIVEN: /* only operations without a request: forgive.c */
    case OP_PENDING:
        write_error(r, out, RATION_ERR_UNAVAILABLE " the store's answer was not understood");
        break;
    }
}
