/* ration_call() when a try fails: how each is settled, which have another, and what the server
 * learns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_client_fixture.h"

static void a_limited_call_comes_back_when_told(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer_once(fx.provider, "POST", HTTP_429_SHORT);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    assert_int_equal(answer.http_status, 200);
    assert_in_range(answer.waited_ms, 30, 2000);
    assert_int_equal(answer.retry_after_ms, 0);
    assert_int_equal(peer_count(fx.server, "ACQUIRE"), 2); /* a retry is another request */
    assert_int_equal(peer_count(fx.server, "REPORT"), 2);
    ration_response_free(&answer);
}

static void every_try_is_settled_and_the_tries_end(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer(fx.provider, "POST", HTTP_529);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 5);
    assert_int_equal(answer.outcome, RATION_OVERLOADED);
    assert_in_range(answer.retry_after_ms, 30, 50); /* what would have been waited next */
    assert_int_equal(peer_count(fx.provider, "POST"), 5);
    assert_int_equal(peer_count(fx.server, "ACQUIRE"), 5);
    assert_int_equal(peer_count(fx.server, "REPORT"), 5);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 0 input_tokens 0 output_tokens 0 STATUS 529");
    assert_non_null(strstr(ration_errmsg(fx.r), "used up"));
    ration_response_free(&answer);
}

static void a_refusal_is_not_repeated(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer(fx.provider, "POST", HTTP_400);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.outcome, RATION_REFUSED);
    assert_int_equal(answer.tries, 1);
    assert_int_equal(answer.retry_after_ms, 0);
    assert_int_equal(peer_count(fx.provider, "POST"), 1);
    ration_response_free(&answer);
}

static void the_provider_says_whether_to_try_again(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer_once(fx.provider, "POST", HTTP_400_AGAIN);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    ration_response_free(&answer);

    peer_answer(fx.provider, "POST", HTTP_429_NOT_AGAIN);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 1);
    assert_int_equal(answer.retry_after_ms, 7000);
    assert_non_null(strstr(ration_errmsg(fx.r), "the provider says not to try again"));
    ration_response_free(&answer);

    /* what it said when it began to answer is no word on the answer's breaking off */
    peer_answer(fx.provider, "POST", HTTP_ANSWER);
    peer_answer_once(fx.provider, "POST", HTTP_CUT_NOT_AGAIN);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    ration_response_free(&answer);
}

/* Whatever it says of it, tries do not follow each other without a pause. */
static void a_wait_of_nothing_is_not_believed(void **state)
{
    (void)state;
    static const char *const answers[] = {HTTP_503_AT_ONCE, HTTP_500_LONG_AGO};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct ration_call_options options;
        struct ration_response answer;
        fixture_options(&options);
        options.retry.tries = 4;
        options.retry.min_ms = 20;
        options.retry.max_ms = 100;
        options.retry.jitter = 0;
        peer_answer(fx.provider, "POST", answers[i]);
        assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
        assert_int_equal(answer.tries, 4);
        assert_int_equal(answer.waited_ms, 20 + 40 + 80);
        assert_null(strstr(fixture_last(fx.server, "REPORT"), "RETRY_AFTER"));
        ration_response_free(&answer);
    }
}

/* It would shut the pool for everybody. */
static void a_wait_of_a_year_is_not_passed_on(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.retry.tries = 1;
    peer_answer(fx.provider, "POST", HTTP_429_IN_A_YEAR);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_null(strstr(fixture_last(fx.server, "REPORT"), "RETRY_AFTER"));
    assert_in_range(answer.retry_after_ms, 1, 60000);
    ration_response_free(&answer);
}

static void a_quota_that_is_used_up_closes_the_pool(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer(fx.provider, "POST", HTTP_EXHAUSTED);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.outcome, RATION_EXHAUSTED);
    assert_int_equal(answer.tries, 1);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 0 input_tokens 0 output_tokens 0 STATUS 429 EXHAUSTED "
                        "insufficient_quota");
    ration_response_free(&answer);
}

static void a_time_out_is_tried_again(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.timeout_ms = 100;
    peer_answer_once(fx.provider, "POST", PEER_SILENT);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    ration_response_free(&answer);
}

