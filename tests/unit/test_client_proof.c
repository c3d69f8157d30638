/*
 * Both ways to be wrong about an answer: to call one that is none an answer, and to call a good one
 * a failure, which is paid for again. Each row is an answer that a provider documents or a server
 * was seen to give, cut down; ' stands for ". The forms of the strict provider
 * (tests/upstream/forms.json) are tested in tests/integration/test_forms.py; here is what it has
 * not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "call/stream.h"
#include "test_client_fixture.h"

#define CALLED   "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[]}"
#define STREAMED "{\"model\":\"m\",\"max_tokens\":100,\"stream\":true,\"messages\":[]}"
#define ONE                                                                                        \
    "'choices':[{'index':0,'message':{'role':'assistant','content':'Hi'},'finish_reason':'stop'}]"
#define USED     "'usage':{'prompt_tokens':10,'completion_tokens':5,'total_tokens':15}"
#define CHARGED  "tokens 15 input_tokens 10 output_tokens 5 STATUS 200"
#define ESTIMATE "REPORT me STATUS 200" /* no amounts: it stays */
#define NOTHING  "tokens 0 input_tokens 0 output_tokens 0 "

struct row {
    const char *profile;
    const char *body;
    enum ration_outcome outcome;
    const char *report; /* what the last REPORT has in it */
    const char *text;   /* of a stream; NULL: none */
};

static char seen[4096];

static int on_event(void *arg, const char *name, const char *data, size_t bytes, const char *text)
{
    (void)arg;
    (void)name;
    (void)data;
    (void)bytes;
    if (text)
        strncat(seen, text, sizeof(seen) - strlen(seen) - 1);
    return 0;
}

static void quote(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    for (char *s = out; *s; s++) {
        if (*s == '\'')
            *s = '"';
    }
}

/* One try of what the row is the answer to. */
static void expect(const struct row *row, bool streamed)
{
    static char body[8192];
    /* The provider, a thread of its own, may read a text until after the next one. */
    static char ring[4][9000];
    static size_t n;
    char *http = ring[n++ % 4];
    struct ration_response answer;
    struct ration_call_options options;
    fixture_options(&options);
    options.provider = row->profile;
    options.model = "m";
    options.body = streamed ? STREAMED : CALLED;
    options.stream = streamed ? on_event : NULL;
    options.retry.tries = 1;
    seen[0] = '\0';
    quote(body, sizeof(body), row->body);
    snprintf(http, sizeof(ring[0]), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    peer_answer(fx.provider, "POST", http);
    int err = fixture_call(&options, &answer);
    int outcome = err == RATION_OK ? RATION_ANSWERED : answer.outcome;
    const char *report = fixture_last(fx.server, "REPORT");
    if (outcome != (int)row->outcome || !strstr(report, row->report) ||
        strcmp(seen, row->text ? row->text : "") != 0)
        fail_msg("%s %s: %s, '%s', reported as '%s', text '%s'", row->profile, row->body,
                 ration_outcome_name(outcome), ration_errmsg(fx.r), report, seen);
    ration_response_free(&answer);
}

static void expect_all(const struct row *rows, size_t n, bool streamed)
{
    for (size_t i = 0; i < n; i++)
        expect(&rows[i], streamed);
}

#define EXPECT_ALL(rows, streamed) expect_all(rows, sizeof(rows) / sizeof((rows)[0]), streamed)

/* ---- No answer, although it looks like one --------------------------------------------------- */

static void what_is_no_answer_has_failed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"openai", "{'choices':[{'message':null}]}", RATION_FAILED, "FAILED", NULL},
        {"openai", "{'choices':[{'message':{},'finish_reason':null}]}", RATION_FAILED, "FAILED",
         NULL},
        {"openai", "{'choices':[null]}", RATION_FAILED, "FAILED", NULL},
        {"openai", "{'choices':{}}", RATION_FAILED, "FAILED", NULL},
        {"openai", "'Bad gateway'", RATION_FAILED, "FAILED", NULL},
        {"openai", "{'success':true,'data':{}}", RATION_FAILED, "FAILED", NULL},
        {"openai-embeddings", "{'data':[{'embedding':null}],'usage':{'total_tokens':4}}",
         RATION_FAILED, "tokens 4", NULL},
        {"openai-embeddings", "{'data':[{'object':'embedding'}]}", RATION_FAILED, "FAILED", NULL},
        {"openai-responses", "{'status':'in_progress','output':null}", RATION_FAILED, "FAILED",
         NULL},
        {"anthropic", "{'type':'message','content':null}", RATION_FAILED, "FAILED", NULL},
        {"gemini", "{'candidates':[{'index':0}]}", RATION_FAILED, "FAILED", NULL},
        {"gemini", "{'candidates':[],'promptFeedback':{}}", RATION_FAILED, "FAILED", NULL},
        {"bedrock", "{'output':{},'stopReason':'end_turn'}", RATION_FAILED, "FAILED", NULL},
        {"cohere", "{'id':'c','finish_reason':'ERROR','message':{'role':'assistant','content':[]}}",
         RATION_FAILED, "FAILED", NULL},
        /* what was said to be used is charged all the same */
        {"openai", "{'choices':[{'message':{'content':'Hal'},'finish_reason':'error'}]," USED "}",
         RATION_FAILED, CHARGED, NULL},
        {"mistral", "{'choices':[{'message':{'content':''},'finish_reason':'error'}]}",
         RATION_FAILED, "FAILED", NULL},
    };
    EXPECT_ALL(rows, false);
}

