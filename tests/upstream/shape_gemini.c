/*
 * Gemini's generateContent. Documented at
 *
 *     https://ai.google.dev/api/generate-content
 *         request, answer, UsageMetadata, streaming
 *     https://ai.google.dev/gemini-api/docs/troubleshooting
 *         errors and their status words
 *     https://cloud.google.com/apis/design/errors
 *         details: ErrorInfo, BadRequest
 *     https://ai.google.dev/gemini-api/docs/rate-limits
 *         limits; no headers report them
 *     https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 *         QuotaFailure, RetryInfo
 *     https://protobuf.dev/reference/protobuf/google.protobuf/#duration
 *         retryDelay: "37s", "1.5s"
 *
 * Vertex is the same under another path and takes only a bearer token:
 *
 *     https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
 *
 * Both names of each field are accepted, candidateCount and candidate_count, as protocol buffers do
 * in JSON. Events of a stream end with CR LF here, as that API's do; readers of events must take
 * either.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "jo.h"
#include "read.h"

/* ---- Requests -------------------------------------------------------------------------------- */

static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {403, NULL, NULL, false,
                        "Method doesn't allow unregistered callers (callers without established "
                        "identity)."},
    [REFUSAL_BAD_KEY] = {400, NULL, "API_KEY_INVALID", false,
                         "API key not valid. Please pass a valid API key."},
    [REFUSAL_CONTENT_TYPE] = {400, NULL, NULL, true,
                              "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind "
                              "query parameter."},
    [REFUSAL_JSON] = {400, NULL, NULL, false, "Invalid JSON payload received."},
    [REFUSAL_MISSING] = {400, NULL, NULL, true,
                         "* GenerateContentRequest.{name}: {name} is not specified"},
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, true,
                         "Invalid JSON payload received. Unknown name \"{name}\": Cannot find "
                         "field."},
    [REFUSAL_WRONG_TYPE] = {400, NULL, NULL, true,
                            "Invalid value at '{name}': it should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, NULL, true, "* {name}: {got} is less than {wants}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, NULL, true, "* {name}: {got} is more than {wants}"},
    [REFUSAL_VALUE] = {400, NULL, NULL, true, "* {name}: {wants}"},
    [REFUSAL_BODY] = {400, NULL, NULL, false,
                      "Request payload size exceeds the limit: {wants} bytes."},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "{got} is not allowed here."},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "Requested entity was not found."},
};

/* Vertex requires an account's token. */
static const struct refusal_words refusals_vertex[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false,
                        "Request is missing required authentication credential."},
    [REFUSAL_BAD_KEY] = {401, NULL, NULL, false, "Request had invalid authentication credentials."},
    [REFUSAL_CONTENT_TYPE] = {400, NULL, NULL, true,
                              "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind "
                              "query parameter."},
    [REFUSAL_JSON] = {400, NULL, NULL, false, "Invalid JSON payload received."},
    [REFUSAL_MISSING] = {400, NULL, NULL, true, "The field {name} is required."},
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, true,
                         "Invalid JSON payload received. Unknown name \"{name}\": Cannot find "
                         "field."},
    [REFUSAL_WRONG_TYPE] = {400, NULL, NULL, true,
                            "Invalid value at '{name}': it should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, NULL, true, "{name}: {got} is less than {wants}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, NULL, true, "{name}: {got} is more than {wants}"},
    [REFUSAL_VALUE] = {400, NULL, NULL, true, "{name}: {wants}"},
    [REFUSAL_BODY] = {400, NULL, NULL, false,
                      "Request payload size exceeds the limit: {wants} bytes."},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "{got} is not allowed here."},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "Requested entity was not found."},
};

#define BOTH(one, other, is)                                                                       \
    {one, is, 0, 0},                                                                               \
    {                                                                                              \
        other, is, 0, 0                                                                            \
    }

