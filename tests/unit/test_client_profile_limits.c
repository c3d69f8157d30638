/*
 * What went wrong, and what a provider lets know of its limits and waits, in the shapes of each.
 * Each recorded answer says where its shape is documented; texts and ids are shortened.
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
/* https://ai.google.dev/gemini-api/docs/rate-limits, https://cloud.google.com/apis/design/errors
 * (QuotaFailure, RetryInfo) */
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
/*
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors */
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
        profile_error_text(profile, body, words, sizeof(words));
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
    profile_error_text(profile_of("anthropic"), body, words, sizeof(words));
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
    assert_true(i < hints->n_limits);
    assert_int_equal(hints->limits[i].unit, unit);
    assert_int_equal(hints->limits[i].per_ms, per_ms);
    assert_int_equal(hints->limits[i].limit, limit);
    assert_int_equal(hints->limits[i].remaining, remaining);
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
    /* moments, as proxies write them; what is further away than a day is as if it were not there */
    expect_wait("openai", LINES({"retry-after", "1748779230"}), 30000);
    expect_wait("anthropic", LINES({"retry-after", "1748779230500"}), 30500);
    expect_wait("azure", LINES({"x-ms-retry-after-ms", "1748779230500"}), 30500);
    expect_wait("gemini", LINES({"retry-after", "1748770000"}), 0);
    expect_wait("openai", LINES({"retry-after", "172800"}), -1);
    expect_wait("openai", LINES({"retry-after", "172800"}, {"retry-after-ms", "1500"}), 1500);
    expect_wait("mistral", LINES({"retry-after", "2025-06-03T12:00:00Z"}), -1);
}

/* https://github.com/openai/openai-python, _should_retry: the header goes before the status */
static void reads_whether_to_try_again(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *name;
        const char *value;
        enum profile_should_retry said;
    } rows[] = {
        {"openai", "x-should-retry", "true", PROFILE_DO_RETRY},
        {"anthropic", "X-Should-Retry", "false", PROFILE_DO_NOT_RETRY},
        {"gemini", "x-should-retry", "True", PROFILE_DO_RETRY},
        {"openai", "x-should-retry", "maybe", PROFILE_RETRY_UNSAID},
        {"openai", "x-should-retry", "", PROFILE_RETRY_UNSAID},
        {"openai", "should-retry", "true", PROFILE_RETRY_UNSAID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct profile_hints hints = {0};
        profile_read_header(profile_of(rows[i].profile), rows[i].name, rows[i].value, NOW_MS,
                            &hints);
        assert_int_equal(hints.should_retry, rows[i].said);
        assert_false(hints.waits);
    }
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
    assert_int_equal(hints.n_limits, 2);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 60000, 60, 59);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 0, 150000, 149984); /* no period has that reset */
    assert_false(hints.waits);
    /* the other order, and one of which only the limit is told */
    read_headers("openai",
                 LINES({"x-ratelimit-remaining-tokens", "5"}, {"x-ratelimit-limit-tokens", "9"},
                       {"x-ratelimit-limit-requests", "60"}),
                 &hints);
    assert_int_equal(hints.n_limits, 1);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 0, 9, 5);
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
    assert_int_equal(hints.n_limits, 4);
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
        profile_read_header(profile_of("groq"), "x-ratelimit-remaining-tokens", rubbish[i], NOW_MS,
                            &hints);
        if (hints.n_limits != 0)
            fail_msg("'%s' was taken", rubbish[i]);
    }
    struct profile_hints hints = {0};
    profile_read_header(profile_of("groq"), "x-ratelimit-remaining-tokens", " 12.5 ", NOW_MS,
                        &hints);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 60000, 0, 12);
}

/* Limit, remaining and reset together tell of which period a limit is, in whatever order they
 * come. */
