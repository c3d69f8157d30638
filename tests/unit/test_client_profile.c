/* Provider profiles: the set and the files of users, where a call goes, its headers, and what a request says of itself. */
#include "test_client_profiles.h"

#include <stdio.h>
#include <unistd.h>

/* ---- The embedded set ---- */

static void has_every_provider(void **state)
{
    (void)state;
    static const char *const names[] = {
        "openai", "openai-responses", "anthropic",      "anthropic-haiku-3.5", "gemini", "groq",
        "azure",  "bedrock",          "bedrock-claude", "openai-compatible",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct profile *profile = profile_of(names[i]);
        json_object *tree = NULL;
        assert_string_equal(profile_name(profile), names[i]);
        assert_true(profile_key_variable(profile)[0] != '\0');
        assert_non_null(strstr(profiles_names(profiles), names[i]));
        assert_true(json_object_object_get_ex(profiles_tree(profiles), names[i], &tree));
        assert_true(json_object_object_get_ex(tree, "source", NULL));
        assert_true(json_object_object_get_ex(tree, "checked", NULL));
    }
    assert_ptr_equal(profiles_find(profiles, NULL), profile_of("openai"));
    assert_null(profiles_find(profiles, "nobody"));
    assert_string_equal(profile_key_variable(profile_of("groq")), "GROQ_API_KEY");
}

/* ---- Files ---- */

/* Opens the set with a file of this text. */
static int open_with(const char *text, struct profiles **out, char *why)
{
    char path[] = "/tmp/ration-profiles-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (const char *s = text; *s; s++)
        assert_int_equal(write(fd, *s == '\'' ? "\"" : s, 1), 1);
    close(fd);
    int err = profiles_open(path, out, why);
    unlink(path);
    return err;
}

static void expect_url(const struct profile *profile, const char *base, const char *model,
                       const char *body, const char *wanted)
{
    char url[512] = "";
    char why[PROFILE_WHY_BYTES] = "";
    json_object *o = json_of(body);
    int err = profile_url(profile, base, model, o, url, sizeof(url), why);
    json_object_put(o);
    if (err < 0)
        fail_msg("%s: %s", wanted, why);
    assert_string_equal(url, wanted);
}

static void takes_a_file(void **state)
{
    (void)state;
    struct profiles *own = NULL;
    char why[PROFILE_WHY_BYTES] = "";
    int err = open_with("/* ours */ {'mine': {'like': 'openai', 'url': 'http://llm.internal',"
                        "  'key': {'header': 'x-key', 'prefix': null}}, // no prefix\n"
                        " 'second': {'like': 'mine', 'path': '/chat'},"
                        " 'openai': {'like': 'openai', 'url': 'https://gateway'}}",
                        &own, why);
    if (err < 0)
        fail_msg("%s", why);
    expect_url(profiles_find(own, "mine"), NULL, NULL, "{}",
               "http://llm.internal/v1/chat/completions");
    expect_url(profiles_find(own, "second"), NULL, NULL, "{}", "http://llm.internal/chat");
    /* a base shares the first part of a path, never all of it */
    expect_url(profiles_find(own, "second"), "http://h/chat", NULL, "{}", "http://h/chat/chat");
    expect_url(profiles_find(own, NULL), NULL, NULL, "{}", "https://gateway/v1/chat/completions");
    /* the embedded ones do not see the file */
    expect_url(profiles_find(own, "groq"), NULL, NULL, "{}",
               "https://api.groq.com/openai/v1/chat/completions");
    assert_string_equal(profile_key_variable(profiles_find(own, "second")), "OPENAI_API_KEY");
    profiles_close(own);
}

