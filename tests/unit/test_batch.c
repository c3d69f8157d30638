/*
 * The batcher against a store played by the test: what is gathered, in which order, what is resent,
 * and how each operation ends.
 *
 * This file defines the store's functions itself, so that the real ones are not linked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "batch/script_wire.h"
#include "clock.h"
#include "store/store.h"

/* ---- the store ------------------------------------------------------------------------------- */

static struct {
    bool ready;
    int evals, hgets;
    unsigned char argument[65536];
    size_t argument_bytes, n_keys;
    char keys[64][256];
    store_reply_fn *reply;
    void *reply_arg;
} played;

bool store_ready(const struct store *store)
{
    (void)store;
    return played.ready;
}

static void expect_reply(store_reply_fn *reply, void *arg)
{
    assert_null(played.reply); /* one batch at a time for a domain */
    played.reply = reply;
    played.reply_arg = arg;
}

int store_call(struct store *store, enum store_function function, size_t n_keys,
               const char *const keys[], const size_t key_bytes[], const char *argument,
               size_t argument_bytes, store_reply_fn *on_reply, void *arg)
{
    (void)store;
    assert_int_equal(function, FUNCTION_DECIDE);
    if (!played.ready)
        return -1;
    assert_true(argument_bytes <= sizeof played.argument && n_keys <= 64);
    played.evals++;
    played.n_keys = n_keys;
    for (size_t i = 0; i < n_keys; i++) {
        memcpy(played.keys[i], keys[i], key_bytes[i]);
        played.keys[i][key_bytes[i]] = 0;
    }
    memcpy(played.argument, argument, argument_bytes);
    played.argument_bytes = argument_bytes;
    expect_reply(on_reply, arg);
    return 0;
}

int store_hget(struct store *store, const char *key, size_t key_bytes, const char *field,
               size_t field_bytes, store_reply_fn *on_reply, void *arg)
{
    (void)store, (void)field, (void)field_bytes;
    played.hgets++;
    memcpy(played.keys[0], key, key_bytes);
    played.keys[0][key_bytes] = 0;
    expect_reply(on_reply, arg);
    return 0;
}

static void reply(enum store_status status, const void *data, size_t n)
{
    store_reply_fn *fn = played.reply;
    assert_non_null(fn);
    played.reply = NULL;
    fn(played.reply_arg, status, data, n);
}

/* ---- answers of the store -------------------------------------------------------------------- */

struct answer {
    unsigned char bytes[8192];
    size_t n;
};

static void put(struct answer *a, int64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a->bytes[a->n++] = (unsigned char)((uint64_t)value >> (8 * i));
}

static struct answer answer_head(int stale)
{
    struct answer a = {.n = 0};
    put(&a, stale, 1);
    put(&a, 1795000000000, 6);
    put(&a, 0, 2); /* buckets that are ahead */
    return a;
}

static void answer_op(struct answer *a, int outcome, int granted, int bucket, int limit,
                      int64_t wait)
{
    put(a, outcome, 1);
    put(a, granted, 1);
    put(a, bucket, 1);
    put(a, limit, 1);
    put(a, wait, 8);
}

/* ---- operations ------------------------------------------------------------------------------ */

static const char document[] = "{\"pools\": {\"p\": {\"limits\": [{\"unit\": \"requests\", "
                               "\"amount\": 10, \"per\": \"minute\"}]},"
                               "             \"other\": {\"domain\": \"d2\", \"limits\": "
                               "[{\"unit\": \"requests\", \"amount\": 10, \"per\": \"day\","
                               "                        \"algorithm\": \"calendar\"}]}},"
                               " \"tiers\": {\"t\": {\"limits\": [{\"unit\": \"tokens\", "
                               "\"amount\": 100, \"per\": \"minute\"}]}},"
                               " \"default_tier\": \"t\"}";

static struct {
    struct event_base *base;
    struct batcher *batcher;
    struct config *config;
    struct id_maker ids;
    struct op *done[BATCH_MAX_OPS + 100];
    size_t n_done;
    char trouble[64];
} test;

static void on_done(struct op *op)
{
    test.done[test.n_done++] = op;
    if (op->outcome == OP_REFUSED)
        strncpy(test.trouble, op->trouble, sizeof test.trouble - 1);
}