static void a_connection_that_breaks_is_tried_again(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer_once(fx.provider, "POST", PEER_CLOSE);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    ration_response_free(&answer);
}

static void whoever_is_in_a_hurry_is_told_when_to_come_back(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.fail_fast = 1;
    options.max_wait_ms = 60000;
    peer_answer(fx.provider, "POST", HTTP_429);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 1);
    assert_int_equal(answer.retry_after_ms, 2000);
    assert_int_equal(answer.waited_ms, 0);
    ration_response_free(&answer);

    peer_answer(fx.provider, "POST", HTTP_529);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_in_range(answer.retry_after_ms, 7, 13);
    ration_response_free(&answer);

    peer_answer(fx.server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(fixture_call(&options, &answer), RATION_EDENIED);
    assert_int_equal(answer.retry_after_ms, 30);
    assert_int_equal(answer.tries, 0);
    ration_response_free(&answer);
}

static void a_wait_that_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.retry.deadline_ms = 1500;
    peer_answer(fx.provider, "POST", HTTP_429);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 1);
    assert_int_equal(answer.waited_ms, 0);
    assert_int_equal(answer.retry_after_ms, 2000);
    ration_response_free(&answer);
}

/* The report of a 429 pauses the pool, so the limits may have the retry wait although no denial was
 * to be sat out. */
static void a_retry_that_is_denied_waits_for_the_limit(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.retry.deadline_ms = 400;
    peer_answer(fx.provider, "POST", PEER_SILENT);
    options.timeout_ms = 100;
    peer_answer_once(fx.server, "ACQUIRE", REPLY_GRANTED);
    peer_answer(fx.server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.outcome, RATION_TIMED_OUT);
    assert_in_range(peer_count(fx.server, "ACQUIRE"), 3, 15);
    assert_non_null(strstr(ration_errmsg(fx.r), "denied by pool:p"));
    assert_int_equal(answer.grant.granted, 0);
    ration_response_free(&answer);
}

static void what_headers_say_is_left_goes_along(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer(fx.provider, "POST", HTTP_SEEN);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 15 input_tokens 10 output_tokens 5 STATUS 200 "
                        "REMAINING requests 499 LIMIT 500 PER 60000 "
                        "REMAINING tokens 29000 LIMIT 30000");
    ration_response_free(&answer);
}

static void a_report_that_is_refused_is_not_sent_again(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    peer_answer(fx.provider, "POST", HTTP_SEEN);
    peer_answer_once(fx.server, "REPORT", "-ERR 'REMAINING' is neither an option nor a unit\r\n");
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    ration_response_free(&answer);
    peer_answer(fx.provider, "POST", HTTP_SEEN);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(peer_count(fx.server, "REPORT"), 2);
    ration_response_free(&answer);
}

static int call_and_leave_its_report(struct ration_response *answer)
{
    struct ration_call_options options;
    fixture_options(&options);
    return ration_call(fx.r, "p", "t", &options, answer);
}

