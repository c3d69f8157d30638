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

#include "test_client_peer.h"
#include "test_client_replies.h"

#define BODY                                                                                       \
    "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"Hi, "      \
    "you\"}]}"

static struct peer *server;
static struct peer *provider;
static ration *r;
static char url[64];
static char last[4096];

static int set_up(void **state)
{
    (void)state;
    char servers[32];
    struct ration_options options;
    server = peer_start();
    provider = peer_start();
    peer_answer(server, "ACQUIRE", REPLY_GRANTED);
    peer_answer(server, "REPORT", REPLY_SETTLED);
    peer_answer(server, "CANCEL", REPLY_SETTLED);
    peer_answer(provider, "POST", HTTP_ANSWER);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(server));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/", peer_port(provider));
    ration_options_init(&options);
    options.servers = servers;
    return ration_open(&options, &r);
}

static int tear_down(void **state)
{
    (void)state;
    ration_close(r);
    peer_stop(server);
    peer_stop(provider);
    return 0;
}

static int call(struct ration_response *out, uint32_t timeout_ms, uint32_t max_wait_ms)
{
    struct ration_call_options options;
    ration_call_options_init(&options);
    options.url = url;
    options.api_key = "k";
    options.body = BODY;
    options.timeout_ms = timeout_ms;
    options.max_wait_ms = max_wait_ms;
    return ration_call(r, "p", "t", &options, out);
}

static const char *last_of(struct peer *peer, const char *verb)
{
    peer_last(peer, verb, last, sizeof(last));
    return last;
}

static void an_answer_is_reported_as_used(void **state)
{
    (void)state;
    struct ration_response answer;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(&answer, 2000, 0), RATION_OK);
        assert_int_equal(answer.http_status, 200);
        assert_int_equal(answer.used_known, 1);
        assert_int_equal(answer.used.tokens, 15);
        assert_int_equal(answer.body_bytes, strlen(answer.body));
        ration_response_free(&answer);
        ration_response_free(&answer);
    }
    assert_string_equal(last_of(provider, "POST"), BODY);
    assert_non_null(strstr(last_of(server, "ACQUIRE"),
                           "ACQUIRE p t input_tokens 2 output_tokens 100 TTL 7000 ID r1."));
    assert_string_equal(last_of(server, "REPORT"),
                        "REPORT me tokens 15 input_tokens 10 output_tokens 5 STATUS 200");
}

static void an_answer_without_usage_leaves_the_estimate(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(provider, "POST", HTTP_NO_USAGE);
    assert_int_equal(call(&answer, 2000, 0), RATION_OK);
    assert_int_equal(answer.used_known, 0);
    assert_string_equal(last_of(server, "REPORT"), "REPORT me STATUS 200");
    ration_response_free(&answer);
}

static void a_refusal_keeps_its_request_and_gives_its_tokens_back(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(provider, "POST", HTTP_429);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.http_status, 429);
    assert_int_equal(answer.retry_after_ms, 2000);
    assert_int_equal(answer.used.tokens, RATION_ZERO);
    assert_string_equal(
        last_of(server, "REPORT"),
        "REPORT me tokens 0 input_tokens 0 output_tokens 0 STATUS 429 RETRY_AFTER 2000");
    assert_non_null(strstr(ration_errmsg(r), "429"));
    ration_response_free(&answer);

    peer_answer(provider, "POST", HTTP_429_MS);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.retry_after_ms, 1234);
    ration_response_free(&answer);
}

static void an_answer_that_is_cut_short_is_partial(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_close_after(provider, 1);
    peer_answer(provider, "POST", HTTP_CUT);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_string_equal(last_of(server, "REPORT"), "REPORT me STATUS 200 PARTIAL");
    ration_response_free(&answer);

    peer_close_after(provider, 0);
    peer_answer(provider, "POST", PEER_SILENT);
    assert_int_equal(call(&answer, 100, 0), RATION_EUPSTREAM);
    assert_string_equal(last_of(server, "REPORT"), "REPORT me PARTIAL");
    assert_null(answer.body);
    ration_response_free(&answer);
    assert_int_equal(peer_count(server, "CANCEL"), 0);
}

static void a_provider_that_is_not_there_is_cancelled(void **state)
{
    (void)state;
    struct ration_response answer;
    struct peer *gone = peer_start();
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", peer_port(gone));
    peer_stop(gone);
    assert_int_equal(call(&answer, 2000, 0), RATION_EUPSTREAM);
    assert_int_equal(answer.http_status, 0);
    assert_int_equal(peer_count(server, "REPORT"), 0);
    assert_string_equal(last_of(server, "CANCEL"), "CANCEL me");
    assert_non_null(strstr(ration_errmsg(r), "was not reached"));
    ration_response_free(&answer);
}

static void a_denial_sends_nothing(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 0), RATION_EDENIED);
    assert_int_equal(answer.grant.retry_after_ms, 30);
    assert_int_equal(answer.retry_after_ms, 30);
    assert_int_equal(peer_count(provider, NULL), 0);
    assert_int_equal(peer_count(server, NULL), 1);
    ration_response_free(&answer);
}

static void a_denial_is_sat_out_where_it_fits(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer_once(server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 1000), RATION_OK);
    assert_int_equal(peer_count(server, "ACQUIRE"), 2);
    ration_response_free(&answer);
    peer_answer(server, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(call(&answer, 2000, 100), RATION_EDENIED);
    assert_in_range(peer_count(server, "ACQUIRE"), 3, 7);
    ration_response_free(&answer);
}

static void a_report_that_is_lost_leaves_the_answer_good(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer(server, "REPORT", "-UNAVAILABLE no\r\n");
    assert_int_equal(call(&answer, 2000, 0), RATION_OK);
    assert_string_equal(ration_errmsg(r), "");
    ration_response_free(&answer);
}

static void what_cannot_be_called_is_told_before_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "[]", "7", " null", "{\"max_tokens\":-1}"};
    struct ration_response answer;
    struct ration_call_options options;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ration_call_options_init(&options);
        options.url = url;
        options.body = bodies[i];
        assert_int_equal(ration_call(r, "p", "t", &options, &answer), RATION_EINVALID);
    }
    options.body = "{\"stream\":true}";
    assert_int_equal(ration_call(r, "p", "t", &options, &answer), RATION_EUNSUPPORTED);
    options.body = BODY;
    options.url = "ftp://127.0.0.1";
    assert_int_equal(ration_call(r, "p", "t", &options, &answer), RATION_EINVALID);
    options.url = url;
    options.api_key = "a\r\nX-Evil: 1";
    assert_int_equal(ration_call(r, "p", "t", &options, &answer), RATION_EINVALID);
    options.api_key = NULL;
    options.provider = "nobody";
    assert_int_equal(ration_call(r, "p", "t", &options, &answer), RATION_EINVALID);
    assert_int_equal(ration_call(r, "p", "t", NULL, &answer), RATION_EINVALID);
    assert_int_equal(peer_count(server, NULL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_reported_as_used),
        TEST(an_answer_without_usage_leaves_the_estimate),
        TEST(a_refusal_keeps_its_request_and_gives_its_tokens_back),
        TEST(an_answer_that_is_cut_short_is_partial),
        TEST(a_provider_that_is_not_there_is_cancelled),
        TEST(a_denial_sends_nothing),
        TEST(a_denial_is_sat_out_where_it_fits),
        TEST(a_report_that_is_lost_leaves_the_answer_good),
        TEST(what_cannot_be_called_is_told_before_it_is_asked_for),
    };
    unsetenv("RATION_SECRET");
    unsetenv("RATION_TENANT");
    unsetenv("http_proxy");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
