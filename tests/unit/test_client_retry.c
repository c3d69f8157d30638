/* The retry table: each row of it, what beats what, and what is never retried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "call/retry.h"

#define LONG_MS  INT64_C(1000000000)
#define NO_SWING 0.5 /* the random number in the middle: neither more nor less */

static struct ration_retry retry;

static int set_up(void **state)
{
    (void)state;
    ration_retry_init(&retry);
    return 0;
}

static struct retry_plan decide(int outcome, uint32_t tries)
{
    const struct retry_case c = {
        .outcome = outcome, .tries = tries, .left_ms = LONG_MS, .random = NO_SWING};
    struct retry_plan plan;
    retry_decide(&retry, &c, &plan);
    return plan;
}

static struct retry_plan told(int outcome, uint32_t tries, int64_t told_ms, int64_t left_ms)
{
    const struct retry_case c = {.outcome = outcome,
                                 .tries = tries,
                                 .wait_named = true,
                                 .named_ms = told_ms,
                                 .left_ms = left_ms,
                                 .random = 0};
    struct retry_plan plan;
    retry_decide(&retry, &c, &plan);
    return plan;
}

static void assert_waits(int outcome, const int64_t *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct retry_plan plan = decide(outcome, (uint32_t)i + 1);
        assert_true(plan.again);
        assert_int_equal(plan.wait_ms, waits[i]);
    }
}

static void limits_and_failures_back_off_exponentially(void **state)
{
    (void)state;
    static const int outcomes[] = {RATION_LIMITED, RATION_OVERLOADED, RATION_FAILED};
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    retry.tries = 100;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        assert_waits(outcomes[i], waits, sizeof(waits) / sizeof(waits[0]));
        assert_int_equal(decide(outcomes[i], 99).wait_ms, 60000);
    }
}

static void jitter_is_a_quarter_either_way(void **state)
{
    (void)state;
    struct retry_case c = {.outcome = RATION_LIMITED, .tries = 3, .left_ms = LONG_MS, .random = 0};
    struct retry_plan plan;
    retry_decide(&retry, &c, &plan);
    assert_int_equal(plan.wait_ms, 3000);
    c.random = 0.999999999;
    retry_decide(&retry, &c, &plan);
    assert_int_equal(plan.wait_ms, 5000);
    retry.jitter = 0;
    retry_decide(&retry, &c, &plan);
    assert_int_equal(plan.wait_ms, 4000);
}

static void time_outs_and_connections_wait_longer_each_time(void **state)
{
    (void)state;
    static const int64_t timed_out[] = {5000, 10000, 15000, 20000};
    static const int64_t unreached[] = {3000, 6000, 9000, 12000};
    assert_waits(RATION_TIMED_OUT, timed_out, 4);
    assert_waits(RATION_UNREACHED, unreached, 4);
}

static void the_longer_of_the_told_and_the_computed_wait_rules(void **state)
{
    (void)state;
    static const struct {
        int64_t told_ms;
        int64_t wait_ms; /* 6000 is 8000 less the most of its jitter */
    } waits[] = {{-5, 6000},   {0, 6000},      {17, 6000},        {5999, 6000},
                 {6001, 6001}, {61000, 61000}, {7200000, 7200000}};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct retry_plan plan = told(RATION_LIMITED, 4, waits[i].told_ms, LONG_MS);
        assert_true(plan.again);
        assert_int_equal(plan.wait_ms, waits[i].wait_ms);
    }
}

/* Some say Retry-After: 0, or a date that has passed, with every error. */
static void a_told_wait_of_nothing_does_not_use_the_tries_up(void **state)
{
    (void)state;
    static const int outcomes[] = {RATION_LIMITED, RATION_OVERLOADED, RATION_FAILED,
                                   RATION_TIMED_OUT, RATION_UNREACHED};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        int64_t sum = 0;
        for (uint32_t tries = 1; tries < retry.tries; tries++) {
            struct retry_plan plan = told(outcomes[i], tries, 0, LONG_MS);
            assert_true(plan.again);
            sum += plan.wait_ms;
        }
        assert_true(sum >= INT64_C(15) * 750);
    }
}

/* Who is in a hurry is told what the provider told, not what we would have waited. */
static void what_is_reported_is_what_was_told(void **state)
{
    (void)state;
    struct retry_plan plan = told(RATION_OVERLOADED, 5, 120, LONG_MS);
    assert_false(plan.again);
    assert_int_equal(plan.wait_ms, 120);
    assert_int_equal(told(RATION_OVERLOADED, 5, 0, LONG_MS).wait_ms, 12000);
    plan = told(RATION_OVERLOADED, 4, 120, 500); /* the computed wait does not fit */
    assert_false(plan.again);
    assert_int_equal(plan.wait_ms, 120);
}

static struct retry_plan word(int outcome, enum profile_should_retry should_retry)
{
    const struct retry_case c = {.outcome = outcome,
                                 .tries = 1,
                                 .wait_named = true,
                                 .named_ms = 2000,
                                 .left_ms = LONG_MS,
                                 .random = NO_SWING,
                                 .should_retry = should_retry};
    struct retry_plan plan;
    retry_decide(&retry, &c, &plan);
    return plan;
}

