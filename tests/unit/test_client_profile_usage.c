/*
 * What a call used, from answers and streams in the shape of each provider, and what of it counts.
 * Each recorded answer says where its shape is documented; texts and ids are shortened.
 */
#include "test_client_profiles.h"

#define MAX_EVENTS 8

struct recorded {
    const char *profile;
    const char *answer;
    struct profile_usage usage;
};

static void expect_usage(const char *what, const struct profile_usage *got,
                         const struct profile_usage *wanted)
{
    if (!got->known || got->input != wanted->input || got->output != wanted->output ||
        got->cached != wanted->cached || got->cache_writes != wanted->cache_writes ||
        got->reasoning != wanted->reasoning)
        fail_msg("%s: known %d, %lld in, %lld out, %lld cached, %lld written, %lld reasoning", what,
                 got->known, (long long)got->input, (long long)got->output, (long long)got->cached,
                 (long long)got->cache_writes, (long long)got->reasoning);
}

static const struct recorded answers[] = {
    /* https://platform.openai.com/docs/api-reference/chat/object */
    {"openai",
     "{'id':'chatcmpl-1','object':'chat.completion','created':1741569952,'model':'gpt-4o',"
     "'choices':[{'index':0,'message':{'role':'assistant','content':'Hello!'},"
     "'finish_reason':'stop'}],'usage':{'prompt_tokens':19,'completion_tokens':10,"
     "'total_tokens':29,'prompt_tokens_details':{'cached_tokens':8,'audio_tokens':0},"
     "'completion_tokens_details':{'reasoning_tokens':4,'audio_tokens':0}}}",
     {.input = 19, .output = 10, .cached = 8, .reasoning = 4}},
    {"openai", "{'usage':{'prompt_tokens':10,'completion_tokens':0}}", {.input = 10}},
    /* https://platform.openai.com/docs/api-reference/responses/object */
    {"openai-responses",
     "{'id':'resp_1','object':'response','status':'completed','error':null,"
     "'output':[{'type':'message','content':[{'type':'output_text','text':'Hi'}]}],"
     "'usage':{'input_tokens':36,'input_tokens_details':{'cached_tokens':6},'output_tokens':87,"
     "'output_tokens_details':{'reasoning_tokens':20},'total_tokens':123}}",
     {.input = 36, .output = 87, .cached = 6, .reasoning = 20}},
    /* https://platform.claude.com/docs/en/api/messages and .../build-with-claude/prompt-caching:
     * all input is the sum */
    {"anthropic",
     "{'id':'msg_1','type':'message','role':'assistant','content':[{'type':'text','text':'Hi!'}],"
     "'stop_reason':'end_turn','usage':{'input_tokens':50,'cache_creation_input_tokens':200,"
     "'cache_read_input_tokens':1000,'output_tokens':503}}",
     {.input = 1250, .output = 503, .cached = 1000, .cache_writes = 200}},
    {"anthropic",
     "{'usage':{'input_tokens':12,'cache_creation_input_tokens':null,'output_tokens':6}}",
     {.input = 12, .output = 6}},
    /* https://ai.google.dev/api/generate-content#UsageMetadata: output is candidates and
     * thoughts */
    {"gemini",
     "{'candidates':[{'content':{'parts':[{'text':'Hi'}],'role':'model'},'finishReason':'STOP'}],"
     "'usageMetadata':{'promptTokenCount':100,'candidatesTokenCount':30,'thoughtsTokenCount':12,"
     "'cachedContentTokenCount':64,'totalTokenCount':142},'modelVersion':'gemini-2.5-flash'}",
     {.input = 100, .output = 42, .cached = 64, .reasoning = 12}},
    /* the same page: a prompt that was blocked has no candidates, and counts of zero are left
     * out */
    {"gemini",
     "{'promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':8,"
     "'totalTokenCount':8}}",
     {.input = 8}},
    /* https://console.groq.com/docs/api-reference#chat-create */
    {"groq",
     "{'object':'chat.completion','choices':[{'message':{'content':'Hi'}}],"
     "'usage':{'queue_time':0.03,'prompt_tokens':18,'prompt_time':0.0005,'completion_tokens':556,"
     "'completion_time':0.46,'total_tokens':574,'prompt_tokens_details':{'cached_tokens':10}}}",
     {.input = 18, .output = 556, .cached = 10}},
    /* https://learn.microsoft.com/en-us/azure/ai-services/openai/reference#chat-completions */
    {"azure",
     "{'choices':[{'content_filter_results':{},'message':{'content':'Hi'}}],"
     "'usage':{'prompt_tokens':33,'completion_tokens':557,'total_tokens':590}}",
     {.input = 33, .output = 557}},
    /* https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html */
    {"bedrock",
     "{'output':{'message':{'content':[{'text':'Hi'}]}},'stopReason':'end_turn',"
     "'usage':{'inputTokens':30,'outputTokens':628,'totalTokens':758,'cacheReadInputTokens':60,"
     "'cacheWriteInputTokens':40}}",
     {.input = 130, .output = 628, .cached = 60, .cache_writes = 40}},
};

