/*
 * What went wrong, and what a provider lets know of its limits and waits, in the shapes of each. Each recorded answer says
 * where its shape is documented; texts and ids are shortened.
 */
#include "test_client_profiles.h"

/* ---- Classes ---- */

/* https://platform.openai.com/docs/guides/error-codes */
#define OPENAI_QUOTA                                                                               \
    "{'error':{'message':'You exceeded your current quota, please check your plan.',"              \
    "'type':'insufficient_quota','param':null,'code':'insufficient_quota'}}"
#define OPENAI_LIMITED                                                                             \
    "{'error':{'message':'Rate limit reached for gpt-4o. Please try again in 20s.',"               \
    "'type':'requests','param':null,'code':'rate_limit_exceeded'}}"
/* https://platform.claude.com/docs/en/api/errors and .../api/rate-limits */
#define ANTHROPIC_SPENT                                                                            \
    "{'type':'error','error':{'type':'rate_limit_error','message':'You have reached your API "     \
    "usage limits.','details':{'error_code':'enforced_spend_limit_reached'}},"                     \
    "'request_id':'req_1'}"
#define ANTHROPIC_LIMITED                                                                          \
    "{'type':'error','error':{'type':'rate_limit_error','message':'This request would exceed "     \
    "your rate limit.'},'request_id':'req_1'}"
#define ANTHROPIC_OVERLOADED                                                                       \
    "{'type':'error','error':{'type':'overloaded_error','message':'Overloaded'}}"
/* https://ai.google.dev/gemini-api/docs/rate-limits, https://cloud.google.com/apis/design/errors (QuotaFailure, RetryInfo) */
#define GEMINI_LIMITED                                                                             \
    "{'error':{'code':429,'message':'You exceeded your current quota.',"                           \
    "'status':'RESOURCE_EXHAUSTED','details':["                                                    \
    "{'@type':'type.googleapis.com/google.rpc.QuotaFailure','violations':["                        \
    "{'quotaMetric':'generativelanguage.googleapis.com/generate_content_free_tier_requests',"      \
    "'quotaId':'GenerateRequestsPerDayPerProjectPerModel-FreeTier',"                               \
    "'quotaDimensions':{'location':'global','model':'gemini-2.5-flash'},'quotaValue':'250'},"      \
    "{'quotaId':'GenerateContentInputTokensPerModelPerMinute-FreeTier','quotaValue':'250000'},"    \
    "{'quotaId':'SomethingElseEntirely'},{'quotaId':7},null]},"                                    \
    "{'@type':'type.googleapis.com/google.rpc.Help','links':[]},"                                  \
    "{'@type':'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'37s'}]}}"
/* https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors */
#define BEDROCK_LIMITED "{'message':'Too many tokens, please wait before trying again.'}"