static void the_providers_word_is_obeyed(void **state)
{
    (void)state;
    static const int failures[] = {RATION_LIMITED,   RATION_OVERLOADED, RATION_FAILED,
                                   RATION_TIMED_OUT, RATION_UNREACHED,  RATION_REFUSED};
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        assert_true(word(failures[i], PROFILE_DO_RETRY).again);
        struct retry_plan plan = word(failures[i], PROFILE_DO_NOT_RETRY);
        assert_false(plan.again);
        assert_int_equal(plan.wait_ms, 2000); /* when to come back was told all the same */
        assert_non_null(strstr(plan.why, "provider"));
    }
    assert_false(word(RATION_REFUSED, PROFILE_RETRY_UNSAID).again);
    assert_int_equal(word(RATION_REFUSED, PROFILE_RETRY_UNSAID).wait_ms, 0);
    assert_false(word(RATION_EXHAUSTED, PROFILE_DO_RETRY).again);
    assert_int_equal(word(RATION_EXHAUSTED, PROFILE_DO_RETRY).wait_ms, 0);
    assert_false(word(RATION_ANSWERED, PROFILE_DO_RETRY).again);
    retry.classes &= ~(1u << RATION_FAILED); /* the caller's own word goes before it */
    assert_false(word(RATION_FAILED, PROFILE_DO_RETRY).again);
    retry.tries = 1;
    assert_false(word(RATION_REFUSED, PROFILE_DO_RETRY).again);
}

static void a_wait_that_ends_after_the_deadline_is_not_begun(void **state)
{
    (void)state;
    assert_true(told(RATION_LIMITED, 1, 1999, 2000).again);
    struct retry_plan plan = told(RATION_LIMITED, 1, 2000, 2000);
    assert_false(plan.again);
    assert_int_equal(plan.wait_ms, 2000); /* not shortened: this is when to come back */
    assert_non_null(strstr(plan.why, "deadline"));
    assert_false(told(RATION_LIMITED, 1, 0, 0).again);
}

static void the_tries_end(void **state)
{
    (void)state;
    assert_true(decide(RATION_LIMITED, 4).again);
    struct retry_plan plan = decide(RATION_LIMITED, 5);
    assert_false(plan.again);
    assert_int_equal(plan.wait_ms, 16000);
    assert_non_null(strstr(plan.why, "used up"));
    retry.tries = 1;
    assert_false(decide(RATION_FAILED, 1).again);
}

static void what_must_not_be_retried_never_is(void **state)
{
    (void)state;
    static const int never[] = {RATION_EXHAUSTED, RATION_REFUSED, RATION_ANSWERED, -1, 99};
    retry.tries = 100;
    retry.classes = ~0u;
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        struct retry_plan plan = decide(never[i], 1);
        assert_false(plan.again);
        assert_int_equal(plan.wait_ms, 0);
        assert_non_null(plan.why);
        assert_false(told(never[i], 1, 10, LONG_MS).again);
    }
}

static void a_class_that_is_not_wanted_is_not_retried(void **state)
{
    (void)state;
    retry.classes &= ~(1u << RATION_TIMED_OUT);
    assert_false(decide(RATION_TIMED_OUT, 1).again);
    assert_int_equal(decide(RATION_TIMED_OUT, 1).wait_ms, 5000);
    assert_true(decide(RATION_UNREACHED, 1).again);
}

static void what_has_been_passed_on_is_not_begun_anew(void **state)
{
    (void)state;
    const struct retry_case c = {.outcome = RATION_UNREACHED,
                                 .tries = 1,
                                 .left_ms = LONG_MS,
                                 .cannot_be_undone = true,
                                 .random = NO_SWING};
    struct retry_plan plan;
    retry_decide(&retry, &c, &plan);
    assert_false(plan.again);
}

static void options_out_of_range_are_named(void **state)
{
    (void)state;
    assert_null(retry_check(&retry));
#define WRONG(field, value)                                                                        \
    do {                                                                                           \
        struct ration_retry wrong = retry;                                                         \
        wrong.field = value;                                                                       \
        assert_non_null(retry_check(&wrong));                                                      \
        assert_non_null(strstr(retry_check(&wrong), #field));                                      \
    } while (0)
    WRONG(tries, 0);
    WRONG(tries, 101);
    WRONG(min_ms, 0);
    WRONG(max_ms, 999);
    WRONG(multiplier, 0.5);
    WRONG(multiplier, 0.0 / 0.0);
    WRONG(jitter, -0.1);
    WRONG(jitter, 1.5);
    WRONG(timed_out_ms, 3600001);
    WRONG(unreached_ms, 3600001);
    WRONG(deadline_ms, 86400001);
#undef WRONG
}

static void outcomes_have_names(void **state)
{
    (void)state;
    assert_string_equal(ration_outcome_name(RATION_TIMED_OUT), "timed_out");
    assert_string_equal(ration_outcome_name(RATION_ANSWERED), "answered");
    assert_string_equal(ration_outcome_name(99), "unknown");
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_and_failures_back_off_exponentially),
        TEST(jitter_is_a_quarter_either_way),
        TEST(time_outs_and_connections_wait_longer_each_time),
        TEST(the_longer_of_the_told_and_the_computed_wait_rules),
        TEST(a_told_wait_of_nothing_does_not_use_the_tries_up),
        TEST(what_is_reported_is_what_was_told),
        TEST(the_providers_word_is_obeyed),
        TEST(a_wait_that_ends_after_the_deadline_is_not_begun),
        TEST(the_tries_end),
        TEST(what_must_not_be_retried_never_is),
        TEST(a_class_that_is_not_wanted_is_not_retried),
        TEST(what_has_been_passed_on_is_not_begun_anew),
        TEST(options_out_of_range_are_named),
        TEST(outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
