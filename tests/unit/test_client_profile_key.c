/* What a call proves itself with, and the caller's own headers. */
#include "test_client_profiles.h"

#include <stdio.h>

#include "profile/sigv4.h"

static const char *const variables[] = {"OPENAI_API_KEY",       "GEMINI_API_KEY",
                                        "AZURE_OPENAI_API_KEY", "OPENAI_COMPATIBLE_API_KEY",
                                        "OLLAMA_API_KEY",       "AWS_BEARER_TOKEN_BEDROCK",
                                        "AWS_ACCESS_KEY_ID",    "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",    "AWS_REGION",
                                        "AWS_DEFAULT_REGION"};

static int forget_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    return 0;
}

static void expect_key(const char *profile, const struct profile_caller *caller, const char *wanted)
{
    struct profile_key key = {.key = NULL};
    char why[PROFILE_WHY_BYTES] = "";
    if (profile_find_key(profile_of(profile), caller, &key, why) < 0)
        fail_msg("%s: %s", profile, why);
    if (wanted)
        assert_string_equal(key.key, wanted);
    else
        assert_null(key.key);
    profile_key_free(&key);
    profile_key_free(&key);
}

/* Its words, in all of which each of the wanted ones is. */
static void expect_refusal(const char *profile, const struct profile_caller *caller,
                           const char *wanted)
{
    struct profile_key key = {.key = NULL};
    char why[PROFILE_WHY_BYTES] = "";
    assert_int_equal(profile_find_key(profile_of(profile), caller, &key, why), RATION_EINVALID);
    if (!strstr(why, wanted))
        fail_msg("%s: %s", wanted, why);
    assert_null(strstr(why, "sk-"));
}

static void takes_keys(void **state)
{
    (void)state;
    char long_key[PROFILE_MAX_KEY_BYTES + 2];
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    setenv("OPENAI_API_KEY", " sk-1\r\n", 1);
    expect_key("openai", &(struct profile_caller){0}, "sk-1");
    expect_key("openai", &(struct profile_caller){.key = "\tsk-2 \n"}, "sk-2");
    expect_key("openai", &(struct profile_caller){.key = ""}, NULL);
    expect_key("openai", &(struct profile_caller){.key = long_key + PROFILE_MAX_KEY_BYTES - 4095},
               long_key + PROFILE_MAX_KEY_BYTES - 4095);
    expect_key("openai", &(struct profile_caller){.key = long_key + 1}, long_key + 1);
    expect_refusal("openai", &(struct profile_caller){.key = long_key}, "16384 bytes");
    expect_refusal("openai", &(struct profile_caller){.key = "sk-1\nsk-2"},
                   "api_key has a line break inside the key");
    expect_refusal("openai", &(struct profile_caller){.key = "sk-1\x01"}, "control character");
    expect_refusal("openai", &(struct profile_caller){.key = " \n", .key_name = "MY_KEY"},
                   "MY_KEY is blank");
    setenv("OPENAI_API_KEY", "sk-1\r\nEvil: 1", 1);
    expect_refusal("openai", &(struct profile_caller){0}, "OPENAI_API_KEY has a line break inside");
}

static void misses_keys(void **state)
{
    (void)state;
    static const char *const bearer[] = {"X-Other: 1", "authorization: Bearer sk-3"};
    static const char *const own[] = {"API-Key: sk-4"};
    expect_refusal("openai", &(struct profile_caller){0}, "OPENAI_API_KEY is not set; put the");
    expect_refusal("openai", &(struct profile_caller){.base = "https://API.openai.com:443/v1"},
                   "OPENAI_API_KEY is not set");
    expect_refusal("azure", &(struct profile_caller){.base = "https://me.openai.azure.com"},
                   "AZURE_OPENAI_API_KEY is not set");
    expect_refusal("openai", &(struct profile_caller){.headers = bearer, .n_headers = 1},
                   "OPENAI_API_KEY is not set");
    setenv("OPENAI_API_KEY", " \n", 1);
    expect_refusal("openai", &(struct profile_caller){0}, "OPENAI_API_KEY is not set");
    /* servers of one's own, and providers that need none */
    expect_key("openai", &(struct profile_caller){.base = "http://localhost:8000"}, NULL);
    expect_key("openai", &(struct profile_caller){.base = "https://api.openai.com.evil.org"}, NULL);
    expect_key("azure", &(struct profile_caller){.base = "http://localhost:8000"}, NULL);
    expect_key("openai-compatible", &(struct profile_caller){.base = "https://h"}, NULL);
    expect_key("ollama", &(struct profile_caller){0}, NULL);
    /* a key in another place */
    expect_key("openai", &(struct profile_caller){.headers = bearer, .n_headers = 2}, NULL);
    expect_key("azure",
               &(struct profile_caller){.base = "https://h", .headers = own, .n_headers = 1}, NULL);
    expect_key("gemini", &(struct profile_caller){.query = "alt=sse&key=sk-5"}, NULL);
    expect_key(
        "gemini",
        &(struct profile_caller){.base = "https://generativelanguage.googleapis.com/v1?key=sk-5"},
        NULL);
    expect_refusal("gemini", &(struct profile_caller){.query = "mykey=sk-5&keys=1"},
                   "GEMINI_API_KEY is not set");
    expect_refusal("openai", &(struct profile_caller){.query = "key=1"}, "OPENAI_API_KEY");
}

