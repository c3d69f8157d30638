/* From the options of ration_call() to a call: time-outs and lives that follow from others, and
 * what a handle remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "call/call.h"
#include "clock.h"

#define STREAM "{\"model\":\"m\",\"stream\":true}"

static ration *r;

static int open_handle(void **state)
{
    (void)state;
    struct ration_options options;
    ration_options_init(&options);
    options.servers = "127.0.0.1:1"; /* is never asked */
    return ration_open(&options, &r);
}

static int close_handle(void **state)
{
    (void)state;
    ration_close(r);
    return 0;
}

static void begin(struct ration_call_options *options, const char *body)
{
    ration_call_options_init(options);
    options->url = "http://h";
    options->api_key = "";
    options->body = body;
}

/* The caller closes it. */
static struct call prepare(const struct ration_call_options *options)
{
    struct call call = {.r = r, .pool = "p", .tenant = "t"};
    if (call_prepare(&call, options) < 0)
        fail_msg("%s", ration_errmsg(r));
    return call;
}

static void silence_ends_a_stream_and_length_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t timeout_ms;
        uint32_t idle_ms;
        uint32_t of_exchange_ms;
        uint32_t of_silence_ms;
        uint32_t ttl_ms;
        int64_t of_all_ms;
    } cases[] = {
        {"{}", 0, 0, 120000, 120000, RATION_DEFAULT_TTL_MS, 420000},
        {STREAM, 0, 0, 0, 120000, RATION_DEFAULT_TTL_MS, 420000},
        {STREAM, 0, 1000, 0, 1000, RATION_DEFAULT_TTL_MS, 420000},
        {STREAM, 7000, 0, 7000, 120000, 12000, 307000},
        {"{}", 7000, 0, 7000, 120000, 12000, 307000},
        {"{}", 3600000, 3600000, 3600000, 3600000, RATION_DEFAULT_TTL_MS, 3900000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ration_call_options options;
        begin(&options, cases[i].body);
        options.timeout_ms = cases[i].timeout_ms;
        options.idle_timeout_ms = cases[i].idle_ms;
        int64_t now_ms = clock_ms();
        struct call call = prepare(&options);
        assert_int_equal(call.timeout_ms, cases[i].of_exchange_ms);
        assert_int_equal(call.options.idle_timeout_ms, cases[i].of_silence_ms);
        assert_int_equal(call.options.acquire.ttl_ms, cases[i].ttl_ms);
        assert_in_range(call.deadline_ms - now_ms, cases[i].of_all_ms, cases[i].of_all_ms + 10000);
        call_close(&call);
    }
}

static void refuses_what_is_out_of_range(void **state)
{
    (void)state;
    static const char *const header[] = {"Host: x"};
    static const struct {
        uint32_t timeout_ms;
        uint32_t idle_ms;
        const char *query;
        size_t n_headers;
        const char *why;
    } wrong[] = {
        {3600001, 0, NULL, 0, "timeout_ms is 3600001"},
        {0, 999, NULL, 0, "idle_timeout_ms is 999"},
        {0, 3600001, NULL, 0, "idle_timeout_ms is 3600001"},
        {0, 0, "a b", 0, "the query has a blank"},
        {0, 0, NULL, 1, "header Host"},
        {0, 0, NULL, 33, "33 headers"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct ration_call_options options;
        struct call call = {.r = r, .pool = "p", .tenant = "t"};
        begin(&options, "{}");
        options.timeout_ms = wrong[i].timeout_ms;
        options.idle_timeout_ms = wrong[i].idle_ms;
        options.query = wrong[i].query;
        options.headers = header;
        options.n_headers = wrong[i].n_headers;
        assert_int_equal(call_prepare(&call, &options), RATION_EINVALID);
        if (!strstr(ration_errmsg(r), wrong[i].why))
            fail_msg("%s: %s", wrong[i].why, ration_errmsg(r));
        call_close(&call);
    }
}

static bool asks(const char *url)
{
    struct ration_call_options options;
    begin(&options, STREAM);
    options.url = url;
    struct call call = prepare(&options);
    bool asked = call.asks_usage;
    assert_int_equal(strstr(call.body, "include_usage") != NULL, asked);
    call_close(&call);
    return asked;
}

static void stop_asking(const char *url)
{
    struct ration_call_options options;
    begin(&options, STREAM);
    options.url = url;
    struct call call = prepare(&options);
    assert_int_equal(call_stop_asking(&call), 0);
    assert_string_equal(call.body, STREAM);
    assert_false(call.asks_usage);
    call_close(&call);
}

static void remembers_who_refuses_to_be_asked(void **state)
{
    (void)state;
    assert_true(asks("http://h"));
    stop_asking("http://h");
    assert_false(asks("http://h"));
    assert_true(asks("http://other"));
    for (int i = 1; i < MAX_NO_USAGE_URLS; i++) {
        char url[32];
        snprintf(url, sizeof(url), "http://h%d", i);
        stop_asking(url);
    }
    assert_false(asks("http://h"));
    assert_false(asks("http://h1"));
    stop_asking("http://one-more");
    assert_true(asks("http://h")); /* as the oldest, it is forgotten */
    assert_false(asks("http://h1"));
}

static void a_body_of_its_own_says_what_is_asked(void **state)
{
    (void)state;
    struct ration_call_options options;
    begin(&options, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    struct call call = prepare(&options);
    assert_false(call.asks_usage); /* so that a refusal of it is the caller's to see */
    assert_ptr_equal(call.body, options.body);
    call_close(&call);
    /* without the bytes behind body_bytes */
    begin(&options, "{\"max_tokens\":5}trailing");
    options.body_bytes = 16;
    call = prepare(&options);
    assert_int_equal(call.body_bytes, 16);
    assert_int_equal(call.options.estimate.output_tokens, 5);
    call_close(&call);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_handle, close_handle)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(silence_ends_a_stream_and_length_an_answer),
        TEST(refuses_what_is_out_of_range),
        TEST(remembers_who_refuses_to_be_asked),
        TEST(a_body_of_its_own_says_what_is_asked),
    };
    unsetenv("RATION_PROFILES");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
