/* Provider profiles: what a request says of itself, and what of it is sent. */
#include "test_client_profiles.h"

#include <stdio.h>

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
    /* what is no number of tokens is the provider's to refuse, and as if it were not there */
    expect_request("openai", "{" HI ",'max_tokens':0}", 2, 1024, false);
    expect_request("openai", "{" HI ",'max_tokens':-1}", 2, 1024, false);
    expect_request("openai", "{" HI ",'max_tokens':'100'}", 2, 1024, false);
    expect_request("openai", "{" HI ",'max_tokens':[100]}", 2, 1024, false);
    expect_request("openai", "{" HI ",'max_completion_tokens':'5','max_tokens':100}", 2, 100,
                   false);
    expect_request("openai", "{" HI ",'max_tokens':99.5}", 2, 100, false);
    expect_request("openai", "{" HI ",'max_tokens':1e400}", 2, RATION_MAX_COST, false);
    expect_request("openai", "{" HI ",'max_tokens':123456789012345678901234567890}", 2,
                   RATION_MAX_COST, false);
    expect_request("openai", "{" HI ",'max_tokens':100,'n':0}", 2, 100, false);
    expect_request("openai", "{" HI ",'max_tokens':100,'n':'3'}", 2, 100, false);
    expect_request("openai", "{" HI ",'max_tokens':100,'n':129}", 2, 12900, false);
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
                   "{'type':'refusal','refusal':'abcdefgh'},7,null]},null,8,"
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

static void reads_requests_without_output(void **state)
{
    (void)state;
    expect_request("openai-embeddings", "{'input':'12345678'}", 2, 0, false);
    expect_request("openai-embeddings", "{'input':['1234','5678'],'max_tokens':9}", 2, 0, false);
    expect_request("openai-completions", "{'prompt':'1234'}", 1, 16, false);
    expect_request("openai-completions", "{'prompt':'1234','n':2,'best_of':3}", 1, 48, false);
}

static void knows_who_streams_by_default(void **state)
{
    (void)state;
    expect_request("ollama", "{" HI ",'options':{'num_predict':5}}", 2, 5, true);
    expect_request("ollama", "{" HI ",'stream':null}", 2, 1024, true);
    expect_request("ollama", "{" HI ",'stream':false}", 2, 1024, false);
    expect_request("openai", "{" HI ",'stream':null}", 2, 1024, false);
}

/* As providers read it, not as json-c would like it. */
static void parses_what_providers_take(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"n\":123456789012345678901234567890}",
        "{\"n\":-1e999}",
        "{\"s\":\"\\ud800\"}",
        "{\"s\":\"\\udc00\\ud800\"}",
        "{\"a\":1,\"a\":2}",
        "\t\r\n {\"a\" :\n1 } \n",
        "\xef\xbb\xbf{\"a\":1}",
        "{\"s\":\"\xff\"}",
        "{\"\":{}}",
    };
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {{"[]", "something else"},
               {"null ", "something else"},
               {" null\n", "something else"},
               {"{", "ends too early"},
               {"{]", "not a JSON object"}};
    char why[PROFILE_WHY_BYTES];
    json_object *body = NULL;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (profile_parse_body(good[i], strlen(good[i]), &body, why) < 0)
            fail_msg("%s: %s", good[i], why);
        json_object_put(body);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(profile_parse_body(bad[i].text, strlen(bad[i].text), &body, why),
                         RATION_EINVALID);
        if (!strstr(why, bad[i].why))
            fail_msg("%s: %s", bad[i].text, why);
    }
    for (size_t depth = 990; depth <= 1010; depth += 20) {
        char text[4096] = "{\"a\":";
        memset(text + 5, '[', depth);
        memset(text + 5 + depth, ']', depth);
        strcpy(text + 5 + 2 * depth, "}");
        int err = profile_parse_body(text, strlen(text), &body, why);
        assert_int_equal(err, depth < 1000 ? 0 : RATION_EINVALID);
        if (err == 0)
            json_object_put(body);
        else
            assert_non_null(strstr(why, "1,000 levels"));
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
    struct ration_amounts embedded = {0};
    profile_estimate(profile_of("openai-embeddings"), &(struct profile_request){.input_tokens = 7},
                     &embedded);
    assert_int_equal(embedded.tokens, 7);
    assert_int_equal(embedded.input_tokens, 7);
    assert_int_equal(embedded.output_tokens, RATION_ZERO);
    const struct profile_request nothing = {0};
    struct ration_amounts none = {0};
    profile_estimate(profile_of("gemini"), &nothing, &none);
    assert_int_equal(none.tokens, RATION_ZERO);
    assert_int_equal(none.input_tokens, RATION_ZERO);
    assert_int_equal(none.output_tokens, RATION_ZERO);
}