static struct op make_op(enum op_kind kind, const char *pool, const char *tenant)
{
    struct op op = {
        .kind = kind, .config = test.config, .priority = 1, .ttl_ms = 1000, .done = on_done};
    assert_int_equal(
        policy_resolve(test.config, pool, strlen(pool), tenant, strlen(tenant), &op.policy),
        POLICY_OK);
    op.id.tenant_bytes = (uint8_t)strlen(tenant);
    memcpy(op.id.tenant, tenant, op.id.tenant_bytes);
    op.id.pool_bytes = (uint8_t)strlen(pool);
    memcpy(op.id.pool, pool, op.id.pool_bytes);
    id_make(&test.ids, 0, 1, &op.id);
    op_complete_amounts(&op);
    return op;
}

static void turn(void)
{
    event_base_loop(test.base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
    (void)state;
    memset(&played, 0, sizeof played);
    memset(&test, 0, sizeof test);
    played.ready = true;
    struct config_problems problems;
    if (config_parse("test", document, sizeof document - 1, &test.config, &problems) != 0)
        fail_msg("%s", problems.lines[0]);
    test.base = event_base_new();
    test.batcher = batcher_new(test.base, NULL, 200);
    id_maker_init(&test.ids);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    batcher_free(test.batcher);
    event_base_free(test.base);
    config_unref(test.config);
    return 0;
}

/* Bytes of an operation at the end of the argument, without names and token. */
enum { OP_BYTES = 69 };

static const unsigned char *sent_op(size_t from_end)
{
    return played.argument + played.argument_bytes - (from_end + 1) * OP_BYTES;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_a_lone_operation_leaves_at_once(void **state)
{
    (void)state;
    struct op op = make_op(OP_ACQUIRE, "p", "acme");
    batch_submit(test.batcher, &op);
    assert_int_equal(played.evals, 0); /* never from inside batch_submit */
    turn();
    assert_int_equal(played.evals, 1);
    assert_int_equal(played.n_keys, 5);
    assert_string_equal(played.keys[0], "ration:{default}:p:p");
    assert_string_equal(played.keys[1], "ration:{default}:ps:p");
    assert_string_equal(played.keys[2], "ration:{default}:k:p");
    assert_string_equal(played.keys[3], "ration:{default}:t:acme");
    assert_memory_equal(played.keys[4], "ration:{default}:r:", 19);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(test.n_done, 1);
    assert_int_equal(op.outcome, OP_GRANTED);
    assert_int_equal(batch_load(test.batcher), 0);
}

static void test_what_arrives_meanwhile_is_one_batch_in_order(void **state)
{
    (void)state;
    struct op first = make_op(OP_ACQUIRE, "p", "a"), peek = make_op(OP_PEEK, "p", "a"),
              low = make_op(OP_ACQUIRE, "p", "b"), high = make_op(OP_ACQUIRE, "p", "c"),
              report = make_op(OP_REPORT, "p", "d");
    low.priority = 2;
    high.priority = 0;
    batch_submit(test.batcher, &first);
    turn();
    batch_submit(test.batcher, &peek);
    batch_submit(test.batcher, &low);
    batch_submit(test.batcher, &high);
    batch_submit(test.batcher, &report);
    turn();
    assert_int_equal(played.evals, 1);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    turn();
    assert_int_equal(played.evals, 2);
    assert_int_equal(sent_op(3)[0], OP_REPORT);
    assert_int_equal(sent_op(2)[2], 0);
    assert_int_equal(sent_op(1)[2], 2);
    assert_int_equal(sent_op(0)[0], OP_PEEK);
    a = answer_head(0);
    answer_op(&a, OP_SETTLED, 0, 0, 0, 0);
    answer_op(&a, OP_DENIED, 0, 1, 0, 77);
    answer_op(&a, OP_DENIED, 0, 0, 0, -1);
    answer_op(&a, OP_PEEKED, 2, 0, 0, 0);
    put(&a, 7, 8), put(&a, 100, 8), put(&a, -5, 8), put(&a, 200, 8);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(test.n_done, 5);
    assert_int_equal(report.outcome, OP_SETTLED);
    assert_int_equal(high.retry_after_ms, 77);
    assert_int_equal(high.limited_bucket, 1);
    assert_int_equal(low.retry_after_ms, RATION_RETRY_NEVER);
    assert_int_equal(peek.outcome, OP_PEEKED);
    assert_int_equal(peek.rows[1].remaining, -5);
}

static void test_equal_acquires_are_one_group(void **state)
{
    (void)state;
    struct op ops[300], other;
    for (int i = 0; i < 5; i++) {
        ops[i] = make_op(OP_ACQUIRE, "p", "hot");
        batch_submit(test.batcher, &ops[i]);
        if (i == 2) {
            other = make_op(OP_ACQUIRE, "p", "cold");
            batch_submit(test.batcher, &other);
        }
    }
    turn();
    assert_int_equal(sent_op(1)[3], 5); /* n */
    assert_int_equal(sent_op(0)[3], 1);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 3, 1, 0, 42);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ops[i].outcome, i < 3 ? OP_GRANTED : OP_DENIED);
        assert_int_equal(ops[i].retry_after_ms, i < 3 ? 0 : 42);
        assert_int_equal(ops[i].id.member, i);
        assert_memory_equal(ops[i].id.nonce, ops[0].id.nonce, sizeof ops[0].id.nonce);
    }
    assert_int_equal(other.outcome, OP_GRANTED);
}

