/* ration_call(): the HTTP exchange, and how each of its outcomes is settled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "test_client_fixture.h"

/* One try, so that its settlement is the only one. */
static int call(struct ration_response *out, uint32_t timeout_ms, uint32_t max_wait_ms)
{
    struct ration_call_options options;
    fixture_options(&options);
    options.timeout_ms = timeout_ms;
    options.max_wait_ms = max_wait_ms;
    options.retry.tries = 1;
    return fixture_call(&options, out);
}

static void an_answer_is_reported_as_used(void **state)
{
    (void)state;
    struct ration_response answer;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(&answer, 2000, 0), RATION_OK);
        assert_int_equal(answer.http_status, 200);
        assert_int_equal(answer.tries, 1);
        assert_int_equal(answer.outcome, RATION_ANSWERED);
        assert_int_equal(answer.waited_ms, 0);
        assert_int_equal(answer.used_known, 1);
        assert_int_equal(answer.used.tokens, 15);
        assert_int_equal(answer.body_bytes, strlen(answer.body));
        ration_response_free(&answer);
        ration_response_free(&answer);
    }
    assert_string_equal(fixture_last(fx.provider, "POST"), BODY);
    assert_non_null(strstr(fixture_last(fx.server, "ACQUIRE"),
                           "ACQUIRE p t input_tokens 2 output_tokens 100 TTL 7000 ID r1."));
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 15 input_tokens 10 output_tokens 5 STATUS 200");
}

static void an_answer_without_usage_leaves_the_estimate(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(fx.provider, "POST", HTTP_NO_USAGE);
    assert_int_equal(call(&answer, 2000, 0), RATION_OK);
    assert_int_equal(answer.used_known, 0);
    assert_string_equal(fixture_last(fx.server, "REPORT"), "REPORT me STATUS 200");
    ration_response_free(&answer);
}

static void a_refusal_keeps_its_request_and_gives_its_tokens_back(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(fx.provider, "POST", HTTP_429);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.http_status, 429);
    assert_int_equal(answer.retry_after_ms, 2000);
    assert_int_equal(answer.used.tokens, RATION_ZERO);
    assert_string_equal(
        fixture_last(fx.server, "REPORT"),
        "REPORT me tokens 0 input_tokens 0 output_tokens 0 STATUS 429 RETRY_AFTER 2000");
    assert_non_null(strstr(ration_errmsg(fx.r), "429"));
    ration_response_free(&answer);

    peer_answer(fx.provider, "POST", HTTP_429_MS);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.retry_after_ms, 2000); /* the longer of the two that it said */
    ration_response_free(&answer);
}

static void an_answer_that_is_cut_short_keeps_its_estimate(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_close_after(fx.provider, 1);
    peer_answer(fx.provider, "POST", HTTP_CUT);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_string_equal(fixture_last(fx.server, "REPORT"), "REPORT me STATUS 200 FAILED");
    ration_response_free(&answer);

    peer_close_after(fx.provider, 0);
    peer_answer(fx.provider, "POST", PEER_SILENT);
    assert_int_equal(call(&answer, 100, 0), RATION_EUPSTREAM);
    assert_string_equal(fixture_last(fx.server, "REPORT"), "REPORT me FAILED");
    assert_null(answer.body);
    ration_response_free(&answer);
    assert_int_equal(peer_count(fx.server, "CANCEL"), 0);
}

static void a_provider_that_is_not_there_is_cancelled(void **state)
{
    (void)state;
    struct ration_response answer;
    struct peer *gone = peer_start();
    snprintf(fx.url, sizeof(fx.url), "http://127.0.0.1:%u", peer_port(gone));
    peer_stop(gone);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.http_status, 0);
    assert_int_equal(peer_count(fx.server, "REPORT"), 0);
    assert_string_equal(fixture_last(fx.server, "CANCEL"), "CANCEL me FAILED");
    assert_non_null(strstr(ration_errmsg(fx.r), "was not reached"));
    ration_response_free(&answer);
}

static void a_denial_sends_nothing(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(fx.server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 0), RATION_EDENIED);
    assert_int_equal(answer.grant.retry_after_ms, 30);
    assert_int_equal(answer.retry_after_ms, 30);
    assert_int_equal(peer_count(fx.provider, NULL), 0);
    assert_int_equal(peer_count(fx.server, NULL), 1);
    ration_response_free(&answer);
}

static void a_denial_is_sat_out_where_it_fits(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer_once(fx.server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 1000), RATION_OK);
    assert_int_equal(peer_count(fx.server, "ACQUIRE"), 2);
    ration_response_free(&answer);
    peer_answer(fx.server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 100), RATION_EDENIED);
    assert_in_range(peer_count(fx.server, "ACQUIRE"), 3, 7);
    ration_response_free(&answer);
}

static void a_report_that_is_lost_leaves_the_answer_good(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(fx.server, "REPORT", "-UNAVAILABLE no\r\n");
    assert_int_equal(call(&answer, 2000, 0), RATION_OK);
    assert_string_equal(ration_errmsg(fx.r), "");
    ration_response_free(&answer);
}

static void what_cannot_be_called_is_told_before_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "[]", "7", " null"};
    struct ration_response answer;
    struct ration_call_options options;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ration_call_options_init(&options);
        options.url = fx.url;
        options.body = bodies[i];
        assert_int_equal(ration_call(fx.r, "p", "t", &options, &answer), RATION_EINVALID);
    }
    options.body = BODY;
    options.retry.tries = 0;
    assert_int_equal(ration_call(fx.r, "p", "t", &options, &answer), RATION_EINVALID);
    ration_retry_init(&options.retry);
    options.body = BODY;
    options.url = "ftp://127.0.0.1";
    assert_int_equal(ration_call(fx.r, "p", "t", &options, &answer), RATION_EINVALID);
    options.url = fx.url;
    options.api_key = "a\r\nX-Evil: 1";
    assert_int_equal(ration_call(fx.r, "p", "t", &options, &answer), RATION_EINVALID);
    options.api_key = NULL;
    options.provider = "nobody";
    assert_int_equal(ration_call(fx.r, "p", "t", &options, &answer), RATION_EINVALID);
    assert_int_equal(ration_call(fx.r, "p", "t", NULL, &answer), RATION_EINVALID);
    assert_int_equal(peer_count(fx.server, NULL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_reported_as_used),
        TEST(an_answer_without_usage_leaves_the_estimate),
        TEST(a_refusal_keeps_its_request_and_gives_its_tokens_back),
        TEST(an_answer_that_is_cut_short_keeps_its_estimate),
        TEST(a_provider_that_is_not_there_is_cancelled),
        TEST(a_denial_sends_nothing),
        TEST(a_denial_is_sat_out_where_it_fits),
        TEST(a_report_that_is_lost_leaves_the_answer_good),
        TEST(what_cannot_be_called_is_told_before_it_is_asked_for),
    };
    fixture_clean_environment();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