static void reads_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct profile_usage usage = {0};
        json_object *answer = json_of(answers[i].answer);
        assert_non_null(answer);
        assert_true(profile_read_usage(profile_of(answers[i].profile), answer, &usage));
        expect_usage(answers[i].answer, &usage, &answers[i].usage);
        json_object_put(answer);
    }
}

/* What contradicts itself, or is written in another way: the most that it says. */
static const struct recorded odd[] = {
    {"openai",
     "{'usage':{'prompt_tokens':'10','completion_tokens':5.0}}",
     {.input = 10, .output = 5}},
    {"openai",
     "{'usage':{'prompt_tokens':14417.92,'completion_tokens':5}}",
     {.input = 14418, .output = 5}},
    {"openai",
     "{'usage':{'prompt_tokens':'7.2','completion_tokens':5}}",
     {.input = 8, .output = 5}},
    {"openai",
     "{'choices':[{'usage':{'prompt_tokens':3,'completion_tokens':4}}]}",
     {.input = 3, .output = 4}},
    {"openai",
     "{'usage':{'prompt_tokens':9223372036854775807,'completion_tokens':5}}",
     {.input = RATION_MAX_COST, .output = 5}},
    {"openai",
     "{'usage':{'prompt_tokens':1e300,'completion_tokens':5}}",
     {.input = RATION_MAX_COST, .output = 5}},
    /* https://docs.x.ai/docs/guides/reasoning: reasoning stands beside completion_tokens */
    {"xai",
     "{'usage':{'prompt_tokens':32,'completion_tokens':9,'total_tokens':137,"
     "'completion_tokens_details':{'reasoning_tokens':96}}}",
     {.input = 32, .output = 105, .reasoning = 96}},
    {"openai", "{'usage':{'completion_tokens':5,'total_tokens':12}}", {.input = 7, .output = 5}},
    {"openai", "{'usage':{'prompt_tokens':10,'total_tokens':12}}", {.input = 10, .output = 2}},
    {"openai-embeddings",
     "{'data':[{}],'usage':{'prompt_tokens':8,'total_tokens':8}}",
     {.input = 8}},
    {"openai-embeddings", "{'data':[{}],'usage':{'total_tokens':8}}", {.input = 8}},
    {"openai-completions", "{'usage':{'prompt_tokens':8,'total_tokens':8}}", {.input = 8}},
    /* https://ai.google.dev/api/generate-content#UsageMetadata: what tools put into the prompt is
     * input */
    {"gemini",
     "{'usageMetadata':{'promptTokenCount':20,'toolUsePromptTokenCount':300,'candidatesTokenCount':"
     "5,"
     "'totalTokenCount':360}}",
     {.input = 320, .output = 40}},
    /* https://platform.claude.com/docs/en/build-with-claude/compaction: its tokens are in no count
     * at the top */
    {"anthropic",
     "{'usage':{'input_tokens':45,'output_tokens':128,'iterations':["
     "{'type':'compaction','input_tokens':98000,'output_tokens':1276},"
     "{'type':'message','input_tokens':45,'output_tokens':128}]}}",
     {.input = 98045, .output = 1404}},
    {"deepseek",
     "{'usage':{'prompt_tokens':100,'completion_tokens':5,'prompt_cache_hit_tokens':64}}",
     {.input = 100, .output = 5, .cached = 64}},
    {"openai",
     "{'usage':{'prompt_tokens':100,'completion_tokens':5,'prompt_tokens_details':"
     "{'cached_tokens':50,'cache_write_tokens':20,'audio_tokens':9}}}",
     {.input = 100, .output = 5, .cached = 50, .cache_writes = 20}},
    {"cohere",
     "{'usage':{'billed_units':{'input_tokens':5,'output_tokens':7},"
     "'tokens':{'input_tokens':71,'output_tokens':7}}}",
     {.input = 71, .output = 7}},
    {"ollama",
     "{'message':{},'done':true,'prompt_eval_count':26,'eval_count':298}",
     {.input = 26, .output = 298}},
};