static void test_different_questions_are_not_grouped(void **state)
{
    (void)state;
    struct op a = make_op(OP_ACQUIRE, "p", "t"), b = make_op(OP_ACQUIRE, "p", "t"),
              c = make_op(OP_ACQUIRE, "p", "t"), d = make_op(OP_ACQUIRE, "p", "t");
    b.amounts[RATION_UNIT_TOKENS] = 5;
    c.ttl_ms = 2000;
    d.own_id = true;
    struct op *all[] = {&a, &b, &c, &d};
    for (int i = 0; i < 4; i++)
        batch_submit(test.batcher, all[i]);
    turn();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(sent_op(i)[3], 1);
    reply(STORE_REFUSED, "no", 2);
}

static void test_a_lost_batch_is_sent_again_marked_and_first(void **state)
{
    (void)state;
    struct op op = make_op(OP_ACQUIRE, "p", "a"), next = make_op(OP_REPORT, "p", "b");
    unsigned char before[4096];
    batch_submit(test.batcher, &op);
    turn();
    assert_int_equal(sent_op(0)[1] & 1, 0);
    size_t n = played.argument_bytes;
    memcpy(before, played.argument, n);
    batch_submit(test.batcher, &next);
    played.ready = false;
    reply(STORE_LOST, "gone", 4);
    turn();
    assert_int_equal(played.evals, 1);
    assert_int_equal(test.n_done, 0);
    played.ready = true;
    batch_store_changed(test.batcher);
    turn();
    assert_int_equal(played.evals, 2);
    assert_int_equal(played.argument_bytes, n);
    assert_int_equal(sent_op(0)[1] & 1, 1);
    before[n - OP_BYTES + 1] |= 1;
    assert_memory_equal(before, played.argument, n); /* the same ids, the same costs */
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    turn();
    assert_int_equal(sent_op(0)[0], OP_REPORT);
    reply(STORE_REFUSED, "no", 2);
    assert_int_equal(batch_counters(test.batcher)->resent, 1);
}

static void test_an_acquire_that_brings_no_id_gets_one(void **state)
{
    (void)state;
    struct op first = make_op(OP_ACQUIRE, "p", "a"), second = make_op(OP_ACQUIRE, "p", "a"),
              late = make_op(OP_ACQUIRE, "p", "a");
    struct op *all[] = {&first, &second, &late};
    for (int i = 0; i < 3; i++)
        memset(&all[i]->id, 0, offsetof(struct id, slice));
    batch_submit(test.batcher, &first);
    batch_submit(test.batcher, &second);
    assert_false(id_is_made(&first.id));
    turn();
    assert_true(id_is_made(&first.id));
    assert_true(id_same_reservation(&first.id, &second.id));
    assert_int_equal(second.id.member, 1);
    /* An operation that never got into a batch may still be granted without the store. */
    played.ready = false;
    batch_submit(test.batcher, &late);
    uint64_t until = clock_ms() + 5000;
    while (late.outcome == OP_PENDING && clock_ms() < until)
        event_base_loop(test.base, EVLOOP_ONCE);
    assert_int_equal(late.outcome, OP_UNAVAILABLE);
    assert_true(id_is_made(&late.id));
    assert_false(id_same_reservation(&first.id, &late.id));
    played.ready = true;
    reply(STORE_REFUSED, "no", 2);
}

