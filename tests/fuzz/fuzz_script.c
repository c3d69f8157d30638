/*
 * Fuzz target: the script's answer to a batch, from Redis' bytes to the replies that clients get.
 *
 *     aarpg          the batch: one letter per operation, see `kinds`; a "-" after it: nobody waits
 *                    for the operation any more
 *     <bytes>        the script's answer
 *
 * The store is believed only as far as its answers make sense: an answer that is accepted has an
 * outcome that the operation can have, names existing limits, and becomes one reply. Whatever the
 * store's clock says, the next batch can be packed with it.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/script_wire.h"
#include "command/answer.h"
#include "config/config.h"
#include "net/front_inner.h"
#include "log.h"
#include "net/request.h"

#define MAX_OPS 32

static const char document[] =
    "{\"pools\": {\"p\": {\"limits\": ["
    "   {\"unit\": \"requests\", \"amount\": 10, \"per\": \"minute\"},"
    "   {\"unit\": \"requests\", \"amount\": 100, \"per\": \"day\", \"algorithm\": \"calendar\","
    "    \"time_zone\": \"America/Los_Angeles\"}]}, \"few\": {\"limits\": ["
    "   {\"unit\": \"concurrent\", \"amount\": 3, \"algorithm\": \"concurrent\"}]}},"
    " \"tiers\": {\"t\": {\"limits\": [{\"unit\": \"tokens\", \"amount\": 100, \"per\": "
    "\"minute\"}]}},"
    " \"tenants\": {\"acme\": {\"tier\": \"t\", \"in_pool\": {\"p\": [{\"unit\": \"usd\","
    "   \"amount\": 5, \"per\": \"month\", \"algorithm\": \"calendar\"}]}}}, \"default_tier\": "
    "\"t\"}";

static const struct kind {
    char letter;
    enum op_kind kind;
    const char *pool;
    const char *tenant;
    bool own_id;
    bool learned;
} kinds[] = {
    {'a', OP_ACQUIRE, "p", "acme", false, false},  {'b', OP_ACQUIRE, "p", "other", false, false},
    {'i', OP_ACQUIRE, "few", "acme", true, false}, {'l', OP_ACQUIRE, "p", "acme", false, true},
    {'r', OP_REPORT, "p", "acme", true, true},     {'s', OP_REPORT, "few", "other", true, false},
    {'n', OP_RENEW, "p", "acme", true, false},     {'c', OP_CANCEL, "p", "other", true, false},
    {'p', OP_PEEK, "p", "acme", false, false},     {'q', OP_PEEK, "few", "other", false, false},
    {'o', OP_POOL_OPEN, "p", "", false, false},    {'x', OP_POOL_CLOSE, "p", "", false, false},
    {'g', OP_POOL_GET, "few", "", false, false},   {'f', OP_FORGIVE, "p", "acme", false, false},
};

static struct config *config;
static struct worker worker;
static struct front front = {.worker = &worker};
static struct request requests[MAX_OPS];
static struct batch batch;
static struct id_maker ids;
static struct buf rows = {.max = 1 << 20};

static void set_up(void)
{
    struct config_problems problems;
    log_set_level(LOG_LEVEL_ERROR);
    CHECK(config_parse("fuzz", document, strlen(document), &config, &problems) == 0);
    id_maker_init(&ids);
    worker.config = config;
}

static void make_op(struct op *op, const struct kind *kind)
{
    static const char id[] = "r1.slice.0123456789abcdef.0.";
    char text[128];
    op_clear(op);
    op->kind = kind->kind;
    op->config = config;
    CHECK(policy_resolve(config, kind->pool, strlen(kind->pool), kind->tenant, strlen(kind->tenant),
                         &op->policy) == POLICY_OK);
    if (kind->kind >= OP_POOL_OPEN && kind->kind <= OP_POOL_GET)
        op->policy.n = 1;
    if (kind->own_id) {
        snprintf(text, sizeof(text), "%s%s@%s", id, kind->tenant, kind->pool);
        CHECK(id_parse(text, strlen(text), &op->id) == NULL);
    }
    op->own_id = kind->own_id && kind->kind == OP_ACQUIRE;
    op->id.tenant_bytes = (uint8_t)strlen(kind->tenant);
    memcpy(op->id.tenant, kind->tenant, op->id.tenant_bytes);
    op->id.pool_bytes = (uint8_t)strlen(kind->pool);
    memcpy(op->id.pool, kind->pool, op->id.pool_bytes);
    op->ttl_ms = RATION_DEFAULT_TTL_MS;
    op->stated = 1u << RATION_UNIT_OUTPUT_TOKENS;
    op->amounts[RATION_UNIT_OUTPUT_TOKENS] = 50;
    op->learned = kind->learned;
    op_complete_amounts(op);
    op->priority = 1;
    if (kind->kind == OP_POOL_CLOSE)
        memcpy(op->reason, "operator", sizeof("operator"));
}

static const struct kind *kind_of(char letter)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].letter == letter)
            return &kinds[i];
    }
    return &kinds[(unsigned char)letter % (sizeof(kinds) / sizeof(kinds[0]))];
}

/* Builds and packs the batch that the line describes. */
static void make_batch(const char *line)
{
    struct op *ops[MAX_OPS];
    bool gone[MAX_OPS] = {false};
    size_t n = 0;
    for (; *line && n < MAX_OPS; line++) {
        if (*line == '-' && n > 0) {
            gone[n - 1] = true;
            continue;
        }
        requests[n] = (struct request){.worker = &worker, .front = &front, .resp = n % 2 ? 3 : 2};
        make_op(&requests[n].op, kind_of(*line));
        ops[n] = &requests[n].op;
        n++;
    }
    CHECK(batch_form(&batch, "d", ops, n, &ids) == n);
    for (size_t i = 0; i < n; i++)
        batch.ops[i] =
            gone[(struct request *)(void *)batch.ops[i] - requests] ? NULL : batch.ops[i];
    CHECK(batch_pack(&batch, 1790000000000) == 0);
}

