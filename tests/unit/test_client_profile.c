/* Provider profiles: the set and the files of users, where a call goes, and its headers. */
#include "test_client_profiles.h"

#include <stdio.h>
#include <unistd.h>

/* ---- The embedded set ---- */

/* The variable of the environment that has the key. */
static const char *key_variable(const struct profiles *set, const char *name)
{
    json_object *profile = NULL;
    json_object *key = NULL;
    json_object *variable = NULL;
    assert_true(json_object_object_get_ex(profiles_tree(set), name, &profile));
    assert_true(json_object_object_get_ex(profile, "key", &key));
    assert_true(json_object_object_get_ex(key, "variable", &variable));
    return json_object_get_string(variable);
}

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
        assert_true(key_variable(profiles, names[i])[0] != '\0');
        assert_non_null(strstr(profiles_names(profiles), names[i]));
        assert_true(json_object_object_get_ex(profiles_tree(profiles), names[i], &tree));
        assert_true(json_object_object_get_ex(tree, "source", NULL));
        assert_true(json_object_object_get_ex(tree, "checked", NULL));
    }
    assert_ptr_equal(profiles_find(profiles, NULL), profile_of("openai"));
    assert_null(profiles_find(profiles, "nobody"));
    assert_string_equal(key_variable(profiles, "groq"), "GROQ_API_KEY");
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
    int err = profile_url(profile, base, model, NULL, o, url, sizeof(url), why);
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
                        " 'query': {'like': 'mine', 'url': 'http://h/v1/?v=1'},"
                        " 'openai': {'like': 'openai', 'url': 'https://gateway'}}",
                        &own, why);
    if (err < 0)
        fail_msg("%s", why);
    expect_url(profiles_find(own, "mine"), NULL, NULL, "{}",
               "http://llm.internal/v1/chat/completions");
    expect_url(profiles_find(own, "second"), NULL, NULL, "{}", "http://llm.internal/chat");
    expect_url(profiles_find(own, "query"), NULL, NULL, "{}", "http://h/v1/chat/completions?v=1");
    /* a base may be the whole of it */
    expect_url(profiles_find(own, "second"), "http://h/chat", NULL, "{}", "http://h/chat");
    expect_url(profiles_find(own, NULL), NULL, NULL, "{}", "https://gateway/v1/chat/completions");
    /* the embedded ones do not see the file */
    expect_url(profiles_find(own, "groq"), NULL, NULL, "{}",
               "https://api.groq.com/openai/v1/chat/completions");
    assert_string_equal(key_variable(own, "second"), "OPENAI_API_KEY");
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
        {"{'a': {'like': 'opnai'}}", "a.like", "openai-responses"},
        {"{'a': {'like': 7}}", "a.like", "the embedded ones are: openai"},
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
        {"{'a': {'like': 'openai', 'stream': {'text': [1,2,3,4,5,6,7,8,9,10,11,12,13,"
         "14,15,16,17,18,19,20,21,22,23,24,25]}}}",
         "text", "24"},
        {"{'a': {'like': 'openai', 'stream': {'form': 'xml'}}}", "a.stream.form", "lines"},
        {"{'a': {'like': 'openai', 'usage': {'input': ['a','b','c','d','e','f','g','h','i','j'],"
         "'output': ['a','b','c','d','e','f','g','h','i','j']}}}",
         "a:", "24 counts"},
        {"{'a': {'like': 'openai', 'request': {'media': [{'at': 'x'}]}}}", "media[0].data",
         "missing"},
        {"{'a': {'like': 'openai', 'request': {'media': [{'at': 'x', 'data': 'y', 'kind': "
         "'smell'}]}}}",
         "media[0].kind", "audio"},
        {"{'a': {'like': 'openai', 'request': {'image': {'tile': -1}}}}", "image.tile", "0 - "},
        {"{'a': {'like': 'openai', 'sign': {'service': 'x'}}}", "a.sign.id", "missing"},
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
               "anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse");
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

