/*
 * Success is proven by the answer: each form in which servers say under a status of 200 that there
 * is none, whole or streamed, and what is settled then. The forms are those of the providers'
 * references and of the servers that speak like them; what each row says is right is what a caller
 * must be told, and what the ledger must hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test_client_fixture.h"

#define TEXT_BYTES 4096
#define CALLED     "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[]}"
#define STREAMED   "{\"model\":\"m\",\"max_tokens\":100,\"stream\":true,\"messages\":[]}"
#define CHUNK      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n"
#define FINISH     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define START                                                                                      \
    "event: message_start\ndata: "                                                                 \
    "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9}}}\n\n"
#define PING "event: ping\ndata: {\"type\":\"ping\"}\n\n"
#define CREATED                                                                                    \
    "event: response.created\ndata: "                                                              \
    "{\"type\":\"response.created\",\"response\":{\"status\":\"queued\"}}\n\n"

struct row {
    const char *profile;
    const char *type; /* as it is labelled */
    const char *body;
    enum ration_outcome outcome;
    const char *report; /* what the last REPORT has in it */
};

static struct {
    char text[256];
    size_t events;
} seen;

static int on_event(void *arg, const char *name, const char *data, size_t bytes, const char *text)
{
    (void)arg;
    (void)name;
    assert_int_equal(strlen(data), bytes);
    seen.events++;
    if (text)
        strncat(seen.text, text, sizeof(seen.text) - strlen(seen.text) - 1);
    return 0;
}

/* An answer's text must live as long as the provider, a thread of its own, may read it: until after
 * the next one. */
static char *next_text(void)
{
    static char ring[4][TEXT_BYTES];
    static size_t n;
    return ring[n++ % 4];
}

/* One try, whole or streamed. */
static int call(const struct row *row, bool streamed, uint32_t tries,
                struct ration_response *answer)
{
    char *http = next_text();
    struct ration_call_options options;
    fixture_options(&options);
    options.provider = row->profile;
    options.model = "m";
    options.body = streamed ? STREAMED : CALLED;
    options.stream = streamed ? on_event : NULL;
    options.retry.tries = tries;
    memset(&seen, 0, sizeof(seen));
    snprintf(http, TEXT_BYTES,
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", row->type,
             strlen(row->body), row->body);
    peer_answer(fx.provider, "POST", http);
    return fixture_call(&options, answer);
}

static void expect(const struct row *row, bool streamed)
{
    struct ration_response answer;
    int err = call(row, streamed, 1, &answer);
    const char *report = fixture_last(fx.server, "REPORT");
    if ((err == RATION_OK) != (row->outcome == RATION_ANSWERED) ||
        (err == RATION_OK ? RATION_ANSWERED : answer.outcome) != (int)row->outcome ||
        !strstr(report, row->report))
        fail_msg("%s %s: %s, '%s', reported as '%s'", row->profile, row->body,
                 ration_outcome_name(answer.outcome), ration_errmsg(fx.r), report);
    assert_int_equal(answer.http_status, 200);
    ration_response_free(&answer);
}

#define JSON   "application/json"
#define EVENTS "text/event-stream"

/* What fails without a code keeps its estimate; what a code names is settled as if the status had
 * said it. */