static bool can_come_of(const struct op *op)
{
    switch (op->outcome) {
    case OP_GRANTED:
    case OP_DENIED:
        return op->kind == OP_ACQUIRE || op->kind == OP_RENEW;
    case OP_SETTLED:
    case OP_LATE:
    case OP_DUPLICATE:
        return op->kind == OP_REPORT || op->kind == OP_CANCEL;
    case OP_NOSUCH:
    case OP_FOREIGN:
    case OP_ENDED:
        return op->kind < OP_PEEK;
    case OP_PEEKED:
        return op->kind == OP_PEEK;
    case OP_CROWDED:
        return op->kind == OP_ACQUIRE;
    case OP_SHOWN:
        return op->kind >= OP_POOL_OPEN && op->kind <= OP_POOL_GET;
    case OP_FORGIVEN:
        return op->kind == OP_FORGIVE;
    default:
        return false;
    }
}

/* There is a row for each limit, and all are readable. */
static void check_rows(const struct op *op)
{
    int64_t sum = 0;
    const struct op_row *row = op->rows;
    for (unsigned i = 0; i < op->policy.n; i++) {
        for (size_t j = 0; j < op->policy.buckets[i].set->n; j++, row++)
            sum ^= row->remaining ^ row->reset_ms;
    }
    CHECK(sum == 0 || row > op->rows);
}

static void check_op(const struct op *op)
{
    CHECK(can_come_of(op));
    if (op->outcome == OP_PEEKED || op->outcome == OP_FORGIVEN)
        check_rows(op);
    CHECK(strnlen(op->reason, sizeof(op->reason)) <= RATION_MAX_REASON_BYTES);
    for (const char *s = op->reason; *s; s++)
        CHECK(*s > ' ' && *s <= '~');
    if (op->outcome == OP_DENIED) {
        CHECK(op->retry_after_ms >= RATION_RETRY_NEVER);
        CHECK(op->limited_bucket < op->policy.n);
        CHECK(op->limited_limit >= OP_LIMITED_OUTSTANDING ||
              op->limited_limit < op->policy.buckets[op->limited_bucket].set->n);
    }
    CHECK(op->outcome != OP_SHOWN || op->shown.until_ms >= RATION_RETRY_NEVER);
}

static void check_reply(struct request *request)
{
    struct buf out;
    buf_init(&out, RATION_MAX_OUTPUT_BYTES, NULL);
    answer_count(request);
    answer_write(request, &out);
    CHECK(!out.failed && fuzz_count_replies(buf_bytes(&out), buf_size(&out)) == 1);
    buf_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    char line[2 * MAX_OPS + 1];
    int64_t store_ms = 0;
    if (!config)
        set_up();
    fuzz_line(&input, line, sizeof(line));
    make_batch(line);
    char *answer = fuzz_copy(input.bytes, input.n);
    enum batch_answer how = batch_unpack(&batch, answer, input.n, &rows, &store_ms);
    free(answer);
    for (size_t i = 0; i < batch.n && how == BATCH_ANSWERED; i++) {
        if (batch.ops[i]) {
            check_op(batch.ops[i]);
            if (batch.ops[i]->outcome != OP_FORGIVEN) /* one answer covers several of these */
                check_reply((struct request *)(void *)batch.ops[i]); /* it begins with its op */
        }
    }
    if (how != BATCH_UNREADABLE)
        CHECK(batch_pack(&batch, store_ms) == 0);
    return 0;
}