static void believes_the_most_that_was_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct profile_usage usage = {0};
        json_object *answer = json_of(odd[i].answer);
        if (!profile_read_usage(profile_of(odd[i].profile), answer, &usage))
            fail_msg("%s was not read", odd[i].answer);
        expect_usage(odd[i].answer, &usage, &odd[i].usage);
        json_object_put(answer);
    }
}

static void tells_unusable_usage(void **state)
{
    (void)state;
    static const char *const unusable[] = {
        "null",
        "7",
        "[]",
        "'usage'",
        "{}",
        "{'usage':null}",
        "{'usage':[]}",
        "{'usage':{'prompt_tokens':0,'completion_tokens':0,'total_tokens':0}}",
        "{'usage':{'prompt_tokens':-1,'completion_tokens':-5}}",
        "{'usage':{'prompt_tokens':'ten','completion_tokens':true}}",
        "{'usage':{'prompt_tokens':'','completion_tokens':'1e3'}}",
        "{'usage':{'prompt_tokens':NaN}}",
    };
    struct profile_usage usage = {.input = 42};
    for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
        json_object *answer = json_of(unusable[i]);
        if (profile_read_usage(profile_of("openai"), answer, &usage))
            fail_msg("%s was taken", unusable[i]);
        assert_int_equal(usage.input, 42);
        assert_false(usage.known);
        json_object_put(answer);
    }
}

/* One part alone is not the whole, but it is not thrown away either. */
static void keeps_the_part_that_was_told(void **state)
{
    (void)state;
    struct profile_usage usage = {0};
    json_object *answer = json_of("{'usageMetadata':{'candidatesTokenCount':17}}");
    assert_true(profile_read_usage(profile_of("gemini"), answer, &usage));
    assert_false(usage.known);
    assert_true(usage.output_known);
    assert_false(usage.input_known);
    assert_int_equal(usage.output, 17);
    json_object_put(answer);
}

static void reads_the_service_tier(void **state)
{
    (void)state;
    struct profile_usage usage = {0};
    json_object *answer =
        json_of("{'service_tier':'flex','usage':{'prompt_tokens':1,'completion_tokens':2}}");
    assert_true(profile_read_usage(profile_of("openai"), answer, &usage));
    assert_string_equal(usage.tier, "flex");
    json_object_put(answer);
    answer = json_of("{'usage':{'service_tier':'priority','input_tokens':1,'output_tokens':2}}");
    assert_true(profile_read_usage(profile_of("anthropic"), answer, &usage));
    assert_string_equal(usage.tier, "priority");
    json_object_put(answer);
    assert_string_equal(profile_tier_header(profile_of("gemini")), "x-gemini-service-tier");
}

/* ---- Streams ---- */

struct event {
    const char *name;
    const char *data;
    const char *text; /* NULL: none */
    bool ends;
};

struct stream {
    const char *profile;
    struct event events[MAX_EVENTS];
    struct profile_usage usage;
};