static const struct field fields[] = {{"contents", FIELD_LIST | FIELD_MUST, 0, 0},
                                      {"model", FIELD_STRING, 0, 0},
                                      FIELD_METADATA,
                                      BOTH("generationConfig", "generation_config", FIELD_OBJECT),
                                      BOTH("systemInstruction", "system_instruction", FIELD_OBJECT),
                                      BOTH("safetySettings", "safety_settings", FIELD_LIST),
                                      BOTH("toolConfig", "tool_config", FIELD_OBJECT),
                                      BOTH("cachedContent", "cached_content", FIELD_STRING),
                                      BOTH("serviceTier", "service_tier", FIELD_STRING),
                                      {"tools", FIELD_LIST, 0, 0},
                                      {"labels", FIELD_OBJECT, 0, 0},
                                      {"store", FIELD_BOOL, 0, 0},
                                      {NULL, 0, 0, 0}};

#define LENGTH                                                                                     \
    {"maxOutputTokens", FIELD_WHOLE, 1, COMPLETION_MAX_TOKENS},                                    \
    {                                                                                              \
        "max_output_tokens", FIELD_WHOLE, 1, COMPLETION_MAX_TOKENS                                 \
    }
#define COUNT                                                                                      \
    {"candidateCount", FIELD_WHOLE, 1, COMPLETION_MAX_CHOICES},                                    \
    {                                                                                              \
        "candidate_count", FIELD_WHOLE, 1, COMPLETION_MAX_CHOICES                                  \
    }

static const struct field config_fields[] = {
    LENGTH,
    COUNT,
    BOTH("stopSequences", "stop_sequences", FIELD_LIST),
    BOTH("responseMimeType", "response_mime_type", FIELD_STRING),
    BOTH("responseSchema", "response_schema", FIELD_OBJECT),
    BOTH("responseJsonSchema", "response_json_schema", FIELD_ANY),
    BOTH("responseModalities", "response_modalities", FIELD_LIST),
    {"temperature", FIELD_NUMBER, 0, 2},
    BOTH("topP", "top_p", FIELD_NUMBER),
    BOTH("topK", "top_k", FIELD_NUMBER),
    {"seed", FIELD_WHOLE, 0, 0},
    BOTH("presencePenalty", "presence_penalty", FIELD_NUMBER),
    BOTH("frequencyPenalty", "frequency_penalty", FIELD_NUMBER),
    BOTH("responseLogprobs", "response_logprobs", FIELD_BOOL),
    {"logprobs", FIELD_WHOLE, 0, 0},
    BOTH("enableEnhancedCivicAnswers", "enable_enhanced_civic_answers", FIELD_BOOL),
    BOTH("speechConfig", "speech_config", FIELD_OBJECT),
    BOTH("thinkingConfig", "thinking_config", FIELD_OBJECT),
    BOTH("imageConfig", "image_config", FIELD_OBJECT),
    BOTH("mediaResolution", "media_resolution", FIELD_STRING),
    {NULL, 0, 0, 0}};

/* A field by either of its names; NULL if absent. */
static struct json_object *either(struct json_object *o, const char *one, const char *other)
{
    struct json_object *found = NULL;
    if (!json_object_object_get_ex(o, one, &found)) {
        json_object_object_get_ex(o, other, &found);
    }
    return found;
}