static void an_error_in_any_words_has_its_class(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"openai", "{'error':429,'message':'slow down'}", RATION_LIMITED, NOTHING "STATUS 429",
         NULL},
        {"openai", "{'error':'503'}", RATION_OVERLOADED, NOTHING "STATUS 503", NULL},
        {"openai", "{'error':true,'message':'no'}", RATION_FAILED, "FAILED", NULL},
        {"openai", "{'error':'rate_limit_exceeded','message':'slow down'}", RATION_LIMITED,
         "STATUS 429", NULL},
        {"openai", "{'error':'insufficient_quota'}", RATION_EXHAUSTED,
         "EXHAUSTED insufficient_quota", NULL},
        {"openai", "{'error':['rate_limit_exceeded']}", RATION_LIMITED, "STATUS 429", NULL},
        /* beside an answer, which then is not to be trusted; but what it used was used */
        {"openai", "{'error':{'code':'429'}," ONE "," USED "}", RATION_LIMITED,
         "tokens 15 input_tokens 10 output_tokens 5 STATUS 429", NULL},
        {"openai",
         "{'choices':[{'message':{'content':''},'finish_reason':'error','error':{'code':502,"
         "'message':'Provider returned error'}}]}",
         RATION_FAILED, "STATUS 502", NULL},
        {"openai-responses",
         "{'error':{'type':'too_many_requests','code':'rate_limit_exceeded'},'output':[]}",
         RATION_LIMITED, "STATUS 429", NULL},
        {"anthropic", "{'error':{'message':'busy','code':529}}", RATION_OVERLOADED, "STATUS 529",
         NULL},
        {"gemini", "{'error':{'code':429}}", RATION_LIMITED, "STATUS 429", NULL},
        {"cohere", "{'error':{'code':'429','message':'trial key'}}", RATION_LIMITED, "STATUS 429",
         NULL},
        {"bedrock", "{'__type':'ThrottlingException','message':'Too many requests'}",
         RATION_LIMITED, "STATUS 429", NULL},
        {"bedrock", "{'error':{'code':503}}", RATION_OVERLOADED, "STATUS 503", NULL},
        {"ollama", "{'error':{'code':503,'message':'busy'}}", RATION_OVERLOADED, "STATUS 503",
         NULL},
    };
    EXPECT_ALL(rows, false);
}

/* ---- Answers, although they do not look like it ---------------------------------------------- */