/* Each mistake is refused with its path and what to write instead. */
static void refuses_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *path;
        const char *remedy;
    } mistakes[] = {
        {"", "line 1", "too early"},
        {"{\n'a': }", "line 2", "correct"},
        {"[]", "not an object", "write"},
        {"{} {}", "line 1", "closing brace"},
        {"{'a': 7}", "a:", "write {"},
        {"{'a': {'like': 'opnai'}}", "a.like", "openai-compatible"},
        {"{'a': {'like': 7}}", "a.like", "there are"},
        {"{'a': {'like': 'b'}, 'b': {'like': 'a'}}", "like", "circle"},
        {"{'a': {}}", "a.path", "like"},
        {"{'a b': {'path': '/'}}", "a b", "without spaces"},
        {"{'a': {'like': 'openai', 'pth': '/'}}", "a.pth", "there are: source"},
        {"{'a': {'like': 'openai', 'usage': {'inputs': 'x'}}}", "a.usage.inputs", "input output"},
        {"{'a': {'like': 'openai', 'usage': {'input': 'x..y'}}}", "a.usage.input", "messages[]"},
        {"{'a': {'like': 'openai', 'usage': {'input': ['x', 7]}}}", "a.usage.input[1]", "place"},
        {"{'a': {'like': 'openai', 'usage': {'input': null}}}", "a.usage.input", "missing"},
        {"{'a': {'like': 'openai', 'usage': 7}}", "a.usage", "{...}"},
        {"{'a': {'like': 'openai', 'url': 'ftp://x'}}", "a.url", "https://"},
        {"{'a': {'like': 'openai', 'path': 'v1'}}", "a.path", "/v1"},
        {"{'a': {'like': 'openai', 'headers': {'x y': 'z'}}}", "a.headers.x y", "x-api-key"},
        {"{'a': {'like': 'openai', 'headers': {'x': 'a\\nb'}}}", "a.headers.x", "one line"},
        {"{'a': {'like': 'openai', 'counts': {'output': 1.5}}}", "a.counts.output", "0 - 1000"},
        {"{'a': {'like': 'openai', 'counts': {'cached_input': 1}}}", "cached_input", "true"},
        {"{'a': {'like': 'openai', 'limits': [{'unit': 'usd'}]}}", "a.limits[0].unit", "requests"},
        {"{'a': {'like': 'openai', 'limits': [{'unit': 'tokens', 'per': 'week'}]}}", ".per", "day"},
        {"{'a': {'like': 'openai', 'limits': [{'unit': 'tokens'}]}}", ".remaining", "missing"},
        {"{'a': {'like': 'openai', 'limits': [{'unit': 'tokens', 'reset': 'r', 'period': 'p', "
         "'policy': "
         "'q'}]}}",
         "a.limits[0].remaining", "state"},
        {"{'a': {'like': 'openai', 'limits': [{'unit': 'tokens', 'remaining': 'r', "
         "'reset_may_be_ms': 1}]}}",
         "a.limits[0].reset_may_be_ms", "true nor false"},
        {"{'a': {'like': 'openai', 'should_retry': 'a b'}}", "a.should_retry", "header"},
        {"{'a': {'like': 'openai', 'limits': {}}}", "a.limits", "list"},
        {"{'a': {'like': 'openai', 'waits': [{'header': 'x', 'form': 'days'}]}}", ".form", "ms"},
        {"{'a': {'like': 'openai', 'stream': {'text': [1,2,3,4,5,6,7,8,9]}}}", "text", "8"},
        {"{'a': {'like': 'openai', 'usage': {'input': ['a','b','c','d','e','f','g','h'],"
         "'output': ['a','b','c','d','e','f','g','h']}}}",
         "a:", "16 counts"},
    };
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct profiles *own = NULL;
        char why[PROFILE_WHY_BYTES] = "";
        if (open_with(mistakes[i].text, &own, why) != RATION_EINVALID)
            fail_msg("%s was taken", mistakes[i].text);
        if (!strstr(why, mistakes[i].path) || !strstr(why, mistakes[i].remedy))
            fail_msg("%s: %s", mistakes[i].text, why);
        assert_null(own);
    }
}

static void tells_of_unreadable_files(void **state)
{
    (void)state;
    struct profiles *own = NULL;
    char why[PROFILE_WHY_BYTES] = "";
    assert_int_equal(profiles_open("/nowhere/at/all.json", &own, why), RATION_EINVALID);
    assert_non_null(strstr(why, "/nowhere/at/all.json: No such file"));
    assert_int_equal(profiles_open("/tmp", &own, why), RATION_EINVALID);
    assert_non_null(strstr(why, "/tmp: "));
    profiles_close(NULL);
}

/* ---- URLs ---- */