static void finds_the_period(void **state)
{
    (void)state;
    static const struct {
        const char *limit;
        const char *remaining;
        const char *reset;
        int64_t per_ms; /* 0: not to be told; -1: nothing is */
    } rows[] = {
        {"500", "499", "120ms", 60000},
        {"10000", "9999", "8.64s", 86400000},
        {"10000", "9998", "13.3s", 86400000}, /* half of the first has come back */
        {"10000", "1", "23h59m51.36s", 86400000},
        {"200", "0", "24h0m0s", 86400000},
        {"60", "0", "1m0s", 60000},
        {"30000", "10000", "40s", 60000},
        {"30", "12", "600ms", 1000},
        {"20", "4", "8s", 10000},
        {"1000", "900", "6m0s", 3600000},
        {"10000", "9000", "1748787840", 86400000}, /* 8640 s, as a moment */
        {"10000", "10000", "0s", 0},               /* nothing was used */
        {"150000000", "149999984", "0s", 0},       /* too little was */
        {"150000000", "149999984", "1ms", 60000},
        {"1000", "200", "30s", 60000}, /* a window that ends in half a minute, say */
        {"50", "49", "1m0s",
         60000}, /* a log of a minute: full again when its last call is a minute old */
        {"1000", "200", "1m2s", 0},
        {"1000", "200", "5h0m0s", 0}, /* a window, but of what? */
        {"1000", "990", "45s", 60000},
        {"60", "59", "1", 60000},
        {"1000", "0", "soon", 0},
        {"1000", "0", NULL, 0},
        {NULL, "5", "30s", -1},
        {NULL, "0", NULL, -1},
        {"5", "9", "30s", 0}, /* more than all is left */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const lines[][2] = {{"x-ratelimit-limit-requests", rows[i].limit},
                                        {"x-ratelimit-remaining-requests", rows[i].remaining},
                                        {"x-ratelimit-reset-requests", rows[i].reset}};
        for (size_t first = 0; first < 3; first++) {
            struct profile_hints hints = {0};
            for (size_t k = 0; k < 3; k++) {
                const char *const *line = lines[(first + k) % 3];
                if (line[1])
                    profile_read_header(profile_of("openai"), line[0], line[1], NOW_MS, &hints);
            }
            int64_t per_ms = hints.n_limits == 0 ? -1 : hints.limits[0].per_ms;
            if (hints.n_limits > 1 || per_ms != rows[i].per_ms)
                fail_msg("row %zu from %zu: %zu, %lld", i, first, hints.n_limits,
                         (long long)per_ms);
        }
    }
}

/* Of an organization's and a project's limit on the same, that of which less is left. */
static void keeps_the_scarcer_of_two(void **state)
{
    (void)state;
    struct profile_hints hints;
    read_headers(
        "openai",
        LINES({"x-ratelimit-limit-tokens", "30000"}, {"x-ratelimit-remaining-tokens", "20000"},
              {"x-ratelimit-reset-tokens", "20s"}, {"x-ratelimit-limit-project-tokens", "6000"},
              {"x-ratelimit-remaining-project-tokens", "3000"},
              {"x-ratelimit-reset-project-tokens", "30s"}, {"x-ratelimit-limit-input-images", "50"},
              {"x-ratelimit-remaining-input-images", "0"},
              {"x-ratelimit-reset-input-images", "59s"}),
        &hints);
    assert_int_equal(hints.n_limits, 1);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 60000, 6000, 3000);
    assert_false(hints.waits);
    read_headers(
        "openai",
        LINES({"x-ratelimit-limit-tokens", "30000"}, {"x-ratelimit-remaining-tokens", "1000"},
              {"x-ratelimit-reset-tokens", "58s"}, {"x-ratelimit-limit-project-tokens", "6000"},
              {"x-ratelimit-remaining-project-tokens", "3000"},
              {"x-ratelimit-reset-project-tokens", "30s"}),
        &hints);
    assert_int_equal(hints.n_limits, 1);
    expect_seen(&hints, 0, RATION_UNIT_TOKENS, 60000, 30000, 1000);
}

#define AZURE_TOKENS(limit, remaining, reset)                                                      \
    {"x-ratelimit-limit-tokens", limit}, {"x-ratelimit-remaining-tokens", remaining},              \
    {                                                                                              \
        "x-ratelimit-reset-tokens", reset                                                          \
    }
#define AZURE_REQUESTS(limit, remaining, reset)                                                    \
    {"x-ratelimit-limit-requests", limit}, {"x-ratelimit-remaining-requests", remaining},          \
    {                                                                                              \
        "x-ratelimit-reset-requests", reset                                                        \
    }