static void a_good_answer_is_one(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"openai", "{'error':false," ONE "," USED "}", RATION_ANSWERED, CHARGED, NULL},
        {"openai", "{'error':{'code':0,'message':'','param':null,'type':''}," ONE "," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", "{'error':[]," ONE "," USED ",'detail':null}", RATION_ANSWERED, CHARGED, NULL},
        {"openai",
         "{'choices':[{'message':{'content':null,'tool_calls':[{'id':'c','type':'function',"
         "'function':{'name':'f','arguments':'{}'}}]},'finish_reason':'tool_calls'}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", "{'choices':[{'message':{'tool_calls':[{'id':'c'}]}}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", "{'choices':[{'message':{'content':''}}]}", RATION_ANSWERED, ESTIMATE, NULL},
        {"openai", "{'choices':[{'message':{'refusal':'No.','content':null}}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai",
         "{'choices':[{'message':{'content':null,'reasoning_content':'hm'},'finish_reason':'length'"
         "}"
         "]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        /* Gemini through OpenAI's form, where all of max_tokens went into thoughts, or a filter
         * stopped it */
        {"openai",
         "{'choices':[{'message':{'role':'assistant'},'finish_reason':'length'}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", "{'choices':[{'message':null,'finish_reason':'content_filter'}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai",
         "{'choices':[{'message':{'role':'assistant','content':null,'audio':{'data':'AA=='}}}"
         "]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai",
         "{'choices':[{'index':2,'message':{'content':'c'}},{'index':0,'message':{'content':'a'}},"
         "{'index':1,'message':{'content':'b'},'logprobs':{'content':[{'token':'b','bytes':null}]}}"
         "]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        /* Azure's filter did not work, and the answer is there */
        {"azure",
         "{'choices':[{'message':{'content':'Hi'},'content_filter_results':{'error':{'code':"
         "'content_filter_error','message':'The contents are not filtered'}}}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai-completions", "{'choices':[{'text':'','finish_reason':'stop'}]," USED "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"openai-embeddings",
         "{'data':[{'embedding':'AACAPw=='}],'usage':{'prompt_tokens':4,"
         "'total_tokens':4}}",
         RATION_ANSWERED, "tokens 4 input_tokens 4 output_tokens 0", NULL},
        /* begun in the background: asked again, it would run twice */
        {"openai-responses",
         "{'status':'queued','background':true,'error':null,'output':[],"
         "'usage':null}",
         RATION_ANSWERED, ESTIMATE, NULL},
        {"openai-responses",
         "{'status':'completed','error':null,'output':[{'type':'mcp_call','error':{'code':500}},"
         "{'type':'function_call','arguments':'{}'}],'usage':{'input_tokens':10,'output_tokens':5}"
         "}",
         RATION_ANSWERED, CHARGED, NULL},
        {"anthropic",
         "{'type':'message','content':[{'type':'server_tool_use'}],'stop_reason':'pause_turn',"
         "'usage':{'input_tokens':10,'output_tokens':5}}",
         RATION_ANSWERED, CHARGED, NULL},
        {"anthropic",
         "{'type':'message','content':[{'type':'thinking','thinking':'hm','signature':'x'},"
         "{'type':'redacted_thinking','data':'AAAA'}],'stop_reason':'max_tokens',"
         "'usage':{'input_tokens':10,'output_tokens':5}}",
         RATION_ANSWERED, CHARGED, NULL},
        {"anthropic",
         "{'type':'message','content':[{'type':'web_search_tool_result','content':{'type':"
         "'web_search_tool_result_error','error_code':'max_uses_exceeded'}}],'stop_reason':"
         "'refusal','usage':{'input_tokens':10,'output_tokens':5}}",
         RATION_ANSWERED, CHARGED, NULL},
        {"gemini",
         "{'candidates':[{'content':{},'finishReason':'MALFORMED_FUNCTION_CALL'}],"
         "'usageMetadata':{'promptTokenCount':10,'totalTokenCount':10}}",
         RATION_ANSWERED, "tokens 10 input_tokens 10 output_tokens 0", NULL},
        {"gemini",
         "{'candidates':[{'finishReason':'SAFETY','index':0}],'usageMetadata':"
         "{'promptTokenCount':10}}",
         RATION_ANSWERED, "tokens 10 ", NULL},
        {"gemini",
         "{'promptFeedback':{'blockReason':'PROHIBITED_CONTENT'},'usageMetadata':"
         "{'promptTokenCount':10,'totalTokenCount':10}}",
         RATION_ANSWERED, "tokens 10 ", NULL},
        {"bedrock",
         "{'output':{'message':{'role':'assistant','content':[{'toolUse':{'name':'f','input':{}}}]}"
         "}"
         ",'stopReason':'guardrail_intervened','usage':{'inputTokens':10,'outputTokens':5}}",
         RATION_ANSWERED, CHARGED, NULL},
        {"cohere",
         "{'finish_reason':'TOOL_CALL','message':{'tool_calls':[{'id':'t'}]},'usage':{'tokens':"
         "{'input_tokens':10,'output_tokens':5}}}",
         RATION_ANSWERED, CHARGED, NULL},
    };
    EXPECT_ALL(rows, false);
}

/* ---- Streams --------------------------------------------------------------------------------- */

#define EVENT(text)       "data: " text "\n\n"
#define DELTA(delta)      EVENT("{'choices':[{'index':0,'delta':" delta "}]}")
#define REASON(word)      EVENT("{'choices':[{'index':0,'delta':{},'finish_reason':'" word "'}]}")
#define TOLD              EVENT("{'choices':[]," USED "}")
#define DONE              EVENT("[DONE]")
#define NAMED(type, more) "event: " type "\ndata: {'type':'" type "'" more "}\n\n"
#define START             NAMED("message_start", ",'message':{'usage':{'input_tokens':10}}")
#define STOP                                                                                       \
    NAMED("message_delta", ",'delta':{'stop_reason':'end_turn'},'usage':{'output_tokens':5}")      \
    NAMED("message_stop", "")
#define PING NAMED("ping", "")

static void a_good_stream_is_one(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"openai",
         DELTA("{'role':'assistant','content':null}")
             DELTA("{'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':''}}]}")
                 DELTA("{'tool_calls':[{'index':0,'function':{'arguments':'{}'}}]}")
                     REASON("tool_calls") TOLD DONE,
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", DELTA("{'role':'assistant','content':''}") REASON("stop") TOLD DONE,
         RATION_ANSWERED, CHARGED, NULL},
        {"openai", DELTA("{'refusal':'No.'}") REASON("stop") TOLD DONE, RATION_ANSWERED, CHARGED,
         "No."},
        {"openai", DELTA("{'reasoning_content':'hm'}") REASON("length") TOLD DONE, RATION_ANSWERED,
         CHARGED, NULL},
        /* three choices, each of which ends for itself */
        {"openai",
         EVENT("{'choices':[{'index':1,'delta':{'content':'b'}}]}")
             EVENT("{'choices':[{'index':0,'delta':{'content':'a'}}]}") REASON("stop") EVENT(
                 "{'choices':[{'index':2,'delta':{'content':'c'},'logprobs':{'content':[]}}]}")
                 EVENT("{'choices':[{'index':2,'delta':{},'finish_reason':'stop'}]}") EVENT(
                     "{'choices':[{'index':1,'delta':{},'finish_reason':'length'}]}") TOLD DONE,
         RATION_ANSWERED, CHARGED, "bac"},
        /* Azure's first event is about the prompt */
        {"azure",
         EVENT("{'choices':[],'prompt_filter_results':[{'prompt_index':0,'content_filter_results':"
               "{'error':{'code':'content_filter_error'}}}]}") DELTA("{'content':'Hi'}")
             REASON("stop") TOLD DONE,
         RATION_ANSWERED, CHARGED, "Hi"},
        {"openai",
         EVENT("{'error':{'code':0,'message':''},'choices':[{'delta':{'content':'Hi'}}]}")
             REASON("stop") TOLD,
         RATION_ANSWERED, CHARGED, "Hi"},
        {"openai-responses",
         NAMED("response.created", ",'response':{'status':'in_progress','error':null}")
             NAMED("response.refusal.delta", ",'delta':'No.'")
                 NAMED("response.incomplete",
                       ",'response':{'status':'incomplete','usage':{'input_tokens':10,"
                       "'output_tokens':5}}"),
         RATION_ANSWERED, CHARGED, "No."},
        {"anthropic",
         START PING NAMED("content_block_start", ",'content_block':{'type':'redacted_thinking',"
                                                 "'data':'AAAAAAAAAAAA'}")
             NAMED("content_block_delta", ",'delta':{'type':'thinking_delta','thinking':'hm'}")
                 NAMED("content_block_delta",
                       ",'delta':{'type':'signature_delta','signature':'xx'}")
                     NAMED("content_block_delta", ",'delta':{'type':'text_delta','text':'Hi'}")
                         STOP,
         RATION_ANSWERED, CHARGED, "Hi"},
        {"anthropic", START STOP, RATION_ANSWERED, CHARGED, NULL},
        {"gemini",
         EVENT(
             "{'promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':10}}"),
         RATION_ANSWERED, "tokens 10 ", NULL},
        {"ollama",
         "\n\n{'message':{'role':'assistant','content':'Hi'},'done':false}\r\n\r\n \n"
         "{'message':{'content':''},'done':true,'prompt_eval_count':10,'eval_count':5}\n\n",
         RATION_ANSWERED, CHARGED, "Hi"},
        {"ollama",
         "\xef\xbb\xbf{'message':{'content':'Hi'},'done':true,'prompt_eval_count':10,'eval_count':"
         "5}",
         RATION_ANSWERED, CHARGED, "Hi"},
        /* counts that fall, and a total that falls */
        {"openai",
         EVENT("{'choices':[{'delta':{'content':'Hi'}}]," USED "}") REASON("stop") EVENT(
             "{'choices':[],'usage':{'prompt_tokens':3,'completion_tokens':1,'total_tokens':4}}"),
         RATION_ANSWERED, CHARGED, "Hi"},
        /* only a total, of the whole */
        {"openai",
         DELTA("{'content':'Hi'}") REASON("stop")
             EVENT("{'choices':[],'usage':{'total_tokens':5000}}") DONE,
         RATION_ANSWERED, "REPORT me tokens 5000 STATUS 200", "Hi"},
        /* what the end says of the output is better than a guess from its characters */
        {"gemini",
         EVENT("{'candidates':[{'content':{'parts':[{'text':'a rather long text, to be counted'}]},"
               "'finishReason':'STOP'}],'usageMetadata':{'candidatesTokenCount':3}}"),
         RATION_ANSWERED, "output_tokens 3 ", "a rather long text, to be counted"},
    };
    EXPECT_ALL(rows, true);
}