static const struct row whole[] = {
    {"openai", JSON, "", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", JSON, "null", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", JSON, "{}", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", JSON, "[]", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", "text/html", "<html>Sign in</html>", RATION_FAILED, "STATUS 200 FAILED"},
    {"openai", JSON, "{\"choices\":[{\"message\":{\"content\":\"cut", RATION_FAILED, "FAILED"},
    {"openai", JSON, "{\"choices\":[]}", RATION_FAILED, "FAILED"},
    {"openai", JSON, "{\"base_resp\":{\"status_code\":1002,\"status_msg\":\"rate limit\"}}",
     RATION_FAILED, "FAILED"},
    {"openai", JSON,
     "{\"error\":{\"message\":\"no\",\"code\":429},\"usage\":{\"prompt_tokens\":0,\"completion_"
     "tokens\":0}}",
     RATION_LIMITED, "tokens 0 input_tokens 0 output_tokens 0 STATUS 429"},
    {"openai", JSON, "{\"error\":{\"message\":\"no\",\"code\":\"529\"}}", RATION_OVERLOADED,
     "STATUS 529"},
    {"openai", JSON, "{\"error\":{\"message\":\"no\",\"type\":\"rate_limit_exceeded\"}}",
     RATION_LIMITED, "STATUS 429"},
    {"openai", JSON, "{\"error\":{\"code\":\"insufficient_quota\"}}", RATION_EXHAUSTED,
     "EXHAUSTED insufficient_quota"},
    {"openai", JSON, "{\"error\":{\"code\":402}}", RATION_EXHAUSTED, "STATUS 402"},
    {"openai", JSON, "{\"error\":{\"code\":\"invalid_api_key\"}}", RATION_REFUSED, "STATUS 400"},
    {"openai", JSON, "{\"error\":{\"code\":503,\"type\":\"server_error\"}}", RATION_OVERLOADED,
     "STATUS 503"},
    {"openai", JSON, "{\"error\":\"upstream went away\"}", RATION_FAILED, "FAILED"},
    {"openai", JSON, "{\"object\":\"error\",\"message\":\"boom\",\"code\":50001}", RATION_FAILED,
     "FAILED"},
    {"openai", JSON, "{\"status\":429,\"title\":\"Too Many Requests\"}", RATION_LIMITED,
     "STATUS 429"},
    {"openai", JSON, "{\"error\":null,\"choices\":[{\"text\":\"\"}]}", RATION_ANSWERED,
     "REPORT me STATUS 200"},
    {"openai", JSON, "{\"error\":{},\"choices\":[{\"text\":\"\"}]}", RATION_ANSWERED,
     "REPORT me STATUS 200"},
    {"openai", JSON, "\xef\xbb\xbf{\"choices\":[{\"text\":\"\"}]}", RATION_ANSWERED,
     "REPORT me STATUS 200"},
    {"openai", JSON,
     "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}",
     RATION_ANSWERED, "REPORT me STATUS 200"},
    {"openai", EVENTS, CHUNK FINISH "data: [DONE]\n\n", RATION_ANSWERED,
     "output_tokens 2 STATUS 200 PARTIAL"},
    {"openai-responses", JSON,
     "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\"},\"output\":[]}", RATION_FAILED,
     "FAILED"},
    {"openai-responses", JSON,
     "{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\"},\"output\":[]}",
     RATION_LIMITED, "STATUS 429"},
    {"openai-responses", JSON, "{\"status\":\"incomplete\",\"error\":null,\"output\":[]}",
     RATION_ANSWERED, "STATUS 200"},
    {"anthropic", JSON, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
     RATION_OVERLOADED, "STATUS 503"},
    {"anthropic", JSON, "{\"content\":[],\"stop_reason\":\"end_turn\"}", RATION_ANSWERED,
     "STATUS 200"},
    {"anthropic", JSON, "{\"id\":\"msg_1\"}", RATION_FAILED, "FAILED"},
    {"gemini", JSON, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", RATION_ANSWERED,
     "STATUS 200"},
    {"gemini", JSON, "{\"usageMetadata\":{\"promptTokenCount\":3}}", RATION_FAILED, "FAILED"},
    {"gemini", JSON, "[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}]",
     RATION_LIMITED, "STATUS 429"},
    {"openai-embeddings", JSON, "{\"data\":[],\"usage\":{\"total_tokens\":4}}", RATION_FAILED,
     "FAILED"},
    {"openai-embeddings", JSON, "{\"data\":[{\"embedding\":[0.5]}],\"usage\":{\"total_tokens\":4}}",
     RATION_ANSWERED, "tokens 4 input_tokens 4 output_tokens 0"},
    {"cohere", JSON, "{\"message\":\"invalid api token\"}", RATION_FAILED, "FAILED"},
    {"cohere", JSON, "{\"message\":{\"role\":\"assistant\",\"content\":[]}}", RATION_ANSWERED,
     "STATUS 200"},
    {"ollama", JSON, "{\"error\":\"model 'x' not found\"}", RATION_FAILED, "FAILED"},
    /* A part that was told is charged, the rest stays the estimate: 100 of max_tokens, 0 of an
     * empty prompt. */
    {"openai", JSON, "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":10}}",
     RATION_ANSWERED, "tokens 110 input_tokens 10 output_tokens 100 STATUS"},
    {"openai", JSON, "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"total_tokens\":77}}",
     RATION_ANSWERED, "REPORT me tokens 77 STATUS"},
    /* Nobody answers 10^12 tokens where 100 were the most. */
    {"openai", JSON,
     "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":"
     "1000000000000}}",
     RATION_ANSWERED, "output_tokens "},
};

