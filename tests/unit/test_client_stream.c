/*
 * Streams: events given to the caller as they come, usage taken from where each family of APIs puts
 * it, and how a stream that ends in another way is settled. The events are cut down from those that
 * the references show: OpenAI's "Streaming" of chat completions, Anthropic's "Streaming messages",
 * Gemini's streamGenerateContent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_client_fixture.h"

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define OPENAI_TEXT                                                                                \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello, \"}}]}\n\n"                  \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"world\"}}]}\n\n"
#define OPENAI_USAGE                                                                               \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"               \
    "\"total_tokens\":15}}\n\n"
#define DONE "data: [DONE]\n\n"
#define ANTHROPIC                                                                                  \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"              \
    "{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"                                              \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":"               \
    "{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n"
#define ANTHROPIC_END                                                                              \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":7}}\n\n" \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define ANTHROPIC_ERROR                                                                            \
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","            \
    "\"message\":\"Overloaded\"}}\n\n"
#define GEMINI                                                                                     \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}],"                       \
    "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":1,"                       \
    "\"totalTokenCount\":11}}\n\n"                                                                 \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":"         \
    "\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":4,"            \
    "\"thoughtsTokenCount\":3,\"totalTokenCount\":17}}\n\n"

#define STREAMED "{\"model\":\"m\",\"max_tokens\":100,\"stream\":true,\"messages\":[]}"

struct seen {
    char text[256];
    size_t events;
    size_t stop_at; /* 0: never */
    bool done;      /* "[DONE]" came */
};

static int on_event(void *arg, const char *name, const char *data, size_t bytes, const char *text)
{
    struct seen *seen = arg;
    assert_non_null(name);
    assert_int_equal(strlen(data), bytes);
    seen->events++;
    seen->done |= strcmp(data, "[DONE]") == 0;
    if (text)
        strncat(seen->text, text, sizeof(seen->text) - strlen(seen->text) - 1);
    return seen->stop_at != 0 && seen->events >= seen->stop_at;
}

static struct seen seen;

static int stream(const char *profile, const char *answer_text, struct ration_response *answer)
{
    struct ration_call_options options;
    fixture_options(&options);
    options.provider = profile;
    options.body = STREAMED;
    options.stream = on_event;
    options.stream_arg = &seen;
    size_t stop_at = seen.stop_at;
    seen = (struct seen){.stop_at = stop_at};
    peer_close_after(fx.provider, 1);
    peer_answer(fx.provider, "POST", answer_text);
    return fixture_call(&options, answer);
}

static int set_up(void **state)
{
    seen.stop_at = 0;
    return fixture_set_up(state);
}

static void events_come_and_usage_is_asked_for(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("openai", STREAM_HEAD OPENAI_TEXT OPENAI_USAGE DONE, &answer),
                     RATION_OK);
    assert_string_equal(seen.text, "Hello, world");
    assert_true(seen.done);
    assert_null(answer.body);
    assert_int_equal(answer.used_known, 1);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 15 input_tokens 10 output_tokens 5 STATUS 200");
    assert_non_null(strstr(fixture_last(fx.provider, "POST"), "\"include_usage\":true"));
    ration_response_free(&answer);
}

static void anthropic_tells_usage_in_two_events(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("anthropic", STREAM_HEAD ANTHROPIC ANTHROPIC_END, &answer), RATION_OK);
    assert_string_equal(seen.text, "Hello");
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 17 input_tokens 10 output_tokens 7 STATUS 200");
    ration_response_free(&answer);
}

static void gemini_tells_usage_in_every_event(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("gemini", STREAM_HEAD GEMINI, &answer), RATION_OK);
    assert_string_equal(seen.text, "Hi!");
    assert_int_equal(answer.used_known, 1);
    assert_int_equal(answer.used.input_tokens, 10);
    assert_null(strstr(fixture_last(fx.provider, "POST"), "\"stream\"")); /* the URL says it */
    ration_response_free(&answer);
}

static void without_a_callback_the_events_are_the_body(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.body = STREAMED;
    peer_close_after(fx.provider, 1);
    peer_answer(fx.provider, "POST", STREAM_HEAD OPENAI_TEXT OPENAI_USAGE DONE);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_string_equal(answer.body, OPENAI_TEXT OPENAI_USAGE DONE);
    assert_int_equal(answer.used.tokens, 15);
    ration_response_free(&answer);
}