static void classifies_each_answer(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        int status;
        const char *body;
        enum profile_class class;
        const char *words;
    } rows[] = {
        {"openai", 200, "{}", PROFILE_ANSWERED, ""},
        {"openai", 204, "", PROFILE_ANSWERED, ""},
        {"openai", 429, OPENAI_LIMITED, PROFILE_LIMITED,
         "rate_limit_exceeded: Rate limit reached for gpt-4o. Please try again in 20s."},
        {"openai", 429, OPENAI_QUOTA, PROFILE_EXHAUSTED,
         "insufficient_quota: You exceeded your current quota, please check your plan."},
        {"openai", 403, OPENAI_QUOTA, PROFILE_EXHAUSTED,
         "insufficient_quota: You exceeded your current quota, please check your plan."},
        {"openai", 500, OPENAI_QUOTA, PROFILE_FAILED,
         "insufficient_quota: You exceeded your current quota, please check your plan."},
        /* only a code closes a pool, whatever the message says */
        {"openai", 429, "{'error':{'message':'insufficient_quota','code':null}}", PROFILE_LIMITED,
         "insufficient_quota"},
        {"openai", 429, "", PROFILE_LIMITED, ""},
        {"openai", 429, "[7]", PROFILE_LIMITED, ""},
        {"openai", 400, "{'error':'no\\tsuch\\nmodel'}", PROFILE_REFUSED, "no such model"},
        {"openai", 401, "{}", PROFILE_REFUSED, ""},
        {"openai", 403, "{}", PROFILE_REFUSED, ""},
        {"openai", 404, "{}", PROFILE_REFUSED, ""},
        {"openai", 402, "{}", PROFILE_EXHAUSTED, ""},
        {"openai", 408, "{}", PROFILE_FAILED, ""},
        {"openai", 409, "{}", PROFILE_FAILED, ""},
        {"openai", 410, "{}", PROFILE_REFUSED, ""},
        {"openai", 425, "{}", PROFILE_FAILED, ""},
        {"groq", 498, "{}", PROFILE_OVERLOADED, ""},
        {"openai", 422, "{}", PROFILE_REFUSED, ""},
        {"openai", 302, "", PROFILE_REFUSED, ""},
        {"openai", 500, "", PROFILE_FAILED, ""},
        {"openai", 502, "<html>", PROFILE_FAILED, ""},
        {"openai", 503, "", PROFILE_OVERLOADED, ""},
        {"openai", 504, "", PROFILE_FAILED, ""},
        {"openai", 520, "", PROFILE_FAILED, ""},
        {"openai-responses", 429, OPENAI_QUOTA, PROFILE_EXHAUSTED,
         "insufficient_quota: You exceeded your current quota, please check your plan."},
        {"anthropic", 429, ANTHROPIC_LIMITED, PROFILE_LIMITED,
         "rate_limit_error: This request would exceed your rate limit."},
        {"anthropic", 429, ANTHROPIC_SPENT, PROFILE_EXHAUSTED,
         "enforced_spend_limit_reached: You have reached your API usage limits."},
        {"anthropic", 529, ANTHROPIC_OVERLOADED, PROFILE_OVERLOADED,
         "overloaded_error: Overloaded"},
        {"gemini", 429, GEMINI_LIMITED, PROFILE_LIMITED,
         "RESOURCE_EXHAUSTED: You exceeded your current quota."},
        {"gemini", 503, "[{'error':{'status':'UNAVAILABLE','message':'Try later.'}}]",
         PROFILE_OVERLOADED, "UNAVAILABLE: Try later."},
        {"bedrock", 429, BEDROCK_LIMITED, PROFILE_LIMITED,
         "Too many tokens, please wait before trying again."},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char words[128] = "?";
        const struct profile *profile = profile_of(rows[i].profile);
        json_object *body = json_of(rows[i].body);
        enum profile_class class = profile_classify(profile, rows[i].status, body);
        if (class != rows[i].class)
            fail_msg("%s %d %s: class %d", rows[i].profile, rows[i].status, rows[i].body,
                     (int)class);
        profile_error_words(profile, body, words, sizeof(words));
        assert_string_equal(words, rows[i].words);
        json_object_put(body);
    }
}

static void names_what_is_exhausted(void **state)
{
    (void)state;
    json_object *body = json_of(ANTHROPIC_SPENT);
    assert_string_equal(profile_exhausted(profile_of("anthropic"), 429, body),
                        "enforced_spend_limit_reached");
    assert_string_equal(profile_exhausted(profile_of("openai"), 402, body), "payment_required");
    assert_string_equal(profile_exhausted(profile_of("openai"), 400, NULL), "spend_limit");
    char words[12];
    profile_error_words(profile_of("anthropic"), body, words, sizeof(words));
    assert_string_equal(words, "enforced_sp");
    json_object_put(body);
}

static void classifies_errors_in_streams(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *event;
        enum profile_class class;
    } rows[] = {
        /* https://platform.claude.com/docs/en/build-with-claude/streaming#error-events */
        {"anthropic", ANTHROPIC_OVERLOADED, PROFILE_OVERLOADED},
        {"anthropic", "{'type':'error','error':{'type':'api_error','message':'x'}}",
         PROFILE_FAILED},
        {"anthropic", ANTHROPIC_LIMITED, PROFILE_LIMITED},
        {"anthropic", ANTHROPIC_SPENT, PROFILE_EXHAUSTED},
        {"anthropic", "{'type':'message_stop'}", PROFILE_ANSWERED},
        {"openai", OPENAI_QUOTA, PROFILE_EXHAUSTED},
        {"openai", "{'error':null,'choices':[]}", PROFILE_ANSWERED},
        /* https://platform.openai.com/docs/api-reference/responses-streaming/response/failed */
        {"openai-responses",
         "{'type':'response.failed','response':{'status':'failed','error':{'code':"
         "'rate_limit_exceeded','message':'x'}}}",
         PROFILE_LIMITED},
        {"openai-responses", "{'type':'response.completed','response':{'error':null}}",
         PROFILE_ANSWERED},
        {"gemini", "{'error':{'code':503,'status':'UNAVAILABLE'}}", PROFILE_OVERLOADED},
        {"bedrock", "{'usage':{}}", PROFILE_ANSWERED},
        {"openai", "[DONE]", PROFILE_ANSWERED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_object *event = json_of(rows[i].event);
        enum profile_class class = profile_classify_event(profile_of(rows[i].profile), "", event);
        if (class != rows[i].class)
            fail_msg("%s %s: class %d", rows[i].profile, rows[i].event, (int)class);
        json_object_put(event);
    }
}