static const struct stream streams[] = {
    /* https://platform.openai.com/docs/api-reference/chat-streaming: with include_usage, a last
     * chunk without choices */
    {"openai",
     {{"",
       "{'object':'chat.completion.chunk','choices':[{'index':0,'delta':{'role':'assistant',"
       "'content':''},'finish_reason':null}],'usage':null}",
       NULL, false},
      {"", "{'choices':[{'index':0,'delta':{'content':'Hello'}}],'usage':null}", "Hello", false},
      {"", "{'choices':[{'index':0,'delta':{},'finish_reason':'stop'}],'usage':null}", NULL, false},
      {"",
       "{'choices':[],'usage':{'prompt_tokens':9,'completion_tokens':12,'total_tokens':21,"
       "'prompt_tokens_details':{'cached_tokens':4}}}",
       NULL, false},
      {"", "[DONE]", NULL, true}},
     {.input = 9, .output = 12, .cached = 4}},
    /* https://platform.openai.com/docs/api-reference/responses-streaming */
    {"openai-responses",
     {{"response.created",
       "{'type':'response.created','response':{'id':'resp_1','status':'in_progress','usage':null}}",
       NULL, false},
      {"response.output_text.delta",
       "{'type':'response.output_text.delta','item_id':'msg_1','delta':'Hi'}", "Hi", false},
      {"response.reasoning_summary_text.delta",
       "{'type':'response.reasoning_summary_text.delta','delta':'hm'}", NULL, false},
      {"", "{'type':'response.output_text.delta','delta':' there'}", " there", false},
      {"response.completed",
       "{'type':'response.completed','response':{'status':'completed','usage':{'input_tokens':37,"
       "'input_tokens_details':{'cached_tokens':5},'output_tokens':11,"
       "'output_tokens_details':{'reasoning_tokens':3},'total_tokens':48}}}",
       NULL, true}},
     {.input = 37, .output = 11, .cached = 5, .reasoning = 3}},
    /* https://platform.claude.com/docs/en/build-with-claude/streaming: message_delta's output is
     * cumulative */
    {"anthropic",
     {{"message_start",
       "{'type':'message_start','message':{'id':'msg_1','content':[],'usage':{'input_tokens':25,"
       "'cache_creation_input_tokens':100,'cache_read_input_tokens':400,'output_tokens':1}}}",
       NULL, false},
      {"content_block_start",
       "{'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}", NULL,
       false},
      {"ping", "{'type': 'ping'}", NULL, false},
      {"content_block_delta",
       "{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'Hello'}}",
       "Hello", false},
      {"content_block_delta",
       "{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta',"
       "'partial_json':'{'}}",
       NULL, false},
      {"message_delta",
       "{'type':'message_delta','delta':{'stop_reason':null},'usage':{'output_tokens':7}}", NULL,
       false},
      {"message_delta",
       "{'type':'message_delta','delta':{'stop_reason':'end_turn'},'usage':{'output_tokens':15}}",
       NULL, false},
      {"message_stop", "{'type':'message_stop'}", NULL, true}},
     {.input = 525, .output = 15, .cached = 400, .cache_writes = 100}},
    /* https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent: every chunk
     * has all so far */
    {"gemini",
     {{"",
       "{'candidates':[{'content':{'parts':[{'text':'let me see','thought':true}]}}],"
       "'usageMetadata':{'promptTokenCount':11,'thoughtsTokenCount':50,'totalTokenCount':61}}",
       NULL, false},
      {"",
       "{'candidates':[{'content':{'parts':[{'text':'One'},{'text':', two'}]}}],"
       "'usageMetadata':{'promptTokenCount':11,'candidatesTokenCount':3,"
       "'thoughtsTokenCount':60,'totalTokenCount':74}}",
       "One, two", false},
      {"",
       "{'candidates':[{'content':{'parts':[{'text':'.'}]},'finishReason':'STOP'}],"
       "'usageMetadata':{'promptTokenCount':11,'candidatesTokenCount':4,"
       "'thoughtsTokenCount':60,'totalTokenCount':75}}",
       ".", false}},
     {.input = 11, .output = 64, .reasoning = 60}},
    /* https://console.groq.com/docs/api-reference#chat-create: the last chunk has an object of
     * Groq's own */
    {"groq",
     {{"", "{'choices':[{'delta':{'content':'Hi'}}],'x_groq':{'id':'req_1'}}", "Hi", false},
      {"",
       "{'choices':[{'delta':{},'finish_reason':'stop'}],'x_groq':{'id':'req_1','usage':"
       "{'prompt_tokens':18,'completion_tokens':5,'total_tokens':23}}}",
       NULL, false},
      {"", "[DONE]", NULL, true}},
     {.input = 18, .output = 5}},
    /*
     * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamMetadataEvent.html */
    {"bedrock",
     {{"metadata",
       "{'usage':{'inputTokens':47,'outputTokens':20,'totalTokens':67},'metrics':{'latencyMs':100}"
       "}",
       NULL, false}},
     {.input = 47, .output = 20}},
};

static void read_event(const struct stream *stream, const struct event *event,
                       struct profile_usage *usage)
{
    const struct profile *profile = profile_of(stream->profile);
    json_object *parsed = json_of(event->data);
    const char *text = profile_event_text(profile, event->name, parsed);
    if ((text == NULL) != (event->text == NULL) || (text && strcmp(text, event->text) != 0))
        fail_msg("%s: the text is '%s'", event->data, text ? text : "(none)");
    if (profile_read_event(profile, event->name, event->data, parsed, usage) != event->ends)
        fail_msg("%s: whether it ends", event->data);
    assert_int_equal(profile_classify_event(profile, event->name, parsed), PROFILE_ANSWERED);
    json_object_put(parsed);
}

static void reads_streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct profile_usage usage = {0};
        for (size_t k = 0; k < MAX_EVENTS && streams[i].events[k].data; k++)
            read_event(&streams[i], &streams[i].events[k], &usage);
        expect_usage(streams[i].profile, &usage, &streams[i].usage);
    }
}