static void expect_in(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        fail_msg("'%s' is not in '%s'", words, text ? text : "");
}

static int sign(const struct profile_caller *caller, struct sigv4_headers *out, char *why)
{
    struct profile_key key = {.key = NULL};
    const struct profile *bedrock = profile_of("bedrock");
    int err = profile_find_key(bedrock, caller, &key, why);
    *out = (struct sigv4_headers){.n = 0};
    if (err == 0)
        err = profile_sign(bedrock, &key, "https://h/model/m/converse", NULL, "{}", 2,
                           NOW_MS / 1000, out);
    profile_key_free(&key);
    return err;
}

static void signs_for_accounts(void **state)
{
    (void)state;
    const struct profile_caller ireland = {.base =
                                               "https://bedrock-runtime.eu-west-1.amazonaws.com"};
    const struct profile_caller gateway = {.base = "https://gate.example.com/x.amazonaws.y"};
    static const char *const bearer[] = {"Authorization: Bearer x"};
    const struct profile_caller other = {.base = "https://bedrock-runtime.eu-west-1.amazonaws.com",
                                         .headers = bearer,
                                         .n_headers = 1};
    struct sigv4_headers headers;
    char why[PROFILE_WHY_BYTES] = "";
    assert_int_equal(sign(&ireland, &headers, why), RATION_EINVALID);
    expect_in(why, "AWS_BEARER_TOKEN_BEDROCK is not set, nor are AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "AKID\n", 1);
    assert_int_equal(sign(&ireland, &headers, why), RATION_EINVALID); /* half of an account */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    assert_int_equal(sign(&ireland, &headers, why), 0);
    assert_int_equal(headers.n, 2);
    expect_in(headers.line[0], "Credential=AKID/20250601/eu-west-1/bedrock/");
    sigv4_free(&headers);
    assert_int_equal(sign(&gateway, &headers, why), RATION_EINVALID);
    expect_in(why, "set AWS_REGION");
    setenv("AWS_DEFAULT_REGION", "us-west-2", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    assert_int_equal(sign(&gateway, &headers, why), 0);
    expect_in(headers.line[0], "/us-west-2/bedrock/");
    assert_string_equal(headers.line[2], "X-Amz-Security-Token: token");
    sigv4_free(&headers);
    /* what the caller brings, and a bearer key, go before */
    assert_int_equal(sign(&other, &headers, why), 0);
    assert_int_equal(headers.n, 0);
    setenv("AWS_BEARER_TOKEN_BEDROCK", "bearer", 1);
    expect_key("bedrock", &ireland, "bearer");
    assert_int_equal(sign(&ireland, &headers, why), 0);
    assert_int_equal(headers.n, 0);
}

static void checks_headers(void **state)
{
    (void)state;
    static const char *const good[] = {"OpenAI-Organization: org-1", "x:y", "anthropic-beta:\ta, b",
                                       "X-Empty:"};
    static const struct {
        const char *line;
        const char *why;
    } wrong[] = {
        {"", "header 1 does not begin with a name"},
        {"no colon sk-1", "header 1 does not"},
        {": sk-1", "header 1 does not"},
        {"a b: sk-1", "header 1 does not"},
        {"X-A: sk-1\r\nHost: evil", "header X-A has a line break"},
        {"X-A: sk-1\nEvil: 1", "header X-A has a line break"},
        {"X-A: sk-1\x7f", "header X-A has"},
        {"content-LENGTH: 5", "content-LENGTH belongs to the connection"},
        {"Transfer-Encoding: chunked", "leave it out"},
        {"Host: evil", "Host belongs to the connection"},
        {"Connection: close", "Connection belongs to the connection"},
        {"Expect: 100-continue", "Expect belongs to the connection"},
    };
    char why[PROFILE_WHY_BYTES] = "";
    assert_int_equal(profile_check_headers(good, 4, why), 0);
    assert_int_equal(profile_check_headers(NULL, 0, why), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(profile_check_headers(&wrong[i].line, 1, why), RATION_EINVALID);
        if (!strstr(why, wrong[i].why) || strstr(why, "sk-1"))
            fail_msg("%s: %s", wrong[i].line, why);
    }
    const char *many[PROFILE_MAX_HEADERS + 1];
    for (size_t i = 0; i <= PROFILE_MAX_HEADERS; i++)
        many[i] = "x: y";
    assert_int_equal(profile_check_headers(many, PROFILE_MAX_HEADERS, why), 0);
    assert_int_equal(profile_check_headers(many, PROFILE_MAX_HEADERS + 1, why), RATION_EINVALID);
    char *long_line = calloc(1, 9000);
    assert_non_null(long_line);
    memset(long_line, 'v', 8999);
    long_line[1] = ':';
    const char *line = long_line;
    assert_int_equal(profile_check_headers(&line, 1, why), RATION_EINVALID);
    free(long_line);
    assert_string_equal(profile_find_header(good, 4, "OPENAI-organization"), "org-1");
    assert_null(profile_find_header(good, 4, "OpenAI"));
}

#define TEST(f) cmocka_unit_test_setup(f, forget_all)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(takes_keys), TEST(misses_keys),
                                       TEST(signs_for_accounts), TEST(checks_headers)};
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