static void a_stream_that_fails_says_how(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* nothing but comments, and then an error over two lines, as of servers on Windows */
        {"openai",
         ": ping\r\n\r\n: ping\r\n\r\ndata: {'error':\r\ndata: "
         "{'code':'rate_limit_exceeded'}}\r\n\r\n",
         RATION_LIMITED, NOTHING "STATUS 429", NULL},
        {"mistral", DELTA("{'content':'Hal'}") REASON("error") DONE, RATION_FAILED,
         "output_tokens 1 STATUS 500 PARTIAL FAILED", "Hal"},
        {"openai",
         DELTA("{'content':'Hal'}")
             EVENT("{'choices':[{'index':0,'delta':{'content':''},'finish_reason':'error','error':"
                   "{'code':502,'message':'Provider disconnected'}}]}"),
         RATION_FAILED, "output_tokens 1 STATUS 502 PARTIAL FAILED", "Hal"},
        {"openai-responses",
         NAMED("response.created", ",'response':{'status':'in_progress'}")
             NAMED("response.cancelled", ",'response':{'status':'cancelled','output':[]}"),
         RATION_FAILED, "FAILED", NULL},
        {"cohere",
         NAMED("message-start", ",'delta':{'message':{'role':'assistant'}}")
             NAMED("message-end", ",'delta':{'finish_reason':'TIMEOUT'}"),
         RATION_FAILED, "FAILED", NULL},
        /* what was said to be used before is charged, whatever comes then */
        {"anthropic",
         START "event: error\ndata: {'type':'error','error':{'type':'overloaded_error'}}\n\n",
         RATION_OVERLOADED, "tokens 10 input_tokens 10 output_tokens 0 STATUS 503", NULL},
        {"openai", EVENT("{'choices':[{'delta':{'content':'Hi'}}],'usage':{'total_tokens':5000}}"),
         RATION_FAILED, "tokens 5000 output_tokens 1 STATUS 200 PARTIAL FAILED", "Hi"},
        /* beginnings and comments are no answer, nor is [DONE] */
        {"openai", ": ping\n\n: ping\n\n" EVENT("{'choices':[]}") DONE, RATION_FAILED,
         ESTIMATE " FAILED", NULL},
        {"anthropic", PING PING, RATION_FAILED, ESTIMATE " FAILED", NULL},
        {"openai", "data: <html>Sign in</html>\n\n", RATION_FAILED, ESTIMATE " FAILED", NULL},
        {"ollama", "{'status':'loading'}\n{'status':'loading'}\n", RATION_FAILED,
         ESTIMATE " FAILED", NULL},
    };
    EXPECT_ALL(rows, true);
}