static void only_an_answer_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        expect(&whole[i], false);
}

static const struct row streams[] = {
    {"openai", EVENTS, "", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", EVENTS, "data: [DONE]\n\n", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", EVENTS, ": ping\n\n", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", "text/html", "<html>Sign in</html>", RATION_FAILED, "REPORT me STATUS 200 FAILED"},
    {"openai", EVENTS, "data: {\"error\":\"out of memory\"}\n\n", RATION_FAILED, "PARTIAL FAILED"},
    {"openai", EVENTS, "data: {\"object\":\"error\",\"message\":\"boom\",\"code\":429}\n\n",
     RATION_LIMITED, "tokens 0 input_tokens 0 output_tokens 0 STATUS 429"},
    {"openai", EVENTS, "event: error\ndata: the worker died\n\n", RATION_FAILED, "PARTIAL FAILED"},
    {"openai", EVENTS,
     CHUNK "data: {\"error\":{\"code\":502},\"choices\":[{\"finish_reason\":\"error\"}]}\n\ndata: "
           "[DONE]\n\n",
     RATION_FAILED, "output_tokens 2 STATUS 502 PARTIAL FAILED"},
    {"openai", EVENTS, "{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}",
     RATION_LIMITED, "STATUS 429"},
    {"openai", JSON, CHUNK FINISH, RATION_ANSWERED, "output_tokens 2 STATUS 200 PARTIAL"},
    {"openai", EVENTS, CHUNK, RATION_FAILED, "output_tokens 2 STATUS 200 PARTIAL FAILED"},
    {"openai", EVENTS, "\xef\xbb\xbf" CHUNK FINISH, RATION_ANSWERED, "STATUS 200"},
    {"openai-responses", EVENTS,
     CREATED "event: error\ndata: "
             "{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}\n\n",
     RATION_LIMITED, "STATUS 429"},
    {"openai-responses", EVENTS,
     CREATED
     "event: response.failed\ndata: "
     "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}\n\n",
     RATION_FAILED, "PARTIAL FAILED"},
    {"openai-responses", EVENTS, CREATED, RATION_FAILED, "PARTIAL FAILED"},
    {"anthropic", EVENTS, START PING, RATION_FAILED, "input_tokens 9"},
    {"anthropic", EVENTS,
     START "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
     RATION_OVERLOADED, "STATUS 503"},
    {"gemini", EVENTS, "data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}\n\n",
     RATION_OVERLOADED, "STATUS 503"},
    {"ollama", "application/x-ndjson",
     "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"error\":\"died\"}\n", RATION_FAILED,
     "PARTIAL FAILED"},
    {"ollama", "application/x-ndjson",
     "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n"
     "{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":4,\"eval_count\":2}\n",
     RATION_ANSWERED, "tokens 6 input_tokens 4 output_tokens 2 STATUS 200"},
};

static void only_a_stream_with_an_end_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        expect(&streams[i], true);
}