static void makes_urls(void **state)
{
    (void)state;
    const struct profile *openai = profile_of("openai");
    expect_url(openai, NULL, NULL, "{}", "https://api.openai.com/v1/chat/completions");
    expect_url(openai, "http://h:8/", NULL, "{}", "http://h:8/v1/chat/completions");
    expect_url(openai, "http://h:8/v1", NULL, "{}", "http://h:8/v1/chat/completions");
    expect_url(openai, "http://h:8/v1//", NULL, "{}", "http://h:8/v1/chat/completions");
    expect_url(openai, "http://h/gate/v1", NULL, "{}", "http://h/gate/v1/chat/completions");
    expect_url(openai, "http://v1", NULL, "{}", "http://v1/v1/chat/completions");
    expect_url(openai, "http://h/av1", NULL, "{}", "http://h/av1/v1/chat/completions");
    expect_url(profile_of("openai-responses"), NULL, NULL, "{}",
               "https://api.openai.com/v1/responses");
    expect_url(profile_of("anthropic"), NULL, NULL, "{'stream':true}",
               "https://api.anthropic.com/v1/messages");
    expect_url(profile_of("azure"), "https://me.openai.azure.com", NULL, "{'model':'my gpt/4'}",
               "https://me.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/"
               "completions?api-version=2024-10-21");
    expect_url(profile_of("azure"), "https://me.openai.azure.com/openai/", "d", "{}",
               "https://me.openai.azure.com/openai/deployments/d/chat/"
               "completions?api-version=2024-10-21");
    expect_url(profile_of("bedrock"), "https://bedrock-runtime.eu-west-1.amazonaws.com",
               "anthropic.claude-3-7-sonnet-20250219-v1:0", "{}",
               "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
               "anthropic.claude-3-7-sonnet-20250219-v1:0/converse");
}

static void makes_urls_of_gemini(void **state)
{
    (void)state;
    const struct profile *gemini = profile_of("gemini");
    expect_url(gemini, NULL, "gemini-2.5-flash", "{}",
               "https://generativelanguage.googleapis.com/v1beta/models/"
               "gemini-2.5-flash:generateContent");
    expect_url(gemini, "http://h/v1beta", NULL, "{'model':'models/g','stream':true}",
               "http://h/v1beta/models/g:streamGenerateContent?alt=sse");
    expect_url(gemini, "http://h", "g", "{'model':'other','stream':false}",
               "http://h/v1beta/models/g:generateContent");
}

static void refuses_urls(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *base;
        const char *body;
        const char *why;
    } wrong[] = {
        {"openai", "ftp://h", "{}", "no base URL"},
        {"openai", "http://h/?q", "{}", "no base URL"},
        {"openai", "http://h h", "{}", "no base URL"},
        {"openai", "http://a-host-with-a-long-name-that-fills-all-the-room-there-is.example.com",
         "{}", "too long"},
        {"openai-compatible", NULL, "{}", "no URL of its own"},
        {"azure", NULL, "{'model':'d'}", "no URL of its own"},
        {"gemini", "http://h", "{}", "state the model"},
        {"gemini", "http://h", "{'model':'..'}", "state the model"},
        {"gemini", "http://h", "{'model':7}", "state the model"},
        {"bedrock", "http://h", "{'model':'m','stream':true}", "leave \"stream\" out"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char url[64];
        char why[PROFILE_WHY_BYTES] = "";
        json_object *o = json_of(wrong[i].body);
        assert_int_equal(profile_url(profile_of(wrong[i].profile), wrong[i].base, NULL, o, url,
                                     sizeof(url), why),
                         RATION_EINVALID);
        json_object_put(o);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s: %s", wrong[i].why, why);
    }
}

/* ---- Headers ---- */

static int collect(void *arg, const char *line)
{
    strcat(arg, line);
    strcat(arg, "|");
    return 0;
}

static int refuse(void *arg, const char *line)
{
    (void)arg;
    (void)line;
    return RATION_ENOMEM;
}

static void makes_headers(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *key;
        bool streamed;
        const char *lines;
    } headers[] = {
        {"openai", "sk-1", false, "Content-Type: application/json|Authorization: Bearer sk-1|"},
        {"openai", "sk-1", true,
         "Content-Type: application/json|Accept: text/event-stream|Authorization: Bearer sk-1|"},
        {"openai", NULL, false, "Content-Type: application/json|"},
        {"openai", "", false, "Content-Type: application/json|"},
        {"anthropic", "sk-2", false,
         "Content-Type: application/json|anthropic-version: 2023-06-01|x-api-key: sk-2|"},
        {"anthropic", NULL, false, "Content-Type: application/json|anthropic-version: 2023-06-01|"},
        {"gemini", "k", false, "Content-Type: application/json|x-goog-api-key: k|"},
        {"azure", "k", false, "Content-Type: application/json|api-key: k|"},
        {"bedrock", "k", false, "Content-Type: application/json|Authorization: Bearer k|"},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char lines[256] = "";
        assert_int_equal(profile_headers(profile_of(headers[i].profile), headers[i].key,
                                         headers[i].streamed, collect, lines),
                         0);
        assert_string_equal(lines, headers[i].lines);
    }
    char long_key[2048];
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    char lines[2048] = "";
    const struct profile *openai = profile_of("openai");
    assert_int_equal(profile_headers(openai, "a\r\nEvil: 1", false, collect, lines),
                     RATION_EINVALID);
    assert_int_equal(profile_headers(openai, long_key, false, collect, lines), RATION_EINVALID);
    assert_int_equal(profile_headers(openai, "k", false, refuse, lines), RATION_ENOMEM);
    assert_null(strstr(lines, "Evil"));
    assert_null(strstr(lines, "kkkk"));
}