/* ---- Headers ---- */

static void read_headers(const char *profile, const char *const (*lines)[2],
                         struct profile_hints *hints)
{
    memset(hints, 0, sizeof(*hints));
    for (; (*lines)[0]; lines++)
        profile_read_header(profile_of(profile), (*lines)[0], (*lines)[1], NOW_MS, hints);
}

static void expect_wait(const char *profile, const char *const (*lines)[2], int64_t ms)
{
    struct profile_hints hints;
    read_headers(profile, lines, &hints);
    if (hints.waits != (ms >= 0) || (ms >= 0 && hints.retry_after_ms != ms))
        fail_msg("%s %s: %s: waits %d, %lld", profile, (*lines)[0], (*lines)[1], hints.waits,
                 (long long)hints.retry_after_ms);
}

static void expect_seen(const struct profile_hints *hints, size_t i, enum ration_unit unit,
                        int64_t per_ms, int64_t limit, int64_t remaining)
{
    assert_true(i < hints->n_seen);
    assert_int_equal(hints->seen[i].unit, unit);
    assert_int_equal(hints->seen[i].per_ms, per_ms);
    assert_int_equal(hints->seen[i].limit, limit);
    assert_int_equal(hints->seen[i].remaining, remaining);
}

#define LINES(...) ((const char *const[][2]){__VA_ARGS__, {NULL, NULL}})

/* Each form of wait, where the provider has it. */
static void reads_waits(void **state)
{
    (void)state;
    expect_wait("openai", LINES({"Retry-After", "20"}), 20000);
    expect_wait("openai", LINES({"retry-after", "1.5"}), 1500);
    expect_wait("openai", LINES({"RETRY-AFTER", "Sun, 01 Jun 2025 12:00:30 GMT"}), 30000);
    expect_wait("openai", LINES({"retry-after-ms", "1234.5"}), 1235);
    expect_wait("anthropic", LINES({"retry-after", "7"}), 7000);
    expect_wait("groq", LINES({"retry-after", "2"}), 2000);
    expect_wait("azure", LINES({"x-ms-retry-after-ms", "900"}), 900);
    /* of several, the longest */
    expect_wait("azure", LINES({"retry-after-ms", "1500"}, {"Retry-After", "2"}), 2000);
    expect_wait("azure", LINES({"Retry-After", "2"}, {"retry-after-ms", "1500"}), 2000);
    expect_wait("openai", LINES({"retry-after", "0"}), 0);
    expect_wait("openai", LINES({"retry-after", "soon"}), -1);
    expect_wait("openai", LINES({"retry-after-ms", "12s"}), -1);
    expect_wait("openai", LINES({"x-retry-after", "12"}), -1);
}