static void what_was_asked_for_as_a_stream_is_read_whole(void **state)
{
    (void)state;
    const struct row unlabelled = {
        "openai", "text/plain",
        "{\"choices\":[{\"message\":{\"content\":\"All at "
        "once\"}}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}",
        RATION_ANSWERED, "tokens 15 input_tokens 10 output_tokens 5 STATUS 200"};
    expect(&unlabelled, true);
    assert_string_equal(seen.text, "All at once");
    assert_int_equal(seen.events, 1);
}

static void all_that_was_generated_counts(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"reasoning_content\":\"%s\"}",
        "{\"reasoning\":\"%s\"}",
        "{\"refusal\":\"%s\"}",
        "{\"tool_calls\":[{\"id\":\"call_not_counted\",\"function\":{\"arguments\":\"%s\"}}]}",
        "{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"text\":\"%s\"}]}]}",
        "{\"some_new_name\":\"%s\"}",
    };
    char thoughts[701];
    memset(thoughts, 'x', sizeof(thoughts) - 1);
    thoughts[sizeof(thoughts) - 1] = '\0';
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char delta[1024];
        char body[2048];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(delta, sizeof(delta), forms[i], thoughts);
#pragma GCC diagnostic pop
        snprintf(body, sizeof(body), "data: {\"choices\":[{\"delta\":%s}]}\n\n", delta);
        const struct row row = {"openai", EVENTS, body, RATION_FAILED,
                                "output_tokens 175 STATUS 200 PARTIAL FAILED"};
        expect(&row, true);
    }
}

static void parts_of_content_are_text(void **state)
{
    (void)state;
    const struct row row = {
        "mistral", EVENTS,
        "data: "
        "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
        "\"text\","
        "\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"Hello\"}]}}]}\n\n" FINISH,
        RATION_ANSWERED, "output_tokens "};
    expect(&row, true);
    assert_string_equal(seen.text, "Hello");
}

/* Thoughts, pings and beginnings can be told twice; text cannot be taken back. */
static void a_stream_that_has_shown_no_text_is_begun_anew(void **state)
{
    (void)state;
    static const char good[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" CHUNK FINISH;
    static const struct row firsts[] = {
        {"openai", EVENTS, "data: {\"error\":{\"code\":503}}\n\n", RATION_ANSWERED, ""},
        {"openai", EVENTS,
         "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
         RATION_ANSWERED, ""},
        {"openai", EVENTS, "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n",
         RATION_ANSWERED, ""},
        {"openai", EVENTS, "", RATION_ANSWERED, ""},
    };
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        char *http = next_text();
        struct ration_response answer;
        struct ration_call_options options;
        fixture_options(&options);
        options.body = STREAMED;
        options.stream = on_event;
        memset(&seen, 0, sizeof(seen));
        snprintf(http, TEXT_BYTES, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(firsts[i].body), firsts[i].body);
        peer_close_after(fx.provider, 1);
        peer_answer_once(fx.provider, "POST", http);
        peer_answer(fx.provider, "POST", good);
        if (fixture_call(&options, &answer) != RATION_OK)
            fail_msg("%s: %s", firsts[i].body, ration_errmsg(fx.r));
        assert_int_equal(answer.tries, 2);
        assert_string_equal(seen.text, "Hello");
        ration_response_free(&answer);
    }
}