/* ---- Requests ---- */

static int read_request(const char *profile, const char *body, struct profile_request *request,
                        char *why)
{
    json_object *o = json_of(body);
    int err = profile_read_request(profile_of(profile), o, request, why);
    json_object_put(o);
    return err;
}

static void expect_request(const char *profile, const char *body, int64_t input, int64_t output,
                           bool streamed)
{
    struct profile_request request = {0};
    char why[PROFILE_WHY_BYTES] = "";
    if (read_request(profile, body, &request, why) < 0)
        fail_msg("%s: %s", body, why);
    if (request.input_tokens != input || request.output_tokens != output ||
        request.streamed != streamed)
        fail_msg("%s %s: %lld + %lld", profile, body, (long long)request.input_tokens,
                 (long long)request.output_tokens);
}

#define HI "'messages':[{'role':'user','content':'Hi, you'}]" /* 7 characters: 2 tokens */

static void reads_requests_of_openai(void **state)
{
    (void)state;
    expect_request("openai", "{" HI ",'max_tokens':100}", 2, 100, false);
    expect_request("openai", "{" HI ",'max_completion_tokens':50,'max_tokens':100}", 2, 50, false);
    expect_request("openai", "{" HI ",'max_tokens':100,'n':3,'stream':true}", 2, 300, true);
    expect_request("openai", "{" HI "}", 2, 1024, false);
    expect_request("openai", "{" HI ",'n':2,'max_tokens':null,'stream':false}", 2, 2048, false);
    expect_request("openai", "{" HI ",'max_tokens':0}", 2, 0, false);
    expect_request("openai", "{'messages':[]}", 0, 1024, false);
    expect_request("openai", "{}", 0, 1024, false);
    expect_request("openai", "{" HI ",'max_tokens':1000000000000,'n':128}", 2, RATION_MAX_COST,
                   false);
    /* characters, not bytes; all messages; parts that have a text; nothing else */
    expect_request("openai",
                   "{'max_tokens':1,'messages':[{'content':'\\u00e4\\u00f6\\u00fc\\u20ac'},"
                   "{'content':'abcd'}]}",
                   2, 1, false);
    expect_request("openai",
                   "{'max_tokens':1,'messages':[{'content':[{'type':'text','text':'abcdefgh'},"
                   "{'type':'image_url','image_url':{'url':'http://x'}},7,null]},null,8,"
                   "{'content':null}]}",
                   2, 1, false);
    /* tools are part of the prompt: [{"a":"b"}] has 11 characters */
    expect_request("openai", "{" HI ",'max_tokens':1,'tools':[{'a':'b'}]}", 5, 1, false);
    expect_request("azure", "{" HI ",'max_tokens':10,'n':2,'best_of':5}", 2, 50, false);
}

static void reads_requests_of_the_others(void **state)
{
    (void)state;
    expect_request("openai-responses", "{'input':'12345','instructions':'123'}", 2, 1024, false);
    expect_request("openai-responses",
                   "{'max_output_tokens':9,'stream':true,'input':[{'content':'1234'},"
                   "{'content':[{'type':'input_text','text':'1234'}]}]}",
                   2, 9, true);
    expect_request("anthropic", "{" HI ",'system':'1','max_tokens':64,'stream':true}", 2, 64, true);
    expect_request("anthropic",
                   "{'max_tokens':64,'system':[{'text':'1234'}],'messages':[{'content':["
                   "{'type':'text','text':'1234'},{'type':'tool_result','content':'1234'}]}]}",
                   3, 64, false);
    expect_request("gemini",
                   "{'contents':[{'parts':[{'text':'1234'},{'text':'5678'}]}],"
                   "'systemInstruction':{'parts':[{'text':'1'}]},"
                   "'generationConfig':{'maxOutputTokens':20,'candidateCount':2}}",
                   3, 40, false);
    expect_request("gemini", "{'model':'g','stream':true,'contents':[]}", 0, 1024, true);
    expect_request("bedrock",
                   "{'system':[{'text':'1234'}],'messages':[{'content':[{'text':'1234'}]}],"
                   "'inferenceConfig':{'maxTokens':7}}",
                   2, 7, false);
}

