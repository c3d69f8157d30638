/*
 * bucket.c, minute.c and limiter.c: edge cases by hand, and random traffic against models that go
 * through the whole history for every answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "limiter.h"

#define SPAN  ((int64_t)1000)
#define STEPS 600

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* ---- The bucket ------------------------------------------------------------------------------ */

static void a_bucket_fills_evenly_to_the_brim(void **state)
{
    struct bucket b;
    (void)state;
    bucket_init(&b, 3, SPAN);
    assert_int_equal(bucket_left(&b, 0), 3);
    bucket_take(&b, 0, 3);
    assert_int_equal(bucket_wait_us(&b, 0, 1), 334); /* a third of the span, rounded up */
    assert_int_equal(bucket_left(&b, 333), 0);
    assert_int_equal(bucket_left(&b, 334), 1);
    assert_int_equal(bucket_left(&b, 999), 2);
    assert_int_equal(bucket_left(&b, 1000), 3);
    assert_int_equal(bucket_left(&b, 900000), 3);
    assert_int_equal(bucket_wait_us(&b, 900000, 4), -1);
    bucket_put(&b, 900000, 5);
    bucket_take(&b, 900000, 4); /* more than there is: down to nothing, not below */
    assert_int_equal(bucket_wait_us(&b, 900000, 3), SPAN);
}

static void a_bucket_of_the_largest_limit_is_exact(void **state)
{
    struct bucket b;
    int64_t day_us = (int64_t)86400 * 1000000;
    (void)state;
    bucket_init(&b, WINDOW_MAX_TOKENS, day_us);
    bucket_take(&b, 0, WINDOW_MAX_TOKENS);
    assert_int_equal(bucket_left(&b, day_us / 2), WINDOW_MAX_TOKENS / 2);
    assert_int_equal(bucket_wait_us(&b, day_us / 2, WINDOW_MAX_TOKENS), day_us / 2);
    assert_int_equal(bucket_left(&b, INT64_MAX), WINDOW_MAX_TOKENS);
}

struct bucket_past {
    int64_t at, change; /* below 0 taken, above 0 put back */
};

/* The level in thousandths, replayed from the beginning, stepping from change to change. */
static int64_t model_level(const struct bucket_past *past, size_t n, int64_t capacity, int64_t now)
{
    int64_t level = capacity * SPAN;
    int64_t at = 0;
    for (size_t i = 0; i <= n; i++) {
        int64_t until = i < n ? past[i].at : now;
        for (; at < until && level < capacity * SPAN; at++) {
            level += capacity;
            level = level < capacity * SPAN ? level : capacity * SPAN;
        }
        at = until;
        if (i < n) {
            level += past[i].change * SPAN;
            level = level < capacity * SPAN ? level : capacity * SPAN;
        }
    }
    return level;
}

static void random_takes_agree_with_the_model(void **state)
{
    static struct bucket_past past[STEPS];
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15U;
        struct bucket b;
        int64_t capacity = 1 + (int64_t)draw(seed % 2 ? 40 : 3000);
        int64_t now = 0;
        size_t n = 0;
        bucket_init(&b, capacity, SPAN);
        while (n < STEPS) {
            now += (int64_t)draw(120);
            int64_t level = model_level(past, n, capacity, now);
            int64_t wanted = (int64_t)draw((uint64_t)capacity / 3 + 2);
            assert_int_equal(bucket_left(&b, now), level / SPAN);
            int64_t wait = bucket_wait_us(&b, now, wanted);
            if (wanted > capacity) {
                assert_int_equal(wait, -1);
                continue;
            }
            assert_true(model_level(past, n, capacity, now + wait) >= wanted * SPAN);
            assert_true(wait == 0 ||
                        model_level(past, n, capacity, now + wait - 1) < wanted * SPAN);
            if (draw(4) == 0) {
                bucket_put(&b, now, wanted);
                past[n++] = (struct bucket_past){now, wanted};
            } else if (level >= wanted * SPAN) {
                bucket_take(&b, now, wanted);
                past[n++] = (struct bucket_past){now, -wanted};
            }
        }
    }
}