static void keep_alives_may_go_on_for_long(void **state)
{
    (void)state;
    static char body[7000];
    for (int i = 0; i < 300; i++)
        strcat(body, i % 2 ? ": still here\n\n" : ":\r\n\r\n");
    strcat(body, DELTA("{'content':'Hi'}") REASON("stop") TOLD DONE);
    const struct row row = {"openai", body, RATION_ANSWERED, CHARGED, "Hi"};
    expect(&row, true);
}

/* ---- In pieces ------------------------------------------------------------------------------- */

static const char whole_stream[] =
    "\xef\xbb\xbf: ping\r\n\r\nid: 1\r\nevent: message\r\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"caf\xc3\xa9 \xf0\x9f\x8e\x89\"}}]}\r\n\r\n"
    "data: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\" \xe2\x82\xac\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\r"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\r\n\r\n"
    "data: [DONE]\n\n";

static void feed_in_pieces(const struct profile *profile, json_tokener *tokener, size_t piece)
{
    struct stream stream;
    size_t n = sizeof(whole_stream) - 1;
    seen[0] = '\0';
    stream_init(&stream, profile, tokener, true, on_event, NULL);
    for (size_t at = 0; at < n; at += piece)
        assert_int_equal(stream_feed(&stream, whole_stream + at, n - at < piece ? n - at : piece),
                         0);
    assert_int_equal(stream_finish(&stream), 0);
    assert_true(stream_is_complete(&stream, true));
    assert_string_equal(seen, "caf\xc3\xa9 \xf0\x9f\x8e\x89 \xe2\x82\xac");
    assert_int_equal(stream.characters, 8);
    assert_int_equal(stream.usage.total, 15);
    stream_close(&stream);
}

/* Within a character, between the bytes of a line's end, within the byte order mark. */
static void a_stream_may_come_in_any_pieces(void **state)
{
    (void)state;
    char why[PROFILE_WHY_BYTES];
    struct profiles *profiles = NULL;
    assert_int_equal(profiles_open(NULL, &profiles, why), 0);
    json_tokener *tokener = json_tokener_new_ex(64);
    for (size_t piece = 1; piece < sizeof(whole_stream); piece++)
        feed_in_pieces(profiles_find(profiles, "openai"), tokener, piece);
    json_tokener_free(tokener);
    profiles_close(profiles);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_answer_has_failed),
        TEST(an_error_in_any_words_has_its_class),
        TEST(a_good_answer_is_one),
        TEST(a_good_stream_is_one),
        TEST(a_stream_that_fails_says_how),
        TEST(keep_alives_may_go_on_for_long),
        cmocka_unit_test(a_stream_may_come_in_any_pieces),
    };
    fixture_clean_environment();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