/* https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/quota: seconds; some resources
 * write milliseconds. */
static void reads_resets_of_azure(void **state)
{
    (void)state;
    struct profile_hints hints;
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "60")), 60000);
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "58")), 58000);
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "59000")), 59000); /* not 16 hours */
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "12")), -1); /* neither is a minute */
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "12000")), -1);
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "0")), 0);
    expect_wait("azure", LINES(AZURE_TOKENS("-1", "-1", "0")), -1); /* seen in the wild */
    expect_wait("azure",
                LINES({"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "12"}),
                -1);
    expect_wait("azure", LINES(AZURE_TOKENS("1000", "0", "5m0s")), 300000); /* it has a unit */
    /* what is told of the period bounds it */
    expect_wait("azure",
                LINES({"x-ratelimit-renewalperiod-tokens", "60"}, AZURE_TOKENS("1000", "0", "12")),
                12000);
    expect_wait(
        "azure",
        LINES(AZURE_TOKENS("1000", "0", "12000"), {"x-ratelimit-renewalperiod-tokens", "60"}),
        12000);
    expect_wait(
        "azure",
        LINES({"x-ratelimit-renewalperiod-tokens", "60"}, AZURE_TOKENS("1000", "0", "61000")),
        61000);
    expect_wait(
        "azure",
        LINES({"x-ratelimit-renewalperiod-tokens", "60"}, AZURE_TOKENS("1000", "0", "100000")), -1);
    /* 120 a minute are 20 in ten seconds */
    expect_wait("azure", LINES(AZURE_REQUESTS("20", "0", "10")), 10000);
    read_headers("azure",
                 LINES(AZURE_REQUESTS("20", "0", "10000"), AZURE_TOKENS("9000", "8000", "6666")),
                 &hints);
    assert_int_equal(hints.retry_after_ms, 10000);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 10000, 20, 0);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 60000, 9000, 8000);
    read_headers("azure",
                 LINES({"x-ratelimit-renewalperiod-requests", "1"}, AZURE_REQUESTS("2", "1", "1")),
                 &hints);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 1000, 2, 1);
    /* a reset that is not believed teaches by its amount alone */
    read_headers("azure", LINES(AZURE_REQUESTS("1000", "5", "7")), &hints);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 0, 1000, 5);
}

static void reads_limits_of_the_others(void **state)
{
    (void)state;
    struct profile_hints hints;
    /* https://github.com/mistralai/client-ts/issues/169 */
    read_headers("mistral",
                 LINES({"x-ratelimit-limit-tokens-minute", "5000000"},
                       {"x-ratelimit-remaining-tokens-minute", "4999911"},
                       {"x-ratelimit-tokens-query-cost", "52"},
                       {"x-ratelimit-limit-req-minute", "720"},
                       {"x-ratelimit-remaining-req-minute", "717"},
                       {"x-ratelimit-limit-tokens-month", "1000000000"},
                       {"x-ratelimit-remaining-tokens-month", "7"}),
                 &hints);
    assert_int_equal(hints.n_limits, 3);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 60000, 720, 717);
    expect_seen(&hints, 1, RATION_UNIT_TOKENS, 60000, 5000000, 4999911);
    expect_seen(&hints, 2, RATION_UNIT_TOKENS, INT64_C(2592000000), 1000000000, 7);
    /* https://platform.claude.com/docs/en/build-with-claude/fast-mode */
    read_headers("anthropic-fast",
                 LINES({"anthropic-fast-input-tokens-limit", "100000"},
                       {"anthropic-fast-input-tokens-remaining", "60000"},
                       {"anthropic-ratelimit-input-tokens-limit", "2000000"},
                       {"anthropic-ratelimit-input-tokens-remaining", "1990000"},
                       {"anthropic-fast-output-tokens-remaining", "0"},
                       {"anthropic-fast-output-tokens-reset", "2025-06-01T12:00:41Z"}),
                 &hints);
    assert_int_equal(hints.n_limits, 2);
    expect_seen(&hints, 0, RATION_UNIT_INPUT_TOKENS, 60000, 100000, 60000);
    expect_seen(&hints, 1, RATION_UNIT_OUTPUT_TOKENS, 60000, 0, 0);
    assert_int_equal(hints.retry_after_ms, 41000);
    /* and a pool that is not fast is not brought down by them */
    read_headers("anthropic", LINES({"anthropic-fast-input-tokens-remaining", "0"}), &hints);
    assert_int_equal(hints.n_limits, 0);
    /* https://openrouter.ai/docs/api-reference/limits: the reset is a moment */
    expect_wait("openrouter",
                LINES({"X-RateLimit-Limit", "50"}, {"X-RateLimit-Remaining", "0"},
                      {"X-RateLimit-Reset", "1748822400000"}),
                43200000);
    json_object *body = json_of("{'error':{'code':429,'message':'Rate limit exceeded','metadata':{"
                                "'headers':{'X-RateLimit-Reset':'1748779230000'}}}}");
    memset(&hints, 0, sizeof(hints));
    profile_read_error(profile_of("openrouter"), body, NOW_MS, &hints);
    json_object_put(body);
    assert_int_equal(hints.retry_after_ms, 30000);
}