/* ---- The minute ------------------------------------------------------------------------------ */

static void a_minute_is_one_of_the_clock(void **state)
{
    struct minute m;
    (void)state;
    minute_init(&m, 10, SPAN, 700); /* at 0 the window has 300 us to go */
    int64_t window = minute_take(&m, 0, 10);
    assert_int_equal(minute_left(&m, 299), 0);
    assert_int_equal(minute_wait_us(&m, 1, 1), 299);
    assert_int_equal(minute_wait_us(&m, 1, 11), -1);
    assert_int_equal(minute_put(&m, 2, window, 4), 4);
    assert_int_equal(minute_left(&m, 2), 4);
    assert_int_equal(minute_left(&m, 300), 10);
    assert_int_equal(minute_take(&m, 300, 3), window + 1);
    assert_int_equal(minute_put(&m, 300, window, 4), 0); /* its window has ended */
    assert_int_equal(minute_left(&m, 300), 7);
    minute_take(&m, 400, 20); /* counted in full; nothing carries over */
    assert_int_equal(minute_left(&m, 400), 0);
    assert_int_equal(minute_left(&m, 1300), 10);
    assert_int_equal(minute_left(&m, 10), 10); /* a step back changes nothing */
}

static void random_minutes_agree_with_the_model(void **state)
{
    static struct bucket_past past[STEPS];
    struct minute m;
    int64_t now = 0;
    (void)state;
    random_state = 77;
    minute_init(&m, 50, SPAN, 123456789);
    for (size_t n = 0; n < STEPS; n++) {
        now += (int64_t)draw(90);
        int64_t used = 0;
        for (size_t i = 0; i < n; i++) {
            bool same = (past[i].at + 123456789) / SPAN == (now + 123456789) / SPAN;
            used += same ? past[i].change : 0;
        }
        assert_int_equal(minute_left(&m, now), 50 - used);
        past[n] = (struct bucket_past){now, (int64_t)draw((uint64_t)(50 - used) / 3 + 1)};
        minute_take(&m, now, past[n].change);
    }
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void start(struct limiter *l, enum limiter_mode mode, bool at_end)
{
    limiter_init(
        l,
        &(struct limiter_config){
            .mode = mode, .at_end = at_end, .max_requests = 3, .max_tokens = 100, .span_us = SPAN});
}

static void each_mode_counts_estimates_and_settles(void **state)
{
    (void)state;
    for (int mode = LIMITER_ROLLING; mode <= LIMITER_MINUTE; mode++) {
        struct limiter l;
        struct window_view view;
        uint64_t ticket;
        start(&l, (enum limiter_mode)mode, false);
        assert_int_equal(limiter_admit(&l, 0, 101, &ticket), WINDOW_TOO_LARGE);
        assert_int_equal(limiter_admit(&l, 0, 90, &ticket), WINDOW_ADMITTED);
        limiter_look(&l, 0, &view);
        assert_int_equal(view.requests_left, 2);
        assert_int_equal(view.tokens_left, 10);
        uint64_t other;
        assert_int_equal(limiter_admit(&l, 0, 11, &other), WINDOW_FULL_TOKENS);
        assert_int_equal(limiter_settle(&l, 0, ticket, 90, 95), 0); /* never upwards */
        assert_int_equal(limiter_settle(&l, 0, ticket, 90, 40), 50);
        limiter_look(&l, 0, &view);
        assert_int_equal(view.tokens_left, 60);
        assert_int_equal(limiter_admit(&l, 0, 0, &other), WINDOW_ADMITTED);
        assert_int_equal(limiter_admit(&l, 0, 0, &other), WINDOW_ADMITTED);
        assert_int_equal(limiter_admit(&l, 0, 0, &other), WINDOW_FULL_REQUESTS);
        int64_t wait = limiter_wait_us(&l, 0, 1);
        assert_true(wait > 0 && wait <= SPAN);
        assert_int_equal(limiter_admit(&l, wait - 1, 1, &other), WINDOW_FULL_REQUESTS);
        assert_int_equal(limiter_admit(&l, wait, 1, &other), WINDOW_ADMITTED);
        limiter_clear(&l);
        limiter_count_refused(&l, wait);
        limiter_look(&l, wait, &view);
        assert_int_equal(view.requests_left, 2);
        assert_int_equal(view.tokens_left, 100);
        limiter_close(&l);
    }
}

static void each_mode_counts_at_the_end(void **state)
{
    (void)state;
    for (int mode = LIMITER_ROLLING; mode <= LIMITER_MINUTE; mode++) {
        struct limiter l;
        struct window_view view;
        uint64_t ticket;
        start(&l, (enum limiter_mode)mode, true);
        assert_int_equal(limiter_admit(&l, 0, 5000, &ticket), WINDOW_ADMITTED);
        assert_int_equal(limiter_admit(&l, 0, 5000, &ticket), WINDOW_ADMITTED);
        limiter_look(&l, 0, &view);
        assert_int_equal(view.tokens_left, 100);
        assert_int_equal(limiter_end(&l, 0, 101), WINDOW_TOO_LARGE);
        assert_int_equal(limiter_end(&l, 0, 60), WINDOW_ADMITTED);
        assert_int_equal(limiter_end(&l, 0, 41), WINDOW_FULL_TOKENS); /* and counts nothing */
        assert_int_equal(limiter_settle(&l, 0, ticket, 5000, 1), 0);
        assert_int_equal(limiter_end(&l, 0, 40), WINDOW_ADMITTED);
        assert_int_equal(limiter_admit(&l, 0, 0, &ticket), WINDOW_FULL_TOKENS);
        int64_t wait = limiter_wait_us(&l, 0, 1);
        assert_true(wait > 0 && wait <= SPAN);
        assert_int_equal(limiter_admit(&l, wait - 1, 0, &ticket), WINDOW_FULL_TOKENS);
        assert_int_equal(limiter_admit(&l, wait, 0, &ticket), WINDOW_ADMITTED);
        limiter_close(&l);
    }
}

/* 20 spans of a load above the limit: what gets through is the limit, plus what a full bucket adds.
 */
static void a_steady_load_uses_all_of_it(void **state)
{
    (void)state;
    for (int mode = LIMITER_ROLLING; mode <= LIMITER_MINUTE; mode++) {
        struct limiter l;
        uint64_t ticket;
        int64_t admitted = 0;
        limiter_init(&l, &(struct limiter_config){.mode = (enum limiter_mode)mode,
                                                  .max_requests = 1000,
                                                  .max_tokens = 1000,
                                                  .span_us = SPAN});
        for (int64_t now = 0; now < 20 * SPAN; now++) {
            admitted += limiter_admit(&l, now, 20, &ticket) == WINDOW_ADMITTED;
        }
        /* The bucket's last 20 tokens arrive at the end of the last span, one microsecond too late.
         */
        assert_int_equal(admitted, mode == LIMITER_BUCKET ? 21 * 50 - 1 : 20 * 50);
        limiter_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_fills_evenly_to_the_brim),
        cmocka_unit_test(a_bucket_of_the_largest_limit_is_exact),
        cmocka_unit_test(random_takes_agree_with_the_model),
        cmocka_unit_test(a_minute_is_one_of_the_clock),
        cmocka_unit_test(random_minutes_agree_with_the_model),
        cmocka_unit_test(each_mode_counts_estimates_and_settles),
        cmocka_unit_test(each_mode_counts_at_the_end),
        cmocka_unit_test(a_steady_load_uses_all_of_it),
    };
    return cmocka_run_group_tests_name("upstream limiter", tests, NULL, NULL);
}
