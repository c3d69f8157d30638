/*
 * Bedrock's Converse. Documented at
 *
 *     https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
 *         request, answer, errors
 *     https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
 *         events, exceptions
 *     https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
 *         a key as a bearer token
 *     https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
 *         x-amzn-ErrorType; 415
 *
 * A request carries a key or a signature (sigv4.c, --aws-secret). Answers have neither rate limit
 * headers nor waits. The lengths of prompt and answer may be in `metadata`, as in every shape, or
 * in `requestMetadata`, the API's own field.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "frame.h"
#include "jo.h"
#include "read.h"

static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {403, NULL, "MissingAuthenticationTokenException", false,
                        "Missing Authentication Token"},
    [REFUSAL_BAD_KEY] = {403, NULL, "UnrecognizedClientException", false,
                         "The security token included in the request is invalid. {wants}"},
    [REFUSAL_CONTENT_TYPE] = {415, NULL, "UnsupportedMediaTypeException", false,
                              "The content type '{got}' is not application/json."},
    [REFUSAL_JSON] = {400, NULL, "SerializationException", false,
                      "The request body is not valid JSON."},
    [REFUSAL_MISSING] = {400, NULL, "ValidationException", false,
                         "1 validation error detected: Value at '{name}' failed to satisfy "
                         "constraint: Member must not be null"},
    [REFUSAL_UNKNOWN] = {400, NULL, "ValidationException", false,
                         "extraneous key [{name}] is not permitted"},
    [REFUSAL_WRONG_TYPE] = {400, NULL, "SerializationException", false,
                            "'{name}' should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, "ValidationException", false,
                           "1 validation error detected: Value '{got}' at '{name}' failed to "
                           "satisfy constraint: Member must have value greater than or equal to "
                           "{wants}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, "ValidationException", false,
                           "1 validation error detected: Value '{got}' at '{name}' failed to "
                           "satisfy constraint: Member must have value less than or equal to "
                           "{wants}"},
    [REFUSAL_VALUE] = {400, NULL, "ValidationException", false, "{name}: {wants}"},
    [REFUSAL_BODY] = {413, NULL, "RequestEntityTooLargeException", false,
                      "The request is larger than {wants} bytes."},
    [REFUSAL_METHOD] = {405, NULL, "MethodNotAllowedException", false, "{got} is not allowed."},
    [REFUSAL_PATH] = {404, NULL, "UnknownOperationException", false, "{name} is no operation."},
};

static const struct field fields[] = {{"messages", FIELD_LIST | FIELD_MUST, 0, 0},
                                      FIELD_METADATA,
                                      {"requestMetadata", FIELD_OBJECT, 0, 0},
                                      {"system", FIELD_LIST, 0, 0},
                                      {"inferenceConfig", FIELD_OBJECT, 0, 0},
                                      {"toolConfig", FIELD_OBJECT, 0, 0},
                                      {"guardrailConfig", FIELD_OBJECT, 0, 0},
                                      {"additionalModelRequestFields", FIELD_ANY, 0, 0},
                                      {"additionalModelResponseFieldPaths", FIELD_LIST, 0, 0},
                                      {"promptVariables", FIELD_OBJECT, 0, 0},
                                      {"performanceConfig", FIELD_OBJECT, 0, 0},
                                      {"serviceTier", FIELD_OBJECT, 0, 0},
                                      {"outputConfig", FIELD_OBJECT, 0, 0},
                                      {NULL, 0, 0, 0}};

static const struct field config_fields[] = {{"maxTokens", FIELD_WHOLE, 1, COMPLETION_MAX_TOKENS},
                                             {"temperature", FIELD_NUMBER, 0, 1},
                                             {"topP", FIELD_NUMBER, 0, 1},
                                             {"stopSequences", FIELD_LIST, 0, 0},
                                             {NULL, 0, 0, 0}};

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    struct json_object *config;
    struct json_object *system = NULL;
    struct json_object *metadata;
    if (json_object_object_get_ex(root, "inferenceConfig", &config) && config) {
        if (fields_check(config, config_fields, "inferenceConfig.", true, bad) < 0) {
            return -1;
        }
        read_whole(config, "maxTokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output);
    }
    if (json_object_object_get_ex(root, "requestMetadata", &metadata) &&
        !json_object_object_get_ex(root, "metadata", NULL)) {
        json_object_object_add(root, "metadata", json_object_get(metadata));
    }
    json_object_object_get_ex(root, "system", &system);
    if (read_content(system, "system", characters, bad) < 0) {
        return -1;
    }
    return read_messages(root, "messages", "user assistant ", characters, bad);
}

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    char value[64];
    snprintf(value, sizeof(value), "strict-%010" PRIu64, now->number);
    evhttp_add_header(headers, "x-amzn-RequestId", value);
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    (void)headers;
    (void)wait_us;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static const char *error_name(const struct answer_error *error)
{
    if (error->code && strstr(error->code, "Exception")) {
        return error->code;
    }
    switch (error->status) {
    case 403:
        return "AccessDeniedException";
    case 404:
        return "ResourceNotFoundException";
    case 408:
        return "ModelTimeoutException";
    case 429:
        return "ThrottlingException";
    case 503:
        return "ServiceUnavailableException";
    default:
        return error->status < 500 ? "ValidationException" : "InternalServerException";
    }
}

static void error_headers(struct evkeyvalq *headers, const struct answer_error *error)
{
    char value[160];
    snprintf(value, sizeof(value), "%.60s:http://internal.amazon.com/coral/com.amazon.bedrock/",
             error_name(error));
    evhttp_add_header(headers, "x-amzn-ErrorType", value);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(jo_put_string(json_object_new_object(), "message", error->message));
}

static void message(struct evbuffer *out, const char *type, const char *name,
                    struct json_object *data)
{
    char *json = jo_render(data);
    const char *payload = json ? json : "{}";
    frame_append(out, type, name, payload, strlen(payload));
    free(json);
}

/* An exception's name is its type with a lower-case first letter. */
static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    char name[64];
    snprintf(name, sizeof(name), "%s", error_name(error));
    name[0] = (char)(name[0] | 0x20);
    message(out, "exception", name,
            jo_put_string(json_object_new_object(), "message", error->message));
}