static void a_report_that_was_lost_is_sent_again(void **state)
{
    (void)state;
    struct ration_response answer;
    struct ration_grant grant;
    peer_answer_once(fx.server, "REPORT", PEER_CLOSE);
    assert_int_equal(call_and_leave_its_report(&answer), RATION_OK);
    assert_int_equal(ration_acquire(fx.r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_int_equal(peer_count(fx.server, "REPORT"), 2);
    assert_int_equal(ration_acquire(fx.r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_int_equal(peer_count(fx.server, "REPORT"), 2);
    ration_response_free(&answer);
}

static void closing_sends_a_report_that_was_lost(void **state)
{
    struct ration_response answer;
    peer_answer_once(fx.server, "REPORT", PEER_CLOSE);
    assert_int_equal(call_and_leave_its_report(&answer), RATION_OK);
    ration_close(fx.r);
    fx.r = NULL;
    assert_int_equal(peer_count(fx.server, "REPORT"), 2);
    ration_response_free(&answer);
    (void)state;
}

/* The next call has the server's refusal behind it, not in its way. */
static void a_report_that_is_refused_is_forgotten(void **state)
{
    (void)state;
    struct ration_response answer;
    struct ration_grant grant;
    peer_answer(fx.server, "REPORT", "-NOSUCH gone\r\n");
    assert_int_equal(call_and_leave_its_report(&answer), RATION_OK);
    assert_int_equal(ration_acquire(fx.r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_string_equal(ration_errmsg(fx.r), "");
    assert_int_equal(ration_acquire(fx.r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_int_equal(peer_count(fx.server, "REPORT"), 1);
    ration_response_free(&answer);
}

static void a_long_call_is_renewed(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.acquire.ttl_ms = 100;
    options.timeout_ms = 500;
    options.retry.tries = 1;
    peer_answer(fx.provider, "POST", PEER_SILENT);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_in_range(peer_count(fx.server, "RENEW"), 4, 10);
    assert_string_equal(fixture_last(fx.server, "RENEW"), "RENEW me TTL 100");
    ration_response_free(&answer);

    peer_answer(fx.server, "RENEW", "-NOSUCH gone\r\n"); /* then there is nothing to renew */
    size_t before = peer_count(fx.server, "RENEW");
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    assert_int_equal(peer_count(fx.server, "RENEW"), before + 1);
    ration_response_free(&answer);
}

static void words_out_of_range_are_refused(void **state)
{
    (void)state;
    static const char *const reasons[] = {
        "", "two words", "caf\xc3\xa9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct ration_report_options options;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        ration_report_options_init(&options);
        options.exhausted = reasons[i];
        assert_int_equal(ration_report(fx.r, "x", NULL, &options, NULL), RATION_EINVALID);
    }
    struct ration_provider_limit seen = {.unit = RATION_UNIT_COUNT, .remaining = 1};
    ration_report_options_init(&options);
    options.limits = &seen;
    options.n_limits = 1;
    assert_int_equal(ration_report(fx.r, "x", NULL, &options, NULL), RATION_EINVALID);
    assert_int_equal(peer_count(fx.server, NULL), 0);
}

static void more_hints_than_fit_are_left_out(void **state)
{
    (void)state;
    struct ration_report_options options;
    struct ration_provider_limit seen[20];
    for (size_t i = 0; i < 20; i++)
        seen[i] = (struct ration_provider_limit){
            .unit = RATION_UNIT_TOKENS, .per_ms = 60000, .limit = 9, .remaining = (int64_t)i};
    ration_report_options_init(&options);
    options.limits = seen;
    options.n_limits = 20;
    assert_int_equal(ration_report(fx.r, "x", NULL, &options, NULL), RATION_OK);
    assert_non_null(strstr(fixture_last(fx.server, "REPORT"), "REMAINING tokens 5 LIMIT 9"));
    assert_null(strstr(fixture_last(fx.server, "REPORT"), "REMAINING tokens 6 "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_limited_call_comes_back_when_told),
        TEST(every_try_is_settled_and_the_tries_end),
        TEST(a_refusal_is_not_repeated),
        TEST(the_provider_says_whether_to_try_again),
        TEST(a_wait_of_nothing_is_not_believed),
        TEST(a_wait_of_a_year_is_not_passed_on),
        TEST(a_quota_that_is_used_up_closes_the_pool),
        TEST(a_time_out_is_tried_again),
        TEST(a_connection_that_breaks_is_tried_again),
        TEST(whoever_is_in_a_hurry_is_told_when_to_come_back),
        TEST(a_wait_that_does_not_fit_is_not_begun),
        TEST(a_retry_that_is_denied_waits_for_the_limit),
        TEST(what_headers_say_is_left_goes_along),
        TEST(a_report_that_is_refused_is_not_sent_again),
        TEST(a_report_that_was_lost_is_sent_again),
        TEST(closing_sends_a_report_that_was_lost),
        TEST(a_report_that_is_refused_is_forgotten),
        TEST(a_long_call_is_renewed),
        TEST(words_out_of_range_are_refused),
        TEST(more_hints_than_fit_are_left_out),
    };
    fixture_clean_environment();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