/* A stream that broke tells what it had told: of Anthropic's, the input. */
static void keeps_what_a_broken_stream_told(void **state)
{
    (void)state;
    struct profile_usage usage = {0};
    read_event(&streams[2], &streams[2].events[0], &usage);
    assert_true(usage.known);
    assert_int_equal(usage.input, 525);
    assert_int_equal(usage.output, 1);
    struct profile_usage chat = {0};
    read_event(&streams[0], &streams[0].events[1], &chat);
    assert_false(chat.known);
}

static void counts_of_a_stream_never_fall(void **state)
{
    (void)state;
    static const struct stream repeats = {
        "anthropic",
        {{"message_start",
          "{'type':'message_start','message':{'usage':{'input_tokens':900,'output_tokens':1}}}",
          NULL, false},
         {"message_delta",
          "{'type':'message_delta','delta':{'stop_reason':'end_turn'},"
          "'usage':{'input_tokens':0,'output_tokens':20}}",
          NULL, false},
         {"message_delta", "{'type':'message_delta','usage':{'output_tokens':3}}", NULL, false}},
        {.input = 900, .output = 20}};
    struct profile_usage usage = {0};
    for (size_t k = 0; k < 3; k++)
        read_event(&repeats, &repeats.events[k], &usage);
    expect_usage("anthropic", &usage, &repeats.usage);
}

static void takes_events_of_rubbish(void **state)
{
    (void)state;
    static const char *const rubbish[] = {"",      "null",        "7",         "[]",
                                          "[DONE", "{'usage':7}", "{'type':7}"};
    static const char *const names[] = {"openai", "openai-responses", "anthropic", "gemini"};
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            struct profile_usage usage = {0};
            json_object *event = json_of(rubbish[i]);
            assert_false(profile_read_event(profile_of(names[k]), "", rubbish[i], event, &usage));
            assert_null(profile_event_text(profile_of(names[k]), "", event));
            assert_false(usage.known);
            json_object_put(event);
        }
    }
}

/* ---- What counts ---- */

static void counts_as_each_provider(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        int64_t input;
        int64_t output;
        int64_t tokens;
    } counts[] = {
        {"openai", 1000, 100, 1100},  /* everything */
        {"anthropic", 400, 100, 500}, /* reads are free, writes count */
        {"anthropic-haiku-3.5", 1000, 100, 1100},
        {"gemini", 1000, 100, 1000}, /* input only */
        {"groq", 400, 100, 500},
        {"azure", 1000, 100, 1100},
        {"bedrock", 400, 100, 500},
        {"bedrock-claude", 400, 100, 900}, /* each token of output is five */
    };
    const struct profile_usage usage = {
        .known = true, .input = 1000, .output = 100, .cached = 600, .cache_writes = 50};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct ration_amounts used = {0};
        profile_count(profile_of(counts[i].profile), &usage, &used);
        if (used.input_tokens != counts[i].input || used.output_tokens != counts[i].output ||
            used.tokens != counts[i].tokens)
            fail_msg("%s: %lld in, %lld out, %lld in all", counts[i].profile,
                     (long long)used.input_tokens, (long long)used.output_tokens,
                     (long long)used.tokens);
        assert_int_equal(used.requests, 0);
    }
}

static void counts_nothing_as_zero(void **state)
{
    (void)state;
    const struct profile_usage all_cached = {.known = true, .input = 600, .cached = 600};
    struct ration_amounts used = {0};
    profile_count(profile_of("anthropic"), &all_cached, &used);
    assert_int_equal(used.input_tokens, RATION_ZERO);
    assert_int_equal(used.output_tokens, RATION_ZERO);
    assert_int_equal(used.tokens, RATION_ZERO);
    const struct profile_usage huge = {.known = true, .output = RATION_MAX_COST};
    profile_count(profile_of("bedrock-claude"), &huge, &used);
    assert_int_equal(used.tokens, RATION_MAX_COST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(believes_the_most_that_was_said),
        cmocka_unit_test(tells_unusable_usage),
        cmocka_unit_test(keeps_the_part_that_was_told),
        cmocka_unit_test(reads_the_service_tier),
        cmocka_unit_test(counts_of_a_stream_never_fall),
        cmocka_unit_test(reads_streams),
        cmocka_unit_test(keeps_what_a_broken_stream_told),
        cmocka_unit_test(takes_events_of_rubbish),
        cmocka_unit_test(counts_as_each_provider),
        cmocka_unit_test(counts_nothing_as_zero),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