static int read_contents(struct json_object *root, int64_t *characters, struct complaint *bad)
{
    struct json_object *contents = either(root, "contents", "contents");
    struct json_object *parts;
    if (json_object_array_length(contents) < 1) {
        return complain(bad, REFUSAL_MISSING, "contents", NULL, NULL);
    }
    for (size_t i = 0; i < json_object_array_length(contents); i++) {
        if (!json_object_object_get_ex(json_object_array_get_idx(contents, i), "parts", &parts) ||
            !json_object_is_type(parts, json_type_array)) {
            return read_complain(bad, "contents", "each content must be an object with parts");
        }
        if (read_content(parts, "contents", characters, bad) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_config(struct json_object *root, struct completion *c, struct complaint *bad)
{
    static const char *const names[] = {"maxOutputTokens", "max_output_tokens", "candidateCount",
                                        "candidate_count"};
    struct json_object *config = either(root, "generationConfig", "generation_config");
    if (config == NULL) {
        return 0;
    }
    if (fields_check(config, config_fields, "generation_config.", false, bad) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        read_whole(config, names[i], false, 1, COMPLETION_MAX_TOKENS,
                   i < 2 ? &c->max_output : &c->choices);
    }
    return 0;
}

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    struct json_object *system = either(root, "systemInstruction", "system_instruction");
    struct json_object *parts = NULL;
    if (system) {
        json_object_object_get_ex(system, "parts", &parts);
        if (read_content(parts, "systemInstruction", characters, bad) < 0) {
            return -1;
        }
    }
    if (read_contents(root, characters, bad) < 0) {
        return -1;
    }
    return read_config(root, c, bad);
}

/* Without alt=sse the stream would be one growing JSON array. */
static int objection(struct evhttp_request *req, struct completion *asked, struct complaint *bad)
{
    if (!asked->stream || shape_has_query(req, "alt", "sse")) {
        return 0;
    }
    return read_complain(
        bad, "alt", "This provider streams only server-sent events: add ?alt=sse to the path.");
}

/* ---- Headers: none --------------------------------------------------------------------------- */

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    (void)headers;
    (void)now;
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    (void)headers;
    (void)wait_us;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static const char *status_word(int status)
{
    switch (status) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 500:
        return "INTERNAL";
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return status > 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT";
    }
}

static struct json_object *detail(const char *type)
{
    char url[80];
    snprintf(url, sizeof(url), "type.googleapis.com/google.rpc.%s", type);
    return jo_put_string(json_object_new_object(), "@type", url);
}

static struct json_object *quota_failure(const struct answer_error *error)
{
    bool tokens = error->type && strcmp(error->type, "tokens") == 0;
    struct json_object *violation = json_object_new_object();
    jo_put_string(violation, "quotaMetric",
                  tokens ? "generativelanguage.googleapis.com/"
                           "generate_content_paid_tier_input_token_count"
                         : "generativelanguage.googleapis.com/generate_requests_per_model");
    jo_put_string(violation, "quotaId",
                  tokens ? "GenerateContentPaidTierInputTokensPerModelPerMinute"
                         : "GenerateRequestsPerMinutePerProjectPerModel");
    return jo_put(detail("QuotaFailure"), "violations", jo_list(violation));
}

/* A protobuf duration: seconds, with a fraction only if it is not 0. */
static void duration(char *out, size_t size, int64_t us)
{
    int64_t ms = us / 1000 + (us % 1000 != 0);
    if (ms % 1000 == 0) {
        snprintf(out, size, "%" PRId64 "s", ms / 1000);
    } else {
        snprintf(out, size, "%" PRId64 ".%03" PRId64 "s", ms / 1000, ms % 1000);
    }
}

static struct json_object *details_of_limit(const struct answer_error *error)
{
    char delay[32];
    struct json_object *details = jo_list(quota_failure(error));
    const char *retry_delay = error->retry_delay;
    if (retry_delay == NULL && error->wait_us > 0) {
        duration(delay, sizeof(delay), error->wait_us);
        retry_delay = delay;
    }
    if (retry_delay) {
        json_object_array_add(details,
                              jo_put_string(detail("RetryInfo"), "retryDelay", retry_delay));
    }
    return details;
}

static struct json_object *key_info(void)
{
    struct json_object *o = detail("ErrorInfo");
    jo_put_string(o, "reason", "API_KEY_INVALID");
    return jo_list(jo_put_string(o, "domain", "googleapis.com"));
}

static struct json_object *field_violation(const struct answer_error *error)
{
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "field", error->param);
    jo_put_string(o, "description", error->message);
    return jo_list(jo_put(detail("BadRequest"), "fieldViolations", jo_list(o)));
}