static void test_a_store_that_stays_away_ends_in_unavailable(void **state)
{
    (void)state;
    struct op op = make_op(OP_ACQUIRE, "p", "a");
    played.ready = false;
    uint64_t before = clock_ms();
    batch_submit(test.batcher, &op);
    while (test.n_done == 0 && clock_ms() < before + 5000)
        event_base_loop(test.base, EVLOOP_ONCE);
    assert_int_equal(op.outcome, OP_UNAVAILABLE);
    assert_true(clock_ms() - before >= 200);
}

static void test_a_member_that_gave_up_keeps_its_place(void **state)
{
    (void)state;
    struct op ops[3];
    for (int i = 0; i < 3; i++)
        ops[i] = make_op(OP_ACQUIRE, "p", "hot");
    for (int i = 0; i < 3; i++)
        batch_submit(test.batcher, &ops[i]);
    turn();
    played.ready = false;
    reply(STORE_LOST, "gone", 4);
    ops[1].deadline_ms = 0;
    ops[0].deadline_ms = ops[2].deadline_ms = UINT64_MAX;
    while (test.n_done == 0)
        event_base_loop(test.base, EVLOOP_ONCE);
    assert_int_equal(ops[1].outcome, OP_UNAVAILABLE);
    played.ready = true;
    batch_store_changed(test.batcher);
    turn();
    assert_int_equal(sent_op(0)[3], 3);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 2, 0, 0, 9);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(ops[0].outcome, OP_GRANTED);
    assert_int_equal(ops[1].outcome, OP_UNAVAILABLE);
    assert_int_equal(ops[2].outcome, OP_DENIED);
}

/* Its answer still comes, and the next group's follows it. */
static void test_a_group_that_gave_up_under_way_keeps_its_place(void **state)
{
    (void)state;
    struct op gone = make_op(OP_ACQUIRE, "p", "impatient"), stays = make_op(OP_ACQUIRE, "p", "t");
    batch_submit(test.batcher, &gone);
    batch_submit(test.batcher, &stays);
    turn();
    gone.deadline_ms = 0;
    stays.deadline_ms = UINT64_MAX;
    while (test.n_done == 0)
        event_base_loop(test.base, EVLOOP_ONCE);
    assert_int_equal(gone.outcome, OP_UNAVAILABLE);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    answer_op(&a, OP_DENIED, 0, 1, 0, 42);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(stays.outcome, OP_DENIED);
    assert_int_equal(stays.retry_after_ms, 42);
}

static void test_refusals_have_the_stores_words(void **state)
{
    (void)state;
    struct op op = make_op(OP_ACQUIRE, "p", "a");
    batch_submit(test.batcher, &op);
    turn();
    reply(STORE_REFUSED, "OOM command not allowed", 23);
    assert_int_equal(op.outcome, OP_REFUSED);
    assert_string_equal(test.trouble, "OOM command not allowed");
}

/* The script of a store in which these keys cannot be read, until the batcher wants nothing more.
 * Returns how many batches. */
static int play_script_with_bad(const char *const bad[], size_t n_bad)
{
    int before = played.evals;
    while (turn(), played.reply) {
        const char *found = NULL;
        size_t n_ops = 0;
        for (size_t i = 0; i < played.n_keys; i++) {
            n_ops += strncmp(played.keys[i], "ration:{default}:t:", 19) == 0;
            for (size_t j = 0; j < n_bad; j++)
                if (strcmp(played.keys[i], bad[j]) == 0)
                    found = bad[j];
        }
        struct answer a = answer_head(0);
        for (size_t i = 0; i < n_ops; i++)
            answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
        if (found)
            reply(STORE_REFUSED, "WRONGTYPE x", 11);
        else
            reply(STORE_OK, a.bytes, a.n);
    }
    return played.evals - before;
}