/* Base URLs as the providers' own documents and other clients have them. */
static void takes_every_base(void **state)
{
    (void)state;
#define GOOGLE "https://generativelanguage.googleapis.com"
#define VERTEX "https://eu-aiplatform.googleapis.com/v1/projects/P/locations/L"
#define AZURE  "https://r.openai.azure.com"
    static const struct {
        const char *profile;
        const char *base;
        const char *url;
    } bases[] = {
        {"openai", "https://h/v1/chat/completions", "https://h/v1/chat/completions"},
        {"openai", "https://h/v1/chat", "https://h/v1/chat/completions"},
        {"openai", "https://h/chat/completions", "https://h/chat/completions"},
        {"openai", GOOGLE "/v1beta/openai/", GOOGLE "/v1beta/openai/chat/completions"},
        {"openai", "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4/chat/completions"},
        {"openai", "https://api.z.ai/api/paas/v4/chat/completions",
         "https://api.z.ai/api/paas/v4/chat/completions"},
        {"openai", "https://api.groq.com/openai/v1",
         "https://api.groq.com/openai/v1/chat/completions"},
        {"openai", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"},
        {"openai", AZURE "/openai/v1/", AZURE "/openai/v1/chat/completions"},
        {"openai", VERTEX "/endpoints/openapi", VERTEX "/endpoints/openapi/chat/completions"},
        {"openai", "https://api.cohere.ai/compatibility/v1",
         "https://api.cohere.ai/compatibility/v1/chat/completions"},
        {"openai", "https://w.example.com/serving-endpoints/v1",
         "https://w.example.com/serving-endpoints/v1/chat/completions"},
        {"openai", "http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"},
        {"openai", "http://h/v2x2/a", "http://h/v2x2/a/chat/completions"},
        {"openai", "http://h/v2-x", "http://h/v2-x/v1/chat/completions"},
        {"openai", "http://h/v", "http://h/v/v1/chat/completions"},
        {"openai-responses", AZURE "/openai/v1", AZURE "/openai/v1/responses"},
        {"openai-embeddings", "http://h/v3/embeddings", "http://h/v3/embeddings"},
        {"groq", "https://api.groq.com/openai/v1",
         "https://api.groq.com/openai/v1/chat/completions"},
        {"openrouter", NULL, "https://openrouter.ai/api/v1/chat/completions"},
        {"azure", AZURE "/openai/deployments/D",
         AZURE "/openai/deployments/D/chat/completions?api-version=2024-10-21"},
        {"azure", AZURE "/openai/deployments/D/chat/completions?api-version=2025-01-01-preview",
         AZURE "/openai/deployments/D/chat/completions?api-version=2025-01-01-preview"},
        {"azure", AZURE "/openai/v1/", AZURE "/openai/v1/chat/completions"},
        {"azure", AZURE "/openai/v1/chat/completions", AZURE "/openai/v1/chat/completions"},
        {"azure", "https://gate/v2/openai",
         "https://gate/v2/openai/deployments/M/chat/completions?api-version=2024-10-21"},
        {"azure-responses", AZURE, AZURE "/openai/v1/responses"},
        {"azure-responses", AZURE "/openai/v1/?api-version=preview",
         AZURE "/openai/v1/responses?api-version=preview"},
        {"azure-ai", "https://r.services.ai.azure.com/models",
         "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"},
        {"azure-ai", "https://r.services.ai.azure.com/openai/v1",
         "https://r.services.ai.azure.com/openai/v1/chat/completions"},
        {"databricks", "https://w/serving-endpoints",
         "https://w/serving-endpoints/chat/completions"},
        {"databricks", "https://w/", "https://w/serving-endpoints/chat/completions"},
        {"perplexity", NULL, "https://api.perplexity.ai/chat/completions"},
        {"deepseek", NULL, "https://api.deepseek.com/chat/completions"},
        {"deepseek", "https://api.deepseek.com/v1", "https://api.deepseek.com/v1/chat/completions"},
        {"zai", NULL, "https://api.z.ai/api/paas/v4/chat/completions"},
        {"zai", "https://api.z.ai/api/coding/paas/v4",
         "https://api.z.ai/api/coding/paas/v4/chat/completions"},
        {"vertex", VERTEX, VERTEX "/publishers/google/models/M:generateContent"},
        {"vertex", VERTEX "/publishers/google",
         VERTEX "/publishers/google/models/M:generateContent"},
        {"vertex-anthropic", VERTEX, VERTEX "/publishers/anthropic/models/M:rawPredict"},
        {"gemini", GOOGLE "/v1beta", GOOGLE "/v1beta/models/M:generateContent"},
        {"gemini", GOOGLE "/v1", GOOGLE "/v1/models/M:generateContent"},
        {"gemini", GOOGLE "/v1beta/models/G:generateContent",
         GOOGLE "/v1beta/models/G:generateContent"},
        {"gemini", "https://gate/v1/account/google-ai-studio",
         "https://gate/v1/account/google-ai-studio/v1beta/models/M:generateContent"},
        {"anthropic", "https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"},
        {"anthropic", "https://api.deepseek.com/anthropic",
         "https://api.deepseek.com/anthropic/v1/messages"},
        {"anthropic", "https://gate/v1/account/anthropic",
         "https://gate/v1/account/anthropic/v1/messages"},
        {"bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com/model",
         "https://bedrock-runtime.eu-west-1.amazonaws.com/model/M/converse"},
        {"cohere", "https://api.cohere.com/v2", "https://api.cohere.com/v2/chat"},
        {"cohere", NULL, "https://api.cohere.com/v2/chat"},
        {"ollama", NULL, "http://localhost:11434/api/chat"},
        {"ollama", "http://localhost:11434/api/", "http://localhost:11434/api/chat"},
        {"openai", "http://h/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/v1",
         "http://h/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/v1/chat/completions"},
    };
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
        expect_url(profile_of(bases[i].profile), bases[i].base, NULL, "{'model':'M'}",
                   bases[i].url);
    /* the base has the deployment, so nobody need name the model */
    expect_url(profile_of("azure"), AZURE "/openai/deployments/D/", NULL, "{}",
               AZURE "/openai/deployments/D/chat/completions?api-version=2024-10-21");
}

static void merges_queries(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *base;
        const char *query;
        const char *url; /* behind http://h; NULL: refused */
    } queries[] = {
        {"openai", "http://h/v1?a=1", NULL, "/v1/chat/completions?a=1"},
        {"openai", "http://h/v1?", "b=2", "/v1/chat/completions?b=2"},
        {"openai", "http://h?a=1&&c", "a=2&a=3", "/v1/chat/completions?c&a=2&a=3"},
        {"openai", "http://h?ab=1&a", "a=2", "/v1/chat/completions?ab=1&a=2"},
        {"anthropic", "http://h", "beta=true", "/v1/messages?beta=true"},
        {"azure", "http://h?api-version=x", NULL,
         "/openai/deployments/M/chat/completions?api-version=x"},
        {"azure", "http://h?api-version=x", "api-version=y&z=%20",
         "/openai/deployments/M/chat/completions?api-version=y&z=%20"},
        {"azure", "http://h", "z=1",
         "/openai/deployments/M/chat/completions?api-version=2024-10-21&z=1"},
        {"openai", "http://h", "a=b c", NULL},
        {"openai", "http://h", "a=b#c", NULL},
        {"openai", "http://h", "a=b\r\nc", NULL},
        {"openai", "http://h", "a=\xc3\xa4", NULL},
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        char url[256] = "";
        char why[PROFILE_WHY_BYTES] = "";
        json_object *body = json_of("{'model':'M'}");
        int err = profile_url(profile_of(queries[i].profile), queries[i].base, NULL,
                              queries[i].query, body, url, sizeof(url), why);
        json_object_put(body);
        assert_int_equal(err, queries[i].url ? 0 : RATION_EINVALID);
        if (queries[i].url && strcmp(url + strlen("http://h"), queries[i].url) != 0)
            fail_msg("%s became %s", queries[i].base, url);
    }
    /* a stream's own parameter stays */
    char url[256];
    char why[PROFILE_WHY_BYTES];
    json_object *body = json_of("{'model':'M','stream':true}");
    assert_int_equal(
        profile_url(profile_of("gemini"), "http://h", NULL, "key=k", body, url, sizeof(url), why),
        0);
    json_object_put(body);
    assert_string_equal(url, "http://h/v1beta/models/M:streamGenerateContent?alt=sse&key=k");
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
        {"openai", "ftp://h", "{}", "not a base URL"},
        {"openai", "http://h/#q", "{}", "not a base URL"},
        {"openai", "http:///v1", "{}", "not a base URL"},
        {"openai", "http://?q", "{}", "not a base URL"},
        {"openai", "http://h\n", "{}", "control character"},
        {"openai", "http://h h", "{}", "not a base URL"},
        {"openai", "http://a-host-with-a-long-name-that-fills-all-the-room-there-is.example.com",
         "{}", "too long"},
        {"openai-compatible", NULL, "{}", "no URL of its own"},
        {"azure", NULL, "{'model':'d'}", "no URL of its own"},
        {"gemini", "http://h", "{}", "state the model"},
        {"gemini", "http://h", "{'model':'..'}", "state the model"},
        {"gemini", "http://h", "{'model':7}", "state the model"},
        {"openai-embeddings", "http://h", "{'stream':true}", "leave \"stream\" out"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char url[64];
        char why[PROFILE_WHY_BYTES] = "";
        json_object *o = json_of(wrong[i].body);
        assert_int_equal(profile_url(profile_of(wrong[i].profile), wrong[i].base, NULL, NULL, o,
                                     url, sizeof(url), why),
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
        {"openai", "sk-1", false,
         "Content-Type: application/json|Accept: application/json|Authorization: Bearer sk-1|"},
        {"openai", "sk-1", true,
         "Content-Type: application/json|Accept: text/event-stream|Authorization: Bearer sk-1|"},
        {"openai", NULL, false, "Content-Type: application/json|Accept: application/json|"},
        {"openai", "", false, "Content-Type: application/json|Accept: application/json|"},
        {"anthropic", "sk-2", false,
         "Content-Type: application/json|Accept: application/json|anthropic-version: "
         "2023-06-01|x-api-key: sk-2|"},
        {"anthropic", NULL, false,
         "Content-Type: application/json|Accept: application/json|anthropic-version: 2023-06-01|"},
        {"gemini", "k", false, "Content-Type: application/json|Accept: */*|x-goog-api-key: k|"},
        {"azure", "k", false,
         "Content-Type: application/json|Accept: application/json|api-key: k|"},
        {"bedrock", "k", false,
         "Content-Type: application/json|Accept: application/json|Authorization: Bearer k|"},
        {"bedrock", "k", true,
         "Content-Type: application/json|Accept: application/vnd.amazon.eventstream|"
         "Authorization: Bearer k|"},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char lines[256] = "";
        assert_int_equal(profile_headers(profile_of(headers[i].profile), headers[i].key,
                                         headers[i].streamed, collect, lines),
                         0);
        assert_string_equal(lines, headers[i].lines);
    }
    char long_key[PROFILE_MAX_KEY_BYTES + 2];
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_provider), cmocka_unit_test(takes_a_file),
        cmocka_unit_test(refuses_mistakes),   cmocka_unit_test(tells_of_unreadable_files),
        cmocka_unit_test(makes_urls),         cmocka_unit_test(makes_urls_of_gemini),
        cmocka_unit_test(takes_every_base),   cmocka_unit_test(merges_queries),
        cmocka_unit_test(refuses_urls),       cmocka_unit_test(makes_headers),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