static struct json_object *error_root(const struct answer_error *error)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "code", error->status);
    jo_put_string(o, "message", error->message);
    jo_put_string(o, "status", status_word(error->status));
    if (error->status == 429) {
        jo_put(o, "details", details_of_limit(error));
    } else if (error->code && strcmp(error->code, "API_KEY_INVALID") == 0) {
        jo_put(o, "details", key_info());
    } else if (error->param) {
        jo_put(o, "details", field_violation(error));
    }
    return jo_put(json_object_new_object(), "error", o);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void event(struct evbuffer *out, struct json_object *data)
{
    char *json = jo_render(data);
    evbuffer_add_printf(out, "data: %s\r\n\r\n", json ? json : "{}");
    free(json);
}

static void form_event(struct evbuffer *out, const char *name, struct json_object *data)
{
    (void)name;
    event(out, data);
}

static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    event(out, error_root(error));
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Thoughts are reported apart from the candidates; a stream's piece reports what was used up to it.
 */
static struct json_object *usage(const struct usage *use, int64_t output)
{
    int64_t thoughts = use->reasoning_tokens < output ? use->reasoning_tokens : output;
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "promptTokenCount", use->prompt_tokens);
    if (use->cached_tokens > 0) {
        jo_put_int(o, "cachedContentTokenCount", use->cached_tokens);
    }
    jo_put_int(o, "candidatesTokenCount", output - thoughts);
    if (thoughts > 0) {
        jo_put_int(o, "thoughtsTokenCount", thoughts);
    }
    return jo_put_int(o, "totalTokenCount", use->prompt_tokens + output);
}

static struct json_object *root(const struct reply *r, const char *text, bool done, int64_t output)
{
    char id[48];
    const char *reason = completion_was_cut(r->asked, r->use) ? "MAX_TOKENS" : "STOP";
    struct json_object *candidates = json_object_new_array();
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *part = jo_put_string(json_object_new_object(), "text", text);
        struct json_object *content = jo_put(json_object_new_object(), "parts", jo_list(part));
        struct json_object *candidate = json_object_new_object();
        jo_put(candidate, "content", jo_put_string(content, "role", "model"));
        if (done) {
            jo_put_string(candidate, "finishReason", reason);
        }
        json_object_array_add(candidates, jo_put_int(candidate, "index", i));
    }
    struct json_object *o = jo_put(json_object_new_object(), "candidates", candidates);
    if (r->with_usage) {
        jo_put(o, "usageMetadata", usage(r->use, output));
    }
    jo_put_string(o, "modelVersion", r->asked->model);
    snprintf(id, sizeof(id), "strict%010" PRIu64, r->number);
    return jo_put_string(o, "responseId", id);
}

static char *answer(const struct reply *r)
{
    return jo_render(root(r, SHAPE_TEXT, true, r->use->completion_tokens));
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    int64_t all = r->use->completion_tokens;
    switch (step) {
    case STREAM_BEGIN:
        break;
    case STREAM_PIECE:
        event(out, root(r, SHAPE_PIECE, false, all * (r->piece + 1) / r->pieces));
        break;
    case STREAM_END:
        event(out, root(r, "", true, all));
        break;
    }
}

const struct shape shape_gemini = {
    .name = "gemini",
    .family = "gemini",
    .refusals = refusals,
    .fields = fields,
    .keys = KEY_GOOG_API_KEY | KEY_QUERY | KEY_BEARER,
    .max_body = 20 * MIB,
    .objection = objection,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
    .event = form_event,
};

const struct shape shape_vertex = {
    .name = "vertex",
    .family = "gemini",
    .refusals = refusals_vertex,
    .fields = fields,
    .keys = KEY_BEARER,
    .max_body = 20 * MIB,
    .objection = objection,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
    .event = form_event,
};