/* An event of a form is an exception if its name ends in Exception. */
static void form_event(struct evbuffer *out, const char *name, struct json_object *data)
{
    bool exception = name && strstr(name, "Exception");
    message(out, exception ? "exception" : "event", name ? name : "unknown", data);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static struct json_object *usage(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "inputTokens", use->prompt_tokens - use->cached_tokens - use->cache_write_tokens);
    jo_put_int(o, "outputTokens", use->completion_tokens);
    jo_put_int(o, "totalTokens", use->prompt_tokens + use->completion_tokens);
    jo_put_int(o, "cacheReadInputTokens", use->cached_tokens);
    return jo_put_int(o, "cacheWriteInputTokens", use->cache_write_tokens);
}

static const char *stop_reason(const struct reply *r)
{
    return completion_was_cut(r->asked, r->use) ? "max_tokens" : "end_turn";
}

static struct json_object *metrics(void)
{
    return jo_put_int(json_object_new_object(), "latencyMs", 20);
}

static char *answer(const struct reply *r)
{
    struct json_object *said = jo_put_string(json_object_new_object(), "role", "assistant");
    jo_put(said, "content", jo_list(jo_put_string(json_object_new_object(), "text", SHAPE_TEXT)));
    struct json_object *root = json_object_new_object();
    jo_put(root, "output", jo_put(json_object_new_object(), "message", said));
    jo_put_string(root, "stopReason", stop_reason(r));
    if (r->with_usage) {
        jo_put(root, "usage", usage(r->use));
    }
    return jo_render(jo_put(root, "metrics", metrics()));
}

static void event(struct evbuffer *out, const char *name, struct json_object *data)
{
    message(out, "event", name, data);
}

static void stream_end(struct evbuffer *out, const struct reply *r)
{
    struct json_object *last = jo_put(json_object_new_object(), "metrics", metrics());
    if (r->with_usage) {
        jo_put(last, "usage", usage(r->use));
    }
    event(out, "contentBlockStop", jo_put_int(json_object_new_object(), "contentBlockIndex", 0));
    event(out, "messageStop",
          jo_put_string(json_object_new_object(), "stopReason", stop_reason(r)));
    event(out, "metadata", last);
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    struct json_object *delta;
    switch (step) {
    case STREAM_BEGIN:
        event(out, "messageStart", jo_put_string(json_object_new_object(), "role", "assistant"));
        break;
    case STREAM_PIECE:
        delta = jo_put_string(json_object_new_object(), "text", SHAPE_PIECE);
        event(out, "contentBlockDelta",
              jo_put(jo_put_int(json_object_new_object(), "contentBlockIndex", 0), "delta", delta));
        break;
    case STREAM_END:
        stream_end(out, r);
        break;
    }
}

const struct shape shape_bedrock = {
    .name = "bedrock",
    .family = "bedrock",
    .refusals = refusals,
    .fields = fields,
    .lenient = true,
    .keys = KEY_BEARER | KEY_SIGV4,
    .max_body = 25 * MIB,
    .stream_type = "application/vnd.amazon.eventstream",
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .error_headers = error_headers,
    .stream = stream,
    .stream_error = stream_error,
    .event = form_event,
};