static void test_only_who_cannot_be_decided_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"ration:{default}:t:n17", "ration:{default}:t:n18"};
    struct op ops[32];
    for (size_t n_bad = 0; n_bad <= 2; n_bad++) {
        test.n_done = 0;
        for (size_t i = 0; i < 32; i++) {
            char tenant[8];
            snprintf(tenant, sizeof tenant, "n%zu", i);
            ops[i] = make_op(OP_ACQUIRE, "p", tenant);
            batch_submit(test.batcher, &ops[i]);
        }
        int batches = play_script_with_bad(bad, n_bad);
        assert_true(batches <= 1 + (int)n_bad * 2 * 5);
        assert_int_equal(test.n_done, 32);
        for (size_t i = 0; i < 32; i++) {
            assert_ptr_equal(test.done[i], &ops[i]); /* in their order */
            assert_int_equal(ops[i].outcome, i >= 17 && i < 17 + n_bad ? OP_REFUSED : OP_GRANTED);
        }
        assert_int_equal(batch_load(test.batcher), 0);
    }
    assert_int_equal(batch_counters(test.batcher)->refused, 3);
    assert_int_equal(batch_counters(test.batcher)->resent, 0);
}

/* A half whose fate is unknown is sent again, marked; those before it are not. */
static void test_halves_are_sent_again_alone(void **state)
{
    (void)state;
    struct op ops[4];
    for (size_t i = 0; i < 4; i++) {
        ops[i] = make_op(OP_ACQUIRE, "p", (const char *const[]){"a", "b", "c", "d"}[i]);
        batch_submit(test.batcher, &ops[i]);
    }
    turn();
    reply(STORE_REFUSED, "ERR x", 5);
    assert_int_equal(played.evals, 2);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(test.n_done, 2);
    turn();
    assert_int_equal(sent_op(0)[1] & 1, 0);
    played.ready = false;
    reply(STORE_LOST, "gone", 4);
    turn();
    played.ready = true;
    batch_store_changed(test.batcher);
    turn();
    assert_int_equal(played.evals, 4);
    assert_int_equal(sent_op(0)[1] & 1, 1);
    assert_int_equal(batch_counters(test.batcher)->resent, 2);
    a = answer_head(0);
    answer_op(&a, OP_DENIED, 0, 0, 0, 5);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(test.n_done, 4);
    assert_int_equal(ops[2].outcome, OP_DENIED);
    assert_int_equal(ops[3].outcome, OP_GRANTED);
    turn();
    assert_int_equal(played.evals, 4);
}

/* What the store does not take from anybody is not tried again. */
static void test_a_store_that_takes_nothing_is_not_asked_in_halves(void **state)
{
    (void)state;
    struct op ops[2] = {make_op(OP_ACQUIRE, "p", "a"), make_op(OP_ACQUIRE, "p", "b")};
    batch_submit(test.batcher, &ops[0]);
    batch_submit(test.batcher, &ops[1]);
    turn();
    reply(STORE_REFUSED, "OOM command not allowed", 23);
    turn();
    assert_int_equal(played.evals, 1);
    assert_int_equal(batch_counters(test.batcher)->refused, 2);
    assert_int_equal(batch_counters(test.batcher)->halved, 0);
}

/* The calendar limit's periods in the argument: of the first bucket (pool "other"), six bytes each.
 */
static int64_t sent_period(size_t which)
{
    int64_t ms = 0;
    memcpy(&ms, played.argument + 13 + 2 + 1 + 56 + 6 * which, 6);
    return ms;
}