static void a_stream_without_its_usage_is_not_free(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("openai", STREAM_HEAD OPENAI_TEXT DONE, &answer), RATION_OK);
    assert_int_equal(answer.used_known, 0);
    /* "Hello, world" is 12 characters. */
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me output_tokens 3 STATUS 200 PARTIAL");
    ration_response_free(&answer);
}

static void the_caller_may_end_it(void **state)
{
    (void)state;
    struct ration_response answer;
    seen.stop_at = 2;
    assert_int_equal(stream("anthropic", STREAM_HEAD ANTHROPIC ANTHROPIC_END, &answer),
                     RATION_EABORTED);
    assert_int_equal(seen.events, 2);
    assert_int_equal(answer.tries, 1);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me tokens 12 input_tokens 10 output_tokens 2 STATUS 200 PARTIAL");
    ration_response_free(&answer);
}

/* Half an answer has been shown: a second one behind it would be worse than none. */
static void a_stream_that_breaks_is_not_begun_anew(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("openai", STREAM_HEAD OPENAI_TEXT, &answer), RATION_EUPSTREAM);
    assert_int_equal(answer.tries, 1);
    assert_string_equal(fixture_last(fx.server, "REPORT"),
                        "REPORT me output_tokens 3 STATUS 200 PARTIAL FAILED");
    assert_non_null(strstr(ration_errmsg(fx.r), "passed on"));
    ration_response_free(&answer);
}

static void what_nobody_has_seen_is_begun_anew(void **state)
{
    (void)state;
    struct ration_call_options options;
    struct ration_response answer;
    fixture_options(&options);
    options.body = STREAMED;
    peer_close_after(fx.provider, 1);
    peer_answer_once(fx.provider, "POST", STREAM_HEAD OPENAI_TEXT);
    peer_answer(fx.provider, "POST", STREAM_HEAD OPENAI_TEXT OPENAI_USAGE DONE);
    assert_int_equal(fixture_call(&options, &answer), RATION_OK);
    assert_int_equal(answer.tries, 2);
    ration_response_free(&answer);
}

static void an_error_in_a_stream_has_its_class(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("anthropic", STREAM_HEAD ANTHROPIC ANTHROPIC_ERROR, &answer),
                     RATION_EUPSTREAM);
    assert_int_equal(answer.outcome, RATION_OVERLOADED);
    assert_non_null(strstr(ration_errmsg(fx.r), "Overloaded"));
    assert_non_null(strstr(fixture_last(fx.server, "REPORT"), "PARTIAL FAILED"));
    ration_response_free(&answer);
}

/* An error comes as an error whatever was asked for, and is retried before anything was shown. */
static void an_error_in_place_of_a_stream_is_retried(void **state)
{
    (void)state;
    struct ration_response answer;
    peer_answer_once(fx.provider, "POST", HTTP_429_SHORT);
    assert_int_equal(stream("openai", STREAM_HEAD OPENAI_TEXT OPENAI_USAGE DONE, &answer),
                     RATION_OK);
    assert_int_equal(answer.tries, 2);
    assert_string_equal(seen.text, "Hello, world");
    ration_response_free(&answer);
}

/* Some servers do not stream what they were asked to. */
static void an_answer_in_place_of_a_stream_is_one(void **state)
{
    (void)state;
    struct ration_response answer;
    assert_int_equal(stream("openai", HTTP_ANSWER_TEXT, &answer), RATION_OK);
    assert_int_equal(seen.events, 1);
    assert_string_equal(seen.text, "Hello");
    assert_int_equal(answer.used.tokens, 15);
    assert_null(answer.body);
    ration_response_free(&answer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_come_and_usage_is_asked_for),
        TEST(anthropic_tells_usage_in_two_events),
        TEST(gemini_tells_usage_in_every_event),
        TEST(without_a_callback_the_events_are_the_body),
        TEST(a_stream_without_its_usage_is_not_free),
        TEST(the_caller_may_end_it),
        TEST(a_stream_that_breaks_is_not_begun_anew),
        TEST(what_nobody_has_seen_is_begun_anew),
        TEST(an_error_in_a_stream_has_its_class),
        TEST(an_error_in_place_of_a_stream_is_retried),
        TEST(an_answer_in_place_of_a_stream_is_one),
    };
    fixture_clean_environment();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