/* Without a wait in words, what has nothing left says when it is reset. */
static void reads_resets(void **state)
{
    (void)state;
    /* https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers: Go durations */
    expect_wait(
        "openai",
        LINES({"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-reset-requests", "6m0s"}),
        360000);
    expect_wait("openai",
                LINES({"x-ratelimit-reset-tokens", "17ms"}, {"x-ratelimit-remaining-tokens", "0"}),
                17);
    expect_wait("openai",
                LINES({"x-ratelimit-reset-tokens", "1s"}, {"x-ratelimit-remaining-tokens", "9"}),
                -1);
    /* https://platform.claude.com/docs/en/api/rate-limits#response-headers: RFC 3339 */
    expect_wait("anthropic",
                LINES({"anthropic-ratelimit-input-tokens-remaining", "0"},
                      {"anthropic-ratelimit-input-tokens-reset", "2025-06-01T12:00:41Z"}),
                41000);
    /* https://console.groq.com/docs/rate-limits#rate-limit-headers */
    expect_wait(
        "groq",
        LINES({"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "2m59.56s"}),
        179560);
    /* https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/quota: plain seconds */
    expect_wait("azure",
                LINES({"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "12"}),
                12000);
    /* two of them: the later; and words go first, in any order */
    expect_wait("openai",
                LINES({"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-reset-requests", "1s"},
                      {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "9s"}),
                9000);
    expect_wait("openai",
                LINES({"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "6m0s"},
                      {"retry-after", "3"}),
                3000);
    expect_wait("openai",
                LINES({"retry-after", "3"}, {"x-ratelimit-remaining-tokens", "0"},
                      {"x-ratelimit-reset-tokens", "6m0s"}),
                3000);
}

static void reads_limits(void **state)
{
    (void)state;
    struct profile_hints hints;
    read_headers("openai",
                 LINES({"x-ratelimit-limit-requests", "60"}, {"x-ratelimit-limit-tokens", "150000"},
                       {"X-RateLimit-Remaining-Requests", "59"},
                       {"x-ratelimit-remaining-tokens", "149984"},
                       {"x-ratelimit-reset-requests", "1s"}, {"x-ratelimit-reset-tokens", "6m0s"}),
                 &hints);
    assert_int_equal(hints.n_seen, 2);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 60000, 60, 59);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 60000, 150000, 149984);
    assert_false(hints.waits);
    /* the other order, and one of which only the limit is told */
    read_headers("openai",
                 LINES({"x-ratelimit-remaining-tokens", "5"}, {"x-ratelimit-limit-tokens", "9"},
                       {"x-ratelimit-limit-requests", "60"}),
                 &hints);
    assert_int_equal(hints.n_seen, 1);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 60000, 9, 5);
    /* Groq's requests are those of the day */
    read_headers("groq",
                 LINES({"x-ratelimit-limit-requests", "14400"},
                       {"x-ratelimit-remaining-requests", "14370"},
                       {"x-ratelimit-remaining-tokens", "17997"}),
                 &hints);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 86400000, 14400, 14370);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 60000, 0, 17997);
    read_headers("anthropic",
                 LINES({"anthropic-ratelimit-requests-limit", "50"},
                       {"anthropic-ratelimit-requests-remaining", "49"},
                       {"anthropic-ratelimit-tokens-remaining", "47000"},
                       {"anthropic-ratelimit-input-tokens-remaining", "39000"},
                       {"anthropic-ratelimit-output-tokens-remaining", "8000"},
                       {"anthropic-ratelimit-output-tokens-limit", "8000"}),
                 &hints);
    assert_int_equal(hints.n_seen, 4);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 60000, 50, 49);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 60000, 0, 47000);
    expect_seen(&hints, 2, RATION_UNIT_INPUT_TOKENS, 60000, 0, 39000);
    expect_seen(&hints, 3, RATION_UNIT_OUTPUT_TOKENS, 60000, 8000, 8000);
}

static void skips_amounts_of_rubbish(void **state)
{
    (void)state;
    static const char *const rubbish[] = {
        "", "-1", "many", "1e9", "0x10", "12 34", "99999999999999999999", "10000000000001", "1.x"};
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        struct profile_hints hints = {0};
        profile_read_header(profile_of("openai"), "x-ratelimit-remaining-tokens", rubbish[i],
                            NOW_MS, &hints);
        if (hints.n_seen != 0)
            fail_msg("'%s' was taken", rubbish[i]);
    }
    struct profile_hints hints = {0};
    profile_read_header(profile_of("openai"), "x-ratelimit-remaining-tokens", " 12.5 ", NOW_MS,
                        &hints);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 60000, 0, 12);
}

static void reads_gemini_errors(void **state)
{
    (void)state;
    struct profile_hints hints = {0};
    json_object *body = json_of(GEMINI_LIMITED);
    profile_read_error(profile_of("gemini"), body, NOW_MS, &hints);
    json_object_put(body);
    assert_true(hints.waits);
    assert_int_equal(hints.retry_after_ms, 37000);
    assert_int_equal(hints.n_seen, 2);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 86400000, 250, 0);
    expect_seen(&hints, 1, RATION_UNIT_INPUT_TOKENS, 60000, 250000, 0);

    memset(&hints, 0, sizeof(hints));
    profile_read_error(profile_of("gemini"), NULL, NOW_MS, &hints);
    body = json_of("{'error':{'details':[{'retryDelay':'soon'},{'retryDelay':null},7]}}");
    profile_read_error(profile_of("gemini"), body, NOW_MS, &hints);
    profile_read_error(profile_of("openai"), body, NOW_MS, &hints);
    json_object_put(body);
    assert_false(hints.waits);
    body = json_of("{'error':{'details':[{'retryDelay':'3.5s'}]}}");
    profile_read_error(profile_of("gemini"), body, NOW_MS, &hints);
    json_object_put(body);
    assert_int_equal(hints.retry_after_ms, 3500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifies_each_answer),
        cmocka_unit_test(names_what_is_exhausted),
        cmocka_unit_test(classifies_errors_in_streams),
        cmocka_unit_test(reads_waits),
        cmocka_unit_test(reads_resets),
        cmocka_unit_test(reads_limits),
        cmocka_unit_test(skips_amounts_of_rubbish),
        cmocka_unit_test(reads_gemini_errors),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