static void test_periods_are_made_for_a_bucket_that_is_ahead(void **state)
{
    (void)state;
    const int64_t day = 86400000, now = 1795000000000, then = now + 2 * day;
    struct op op = make_op(OP_PEEK, "other", "acme");
    batch_submit(test.batcher, &op);
    turn();
    struct answer a = {.n = 0};
    put(&a, 1, 1), put(&a, now, 6), put(&a, 1, 2), put(&a, 0, 2), put(&a, then, 6);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(played.evals, 2);
    assert_int_equal(sent_period(0), then / day * day);
    a = (struct answer){.n = 0};
    put(&a, 0, 1), put(&a, now, 6), put(&a, 1, 2), put(&a, 0, 2), put(&a, then, 6);
    answer_op(&a, OP_PEEKED, 2, 0, 0, 0);
    put(&a, 7, 8), put(&a, 100, 8), put(&a, 5, 8), put(&a, 200, 8);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(op.outcome, OP_PEEKED);
    assert_int_equal(op.rows[0].ahead_ms, 2 * day);
    assert_int_equal(op.rows[1].ahead_ms, 0);
    assert_int_equal(batch_counters(test.batcher)->ahead, 2);
}

static void test_a_stale_calendar_is_packed_again_with_the_stores_time(void **state)
{
    (void)state;
    struct op op = make_op(OP_ACQUIRE, "other", "a");
    batch_submit(test.batcher, &op);
    turn();
    struct answer stale = answer_head(1);
    reply(STORE_OK, stale.bytes, stale.n);
    assert_int_equal(played.evals, 2);
    /* version, counts, the most outstanding, the set's length, n limits, then the limit up to its
     * bounds: 1 + 8 + 4 + 2 + 1 + 3 + 5 * 8 + 6 + 4 + 3 */
    int64_t begins = 0;
    memcpy(&begins, played.argument + 72, 6);
    assert_true(begins <= 1795000000000 && 1795000000000 - begins < 86400000);
    struct answer a = answer_head(0);
    answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(op.outcome, OP_GRANTED);
}

static void test_answers_cut_short_end_in_unavailable(void **state)
{
    (void)state;
    for (size_t n = 0; n < 9 + 12; n++) {
        struct op op = make_op(OP_ACQUIRE, "p", "a");
        test.n_done = 0;
        batch_submit(test.batcher, &op);
        turn();
        struct answer a = answer_head(0);
        answer_op(&a, OP_GRANTED, 1, 0, 0, 0);
        unsigned char *exact = malloc(n ? n : 1); /* so that a sanitizer notices an overrun */
        memcpy(exact, a.bytes, n);
        reply(STORE_OK, exact, n);
        free(exact);
        turn();
        assert_int_equal(test.n_done, 1);
        assert_int_equal(op.outcome, OP_UNAVAILABLE);
    }
}

/* Learned input follows the answer; two reports in one batch each have their own. */
static void test_reports_that_learned_tell_how_wrong_it_was(void **state)
{
    (void)state;
    struct answer a = answer_head(0);
    answer_op(&a, OP_SETTLED, 0, OP_LEARNED_OUTPUT | OP_LEARNED_INPUT, 0, 70);
    put(&a, -900, 8);
    answer_op(&a, OP_LATE, 0, OP_LEARNED_OUTPUT, 0, -3);
    answer_op(&a, OP_SETTLED, 0, OP_LEARNED_INPUT, 0, 0);
    put(&a, 5, 8);
    for (size_t n = 13; n <= a.n; n++) {
        struct op op[3] = {make_op(OP_REPORT, "p", "a"), make_op(OP_REPORT, "p", "b"),
                           make_op(OP_REPORT, "p", "c")};
        struct op first = make_op(OP_ACQUIRE, "p", "a");
        batch_submit(test.batcher, &first);
        turn();
        for (size_t i = 0; i < 3; i++)
            batch_submit(test.batcher, &op[i]);
        reply(STORE_REFUSED, "no", 2);
        turn();
        unsigned char *exact = malloc(n);
        memcpy(exact, a.bytes, n);
        reply(STORE_OK, exact, n);
        free(exact);
        turn();
        if (n < a.n) {
            assert_int_equal(op[2].outcome, OP_UNAVAILABLE);
            continue;
        }
        assert_int_equal(op[0].outcome, OP_SETTLED);
        assert_int_equal(op[0].over_output, 70);
        assert_int_equal(op[0].over_input, -900);
        assert_int_equal(op[1].learned_parts, OP_LEARNED_OUTPUT);
        assert_int_equal(op[1].over_output, -3);
        assert_int_equal(op[1].over_input, 0);
        assert_int_equal(op[2].learned_parts, OP_LEARNED_INPUT);
        assert_int_equal(op[2].over_output, 0);
        assert_int_equal(op[2].over_input, 5);
    }
}