static void quote(char *text)
{
    for (char *s = text; *s; s++) {
        if (*s == '\'')
            *s = '"';
    }
}

/* Every byte that need not change is the caller's own. */
static void makes_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *body;
        bool ask;
        const char *sent; /* NULL: not changed */
    } bodies[] = {
        {"openai", "{'stream':true}", true,
         "{'stream':true,'stream_options':{'include_usage':true}}"},
        {"openai", "{ 'stream' : true, 'stream_options':{'x':1.50} }\n", true,
         "{ 'stream' : true, 'stream_options':{'x':1.50,'include_usage':true} }\n"},
        {"openai", "{'stream':true,'stream_options':null}", true,
         "{'stream':true,'stream_options':{'include_usage':true}}"},
        {"openai", "{'stream':true,'n':12345678901234567890123,'s':'\\ud800','a':1,'a':2}", true,
         "{'stream':true,'n':12345678901234567890123,'s':'\\ud800','a':1,'a':2,"
         "'stream_options':{'include_usage':true}}"},
        {"openai", "{'stream':true,'stream_options':{'include_usage':false}}", true, NULL},
        {"openai", "{'stream':true,'stream_options':{'include_usage':true}}", true, NULL},
        {"openai", "{'stream':true,'stream_options':7}", true, NULL},
        {"openai", "{'stream':true}", false, NULL},
        {"openai", "{'stream':false}", true, NULL},
        {"openai", "[]", true, NULL},
        {"mistral", "{'stream':true}", true, NULL},
        {"openai-responses", "{'stream':true}", true, NULL},
        {"anthropic", "{'stream':true}", true, NULL},
        {"gemini", "{'stream':true, 'model':'g', 'n': 12345678901234567890 }", true,
         "{'n': 12345678901234567890 }"},
        {"gemini", "{'contents':[]}", true, NULL},
        {"vertex-anthropic", "{'model':'c','stream':true}", true, "{'stream':true}"},
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const struct profile *profile = profile_of(bodies[i].profile);
        char text[512];
        char wanted[512] = "";
        char *out = NULL;
        size_t n = 0;
        strcpy(text, bodies[i].body);
        strcpy(wanted, bodies[i].sent ? bodies[i].sent : "");
        quote(text);
        quote(wanted);
        json_object *body = json_of(bodies[i].body);
        int done = profile_make_body(profile, text, strlen(text),
                                     profile_wants_stream(profile, body), bodies[i].ask, &out, &n);
        json_object_put(body);
        assert_int_equal(done, bodies[i].sent != NULL);
        if (done == 1 && (strcmp(out, wanted) != 0 || n != strlen(wanted)))
            fail_msg("%s became %s", text, out);
        free(out);
    }
}

static void knows_who_refuses_to_be_asked(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"error\":{\"message\":\"Unrecognized request argument supplied: stream_options\"}}",
        "{\"error\":{\"message\":\"no\",\"param\":\"stream_options.include_usage\"}}",
        "{\"detail\":[{\"loc\":[\"body\",\"stream_options\"],\"msg\":\"Extra inputs\"}]}",
    };
    const struct profile *openai = profile_of("openai");
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_true(profile_refuses_usage(openai, 400, forms[i]));
        assert_true(profile_refuses_usage(openai, 422, forms[i]));
        assert_false(profile_refuses_usage(openai, 500, forms[i]));
        assert_false(profile_refuses_usage(openai, 401, forms[i]));
        assert_false(profile_refuses_usage(profile_of("mistral"), 422, forms[i]));
    }
    assert_false(profile_refuses_usage(openai, 400, "{\"error\":{\"message\":\"stream\"}}"));
    assert_false(profile_refuses_usage(openai, 400, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests_of_openai),
        cmocka_unit_test(reads_requests_of_the_others),
        cmocka_unit_test(reads_requests_without_output),
        cmocka_unit_test(knows_who_streams_by_default),
        cmocka_unit_test(parses_what_providers_take),
        cmocka_unit_test(fills_in_estimates),
        cmocka_unit_test(makes_bodies),
        cmocka_unit_test(knows_who_refuses_to_be_asked),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