/* https://huggingface.co/docs/hub/rate-limits, draft-ietf-httpapi-ratelimit-headers */
static void reads_the_fields_of_the_ietf(void **state)
{
    (void)state;
    struct profile_hints hints;
    read_headers("huggingface",
                 LINES({"RateLimit", "\"api\";r=0;t=55"},
                       {"RateLimit-Policy", "\"fixed window\";\"api\";q=500;w=300"}),
                 &hints);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 300000, 500, 0);
    assert_int_equal(hints.retry_after_ms, 55000);
    read_headers("huggingface",
                 LINES({"ratelimit-policy", "\"a;q=9\"; q=60 ;w=60, \"day\";q=7;w=86400"},
                       {"ratelimit", "\"a\"; r=59;t=1, \"day\";r=3;t=9"}),
                 &hints);
    assert_int_equal(hints.n_limits, 1);
    expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 60000, 60, 59);
    static const char *const rubbish[] = {"",
                                          ";",
                                          "r=5",
                                          "\"a\";r=",
                                          "\"a\";r=x;t=y",
                                          ";r==5",
                                          "\"a;r=5",
                                          ";r=99999999999999999999",
                                          ";rr=5",
                                          ";r"};
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        read_headers("huggingface",
                     LINES({"ratelimit-policy", "\"a\";q=60;w=60"}, {"ratelimit", rubbish[i]}),
                     &hints);
        if (hints.n_limits != 0 || hints.waits)
            fail_msg("'%s' was taken", rubbish[i]);
    }
}

/* Gemini through its OpenAI form, as Google's server gives it: the body is a list of one. */
static void reads_the_delay_through_openais_form(void **state)
{
    (void)state;
    static const char *const names[] = {"openai", "openai-compatible", "openai-responses", "azure"};
    static const char *const bodies[] = {
        "[" GEMINI_LIMITED "]", GEMINI_LIMITED,
        "[{'error':{'code':429,'details':[[{'@type':'RetryInfo','retryDelay':'37s'}]]}}]",
        "{'error':{'details':[{'retryDelay':'36.5s'},{'retryDelay':'37s'},{'retryDelay':'99999999s'"
        "}]}}"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            struct profile_hints hints = {0};
            json_object *body = json_of(bodies[k]);
            profile_read_error(profile_of(names[i]), body, NOW_MS, &hints);
            json_object_put(body);
            assert_true(hints.waits);
            assert_int_equal(hints.retry_after_ms, 37000);
            if (k < 2)
                expect_seen(&hints, 0, RATION_UNIT_REQUESTS, 86400000, 250, 0);
        }
    }
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
    assert_int_equal(hints.n_limits, 2);
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
        cmocka_unit_test(reads_whether_to_try_again),
        cmocka_unit_test(finds_the_period),
        cmocka_unit_test(keeps_the_scarcer_of_two),
        cmocka_unit_test(reads_resets_of_azure),
        cmocka_unit_test(reads_limits_of_the_others),
        cmocka_unit_test(reads_the_fields_of_the_ietf),
        cmocka_unit_test(reads_the_delay_through_openais_form),
        cmocka_unit_test(reads_gemini_errors),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