/* A damaged or foreign store must not make a reply refer to a limit that does not exist. */
static void test_answers_that_make_no_sense_end_in_unavailable(void **state)
{
    (void)state;
    static const struct {
        enum op_kind kind;
        int outcome, granted, bucket, limit;
        int64_t wait;
    } cases[] = {
        {OP_ACQUIRE, OP_DENIED, 0, 2, 0, 5},         /* there are two buckets */
        {OP_ACQUIRE, OP_DENIED, 0, 0, 1, 5},         /* the first has one limit */
        {OP_ACQUIRE, OP_GRANTED, 0, 200, 0, 5},      /* granted by none of them */
        {OP_ACQUIRE, OP_DENIED, 0, 0, 0, -2},        /* a wait in the past */
        {OP_ACQUIRE, OP_DENIED, 0, 0, 0, INT64_MAX}, /* an endless wait */
        {OP_ACQUIRE, OP_SETTLED, 0, 0, 0, 0},        /* another operation's outcome */
        {OP_ACQUIRE, OP_REFUSED, 0, 0, 0, 0},        /* the server's own */
        {OP_ACQUIRE, OP_PEEKED, 0, 0, 0, 0},         /* rows for an acquire */
        {OP_PEEK, OP_PEEKED, 0, 0, 0, 0},            /* fewer rows than limits */
        {OP_REPORT, OP_SETTLED, 0, 1, 0, INT64_MIN}, /* charged less than nothing */
        {OP_ACQUIRE, OP_PENDING, 0, 0, 0, 0},        /* no outcome */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct op op = make_op(cases[i].kind, "p", "a");
        test.n_done = 0;
        batch_submit(test.batcher, &op);
        turn();
        struct answer a = answer_head(0);
        answer_op(&a, cases[i].outcome, cases[i].granted, cases[i].bucket, cases[i].limit,
                  cases[i].wait);
        reply(STORE_OK, a.bytes, a.n);
        turn();
        assert_int_equal(test.n_done, 1);
        if (op.outcome != OP_UNAVAILABLE)
            fail_msg("answer %zu was believed", i);
    }
}

static void test_free_form_reports_ask_for_whom_the_id_was_made(void **state)
{
    (void)state;
    struct op op = {.kind = OP_REPORT, .config = test.config, .done = on_done};
    assert_null(id_parse("order-1", 7, &op.id));
    batch_submit(test.batcher, &op);
    turn();
    assert_string_equal(played.keys[0], "ration:{default}:n:order-1");
    reply(STORE_NIL, NULL, 0);
    assert_string_equal(played.keys[0], "ration:{d2}:n:order-1");
    reply(STORE_OK, "acme other", 10);
    turn();
    assert_int_equal(played.evals, 1);
    assert_string_equal(played.keys[0], "ration:{d2}:p:other");
    struct answer a = answer_head(0);
    answer_op(&a, OP_LATE, 0, 0, 0, 0);
    reply(STORE_OK, a.bytes, a.n);
    assert_int_equal(op.outcome, OP_LATE);
}

static void test_a_report_does_not_overtake_its_acquire(void **state)
{
    (void)state;
    struct op acquire = make_op(OP_ACQUIRE, "p", "a"), report = make_op(OP_REPORT, "p", "a"),
              other = make_op(OP_REPORT, "p", "a");
    acquire.own_id = true;
    report.id = acquire.id;
    batch_submit(test.batcher, &acquire);
    batch_submit(test.batcher, &report);
    batch_submit(test.batcher, &other);
    turn();
    assert_int_equal(played.evals, 1);
    assert_int_equal(sent_op(2)[0], OP_REPORT); /* the other one */
    assert_int_equal(sent_op(1)[0], OP_ACQUIRE);
    assert_int_equal(sent_op(0)[0], OP_REPORT);
    reply(STORE_REFUSED, "no", 2);
}