static void arguments_of_a_tool_that_were_handed_over_are_not_told_twice(void **state)
{
    (void)state;
    const struct row row = {"openai", EVENTS,
                            "data: "
                            "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{"
                            "\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
                            RATION_FAILED, ""};
    struct ration_response answer;
    assert_int_equal(call(&row, true, 3, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 1);
    ration_response_free(&answer);
}

static void what_cannot_be_is_believed_up_to_what_can(void **state)
{
    (void)state;
    struct ration_response answer;
    const struct row row = {
        "openai", JSON,
        "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":1000000000000,"
        "\"completion_tokens\":1000000000000}}",
        RATION_ANSWERED, ""};
    assert_int_equal(call(&row, false, 1, &answer), RATION_OK);
    assert_int_equal(answer.usage_doubted, 1);
    assert_int_equal(answer.used.input_tokens, 100000);
    assert_int_equal(answer.used.output_tokens, 1000); /* ten times max_tokens */
    assert_true(answer.usage.input_tokens > 4000000);
    ration_response_free(&answer);
}

static void what_was_told_is_shown(void **state)
{
    (void)state;
    struct ration_response answer;
    const struct row row = {
        "openai", JSON,
        "{\"choices\":[{\"text\":\"\"}],\"service_tier\":\"flex\",\"usage\":{\"prompt_tokens\":10,"
        "\"completion_"
        "tokens\":5,"
        "\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":3,\"audio_tokens\":"
        "2},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":1,\"audio_tokens\":1}}}",
        RATION_ANSWERED, ""};
    assert_int_equal(call(&row, false, 1, &answer), RATION_OK);
    assert_int_equal(answer.usage.input_tokens, 10);
    assert_int_equal(answer.usage.output_tokens, 5);
    assert_int_equal(answer.usage.total_tokens, 15);
    assert_int_equal(answer.usage.cached_input_tokens, 4);
    assert_int_equal(answer.usage.cache_write_tokens, 3);
    assert_int_equal(answer.usage.reasoning_tokens, 1);
    assert_int_equal(answer.usage.audio_tokens, 3);
    assert_string_equal(answer.usage.service_tier, "flex");
    assert_int_equal(answer.usage_doubted, 0);
    ration_response_free(&answer);
}

#define SPENT                                                                                      \
    "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%sYou will regain access on %s " \
    "at 00:00 UTC.\"}}"

static void expect_closing(int status, const char *type, const char *message, const char *date,
                           bool until)
{
    char *http = next_text();
    char body[512];
    struct ration_response answer;
    struct ration_call_options options;
    fixture_options(&options);
    options.provider = "anthropic";
    snprintf(body, sizeof(body), SPENT, type, message, date);
    snprintf(http, TEXT_BYTES, "HTTP/1.1 %d No\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    peer_answer(fx.provider, "POST", http);
    assert_int_equal(fixture_call(&options, &answer), RATION_EUPSTREAM);
    const char *report = fixture_last(fx.server, "REPORT");
    if (answer.outcome != RATION_EXHAUSTED || !strstr(report, "EXHAUSTED ") ||
        (strstr(report, "RETRY_AFTER") != NULL) != until)
        fail_msg("%d %s: %s, '%s'", status, body, ration_outcome_name(answer.outcome), report);
    assert_true(!until ||
                (answer.retry_after_ms > 0 && answer.retry_after_ms <= INT64_C(5) * 86400000));
    ration_response_free(&answer);
}

/* Anthropic's own limit, and the month's: no code says it, and a date may be there. */
static void money_that_is_gone_closes_the_pool_until_it_is_there(void **state)
{
    (void)state;
    char date[16];
    time_t then = time(NULL) + (time_t)4 * 86400;
    struct tm tm;
    strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&then, &tm));
    const char *limits = "You have reached your specified API usage limits. ";
    expect_closing(400, "invalid_request_error", limits, date, true);
    expect_closing(400, "invalid_request_error", limits, "2001-01-01", false);
    expect_closing(400, "invalid_request_error", limits, "2999-01-01", false);
    expect_closing(429, "rate_limit_error", "This would exceed the month's spend. ", date, true);
    expect_closing(402, "billing_error", "Pay. ", "soon", false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_an_answer_is_one),
        TEST(only_a_stream_with_an_end_is_one),
        TEST(what_was_asked_for_as_a_stream_is_read_whole),
        TEST(all_that_was_generated_counts),
        TEST(parts_of_content_are_text),
        TEST(a_stream_that_has_shown_no_text_is_begun_anew),
        TEST(arguments_of_a_tool_that_were_handed_over_are_not_told_twice),
        TEST(what_cannot_be_is_believed_up_to_what_can),
        TEST(what_was_told_is_shown),
        TEST(money_that_is_gone_closes_the_pool_until_it_is_there),
    };
    fixture_clean_environment();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