static void refuses_what_has_no_estimate(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *body;
        const char *why;
    } wrong[] = {
        {"openai", "[]", "not a JSON object"},
        {"openai", "{'max_tokens':'many'}", "max_tokens is not"},
        {"openai", "{'max_tokens':-1}", "max_tokens is not"},
        {"openai", "{'max_tokens':1.5}", "max_tokens is not"},
        {"openai", "{'n':0}", "n is not 1 - 128"},
        {"openai", "{'n':129}", "n is not 1 - 128"},
        {"gemini", "{'generationConfig':{'maxOutputTokens':[]}}", "generationConfig.maxOutput"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct profile_request request = {0};
        char why[PROFILE_WHY_BYTES] = "";
        assert_int_equal(read_request(wrong[i].profile, wrong[i].body, &request, why),
                         RATION_EINVALID);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s: %s", wrong[i].body, why);
    }
}

static void fills_in_estimates(void **state)
{
    (void)state;
    const struct profile_request request = {.input_tokens = 7, .output_tokens = 100};
    struct ration_amounts all = {0};
    profile_estimate(profile_of("openai"), &request, &all);
    assert_int_equal(all.input_tokens, 7);
    assert_int_equal(all.output_tokens, 100);
    assert_int_equal(all.tokens, 0); /* the server adds them up */
    struct ration_amounts part = {.input_tokens = 9};
    profile_estimate(profile_of("anthropic"), &request, &part);
    assert_int_equal(part.input_tokens, 9);
    assert_int_equal(part.output_tokens, 100);
    struct ration_amounts sum = {.tokens = 500};
    profile_estimate(profile_of("openai"), &request, &sum);
    assert_int_equal(sum.tokens, 500);
    assert_int_equal(sum.input_tokens + sum.output_tokens, 0);
    struct ration_amounts input_only = {0};
    profile_estimate(profile_of("gemini"), &request, &input_only);
    assert_int_equal(input_only.tokens, 7);
    assert_int_equal(input_only.input_tokens, 7);
    assert_int_equal(input_only.output_tokens, 100);
    const struct profile_request nothing = {0};
    struct ration_amounts none = {0};
    profile_estimate(profile_of("gemini"), &nothing, &none);
    assert_int_equal(none.tokens, RATION_ZERO);
    assert_int_equal(none.input_tokens, RATION_ZERO);
    assert_int_equal(none.output_tokens, RATION_ZERO);
}

static void prepares_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *body;
        const char *sent; /* NULL: not changed */
    } bodies[] = {
        {"openai", "{'stream':true}", "{'stream':true,'stream_options':{'include_usage':true}}"},
        {"openai", "{'stream':true,'stream_options':{'x':1}}",
         "{'stream':true,'stream_options':{'x':1,'include_usage':true}}"},
        {"openai", "{'stream':true,'stream_options':null}",
         "{'stream':true,'stream_options':{'include_usage':true}}"},
        {"openai", "{'stream':true,'stream_options':{'include_usage':false}}", NULL},
        {"openai", "{'stream':true,'stream_options':7}", NULL},
        {"openai", "{'stream':false}", NULL},
        {"openai", "[]", NULL},
        {"openai-responses", "{'stream':true}", NULL},
        {"anthropic", "{'stream':true}", NULL},
        {"gemini", "{'stream':true,'model':'g','contents':[]}", "{'contents':[]}"},
        {"gemini", "{'contents':[]}", NULL},
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        json_object *body = json_of(bodies[i].body);
        json_object *sent = json_of(bodies[i].sent ? bodies[i].sent : bodies[i].body);
        assert_int_equal(profile_prepare_stream(profile_of(bodies[i].profile), body),
                         bodies[i].sent != NULL);
        if (!json_object_equal(body, sent))
            fail_msg("%s became %s", bodies[i].body, json_object_to_json_string(body));
        json_object_put(sent);
        json_object_put(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_provider),
        cmocka_unit_test(takes_a_file),
        cmocka_unit_test(refuses_mistakes),
        cmocka_unit_test(tells_of_unreadable_files),
        cmocka_unit_test(makes_urls),
        cmocka_unit_test(makes_urls_of_gemini),
        cmocka_unit_test(refuses_urls),
        cmocka_unit_test(makes_headers),
        cmocka_unit_test(reads_requests_of_openai),
        cmocka_unit_test(reads_requests_of_the_others),
        cmocka_unit_test(refuses_what_has_no_estimate),
        cmocka_unit_test(fills_in_estimates),
        cmocka_unit_test(prepares_bodies),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