static void test_free_form_ids_are_a_tenants_own(void **state)
{
    (void)state;
    struct op op = {.kind = OP_REPORT, .config = test.config, .done = on_done};
    struct op several = op, unknown = op;
    assert_null(id_parse("order-1", 7, &op.id));
    assert_null(id_parse("order-1", 7, &several.id));
    assert_null(id_parse("order-2", 7, &unknown.id));
    op.id.tenant_bytes = 6;
    memcpy(op.id.tenant, "globex", 6);
    batch_submit(test.batcher, &op);
    turn();
    assert_string_equal(played.keys[0], "ration:{default}:f:globex order-1");
    reply(STORE_NIL, NULL, 0);
    reply(STORE_NIL, NULL, 0);
    turn();
    assert_int_equal(op.outcome, OP_NOSUCH);
    batch_submit(test.batcher, &several);
    turn();
    reply(STORE_OK, "", 0);
    turn();
    assert_int_equal(several.outcome, OP_SEVERAL);
    batch_submit(test.batcher, &unknown);
    turn();
    reply(STORE_NIL, NULL, 0);
    reply(STORE_NIL, NULL, 0);
    turn();
    assert_int_equal(unknown.outcome, OP_NOSUCH);
}

/* Submits n acquires for 7 tenants, and answers batches with these numbers of groups. */
static void submit_and_answer(size_t n, bool own_id, const size_t groups[], size_t batches)
{
    struct op *ops = calloc(n, sizeof *ops);
    char tenant[16];
    for (size_t i = 0; i < n; i++) {
        snprintf(tenant, sizeof tenant, "t%zu", i % 7);
        ops[i] = make_op(OP_ACQUIRE, "p", tenant);
        ops[i].own_id = own_id;
        batch_submit(test.batcher, &ops[i]);
    }
    for (size_t batch = 0; batch < batches; batch++) {
        turn();
        struct answer a = answer_head(0);
        for (size_t i = 0; i < groups[batch]; i++)
            answer_op(&a, OP_GRANTED, 255, 0, 0, 0);
        reply(STORE_OK, a.bytes, a.n);
    }
    assert_int_equal(test.n_done, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ops[i].outcome, OP_GRANTED);
    free(ops);
}

static void test_more_groups_than_a_batch_holds_are_several_batches(void **state)
{
    (void)state;
    const size_t groups[] = {BATCH_MAX_GROUPS, BATCH_MAX_GROUPS, 5};
    submit_and_answer(2 * BATCH_MAX_GROUPS + 5, true, groups, 3);
}

static void test_many_equal_acquires_are_one_batch_of_few_groups(void **state)
{
    (void)state;
    /* Each tenant has 292 or 293 of the 2,048, more than the 255 that fit into one group. */
    const size_t groups[] = {14, 7};
    submit_and_answer(BATCH_MAX_OPS + 100, false, groups, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_lone_operation_leaves_at_once),
        TEST(test_what_arrives_meanwhile_is_one_batch_in_order),
        TEST(test_equal_acquires_are_one_group),
        TEST(test_an_acquire_that_brings_no_id_gets_one),
        TEST(test_different_questions_are_not_grouped),
        TEST(test_a_lost_batch_is_sent_again_marked_and_first),
        TEST(test_a_store_that_stays_away_ends_in_unavailable),
        TEST(test_a_member_that_gave_up_keeps_its_place),
        TEST(test_a_group_that_gave_up_under_way_keeps_its_place),
        TEST(test_refusals_have_the_stores_words),
        TEST(test_only_who_cannot_be_decided_is_refused),
        TEST(test_halves_are_sent_again_alone),
        TEST(test_a_store_that_takes_nothing_is_not_asked_in_halves),
        TEST(test_periods_are_made_for_a_bucket_that_is_ahead),
        TEST(test_a_stale_calendar_is_packed_again_with_the_stores_time),
        TEST(test_answers_cut_short_end_in_unavailable),
        TEST(test_reports_that_learned_tell_how_wrong_it_was),
        TEST(test_answers_that_make_no_sense_end_in_unavailable),
        TEST(test_free_form_reports_ask_for_whom_the_id_was_made),
        TEST(test_a_report_does_not_overtake_its_acquire),
        TEST(test_free_form_ids_are_a_tenants_own),
        TEST(test_more_groups_than_a_batch_holds_are_several_batches),
        TEST(test_many_equal_acquires_are_one_batch_of_few_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
