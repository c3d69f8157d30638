/*
 * Anthropic's messages. Documented at
 *
 *     https://platform.claude.com/docs/en/api/messages
 *         request, answer, usage
 *     https://platform.claude.com/docs/en/build-with-claude/streaming
 *         events; output_tokens is cumulative
 *     https://platform.claude.com/docs/en/build-with-claude/prompt-caching
 *         the three input fields add up
 *     https://platform.claude.com/docs/en/api/rate-limits
 *         headers, RFC 3339 resets, retry-after, enforced_spend_limit_reached
 *     https://platform.claude.com/docs/en/api/errors
 *         errors and their types
 *
 * This provider has one token limit, so the headers for input, output and all tokens say the same.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "jo.h"
#include "read.h"

/* ---- Requests -------------------------------------------------------------------------------- */

/* https://platform.claude.com/docs/en/api/errors has types and statuses; the words are those of the
 * validator that the API uses for bodies. */
static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false, "x-api-key header is required"},
    [REFUSAL_BAD_KEY] = {401, NULL, NULL, false, "invalid x-api-key"},
    [REFUSAL_CONTENT_TYPE] = {400, NULL, NULL, false,
                              "Content-Type must be application/json, not '{got}'"},
    [REFUSAL_JSON] = {400, NULL, NULL, false, "The request body is not valid JSON"},
    [REFUSAL_MISSING] = {400, NULL, NULL, false, "{name}: Field required"},
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, false, "{name}: Extra inputs are not permitted"},
    [REFUSAL_WRONG_TYPE] = {400, NULL, NULL, false, "{name}: Input should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, NULL, false,
                           "{name}: Input should be greater than or equal to {wants}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, NULL, false,
                           "{name}: Input should be less than or equal to {wants}"},
    [REFUSAL_VALUE] = {400, NULL, NULL, false, "{name}: {wants}"},
    [REFUSAL_BODY] = {413, NULL, NULL, false, "Request exceeds the maximum size of {wants} bytes"},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "Method Not Allowed"},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "Not Found"},
};

static const struct field fields[] = {
    {"model", FIELD_STRING | FIELD_MUST, 0, 0},
    {"messages", FIELD_LIST | FIELD_MUST, 0, 0},
    {"max_tokens", FIELD_WHOLE | FIELD_MUST, 1, COMPLETION_MAX_TOKENS},
    FIELD_METADATA,
    {"cache_control", FIELD_OBJECT, 0, 0},
    {"container", FIELD_STRING | FIELD_OBJECT, 0, 0},
    {"context_management", FIELD_OBJECT, 0, 0},
    {"inference_geo", FIELD_STRING, 0, 0},
    {"mcp_servers", FIELD_LIST, 0, 0},
    {"output_config", FIELD_OBJECT, 0, 0},
    {"output_format", FIELD_OBJECT, 0, 0},
    {"service_tier", FIELD_STRING, 0, 0},
    {"speed", FIELD_STRING, 0, 0},
    {"stop_sequences", FIELD_LIST, 0, 0},
    {"stream", FIELD_BOOL, 0, 0},
    {"system", FIELD_STRING | FIELD_LIST, 0, 0},
    {"temperature", FIELD_NUMBER, 0, 1},
    {"thinking", FIELD_OBJECT, 0, 0},
    {"tool_choice", FIELD_OBJECT, 0, 0},
    {"tools", FIELD_LIST, 0, 0},
    {"top_k", FIELD_WHOLE, 0, 0},
    {"top_p", FIELD_NUMBER, 0, 1},
    {NULL, 0, 0, 0}};

/* https://platform.claude.com/docs/en/api/versioning; since the last of them the API takes no
 * sampling parameters. */
static int objection(struct evhttp_request *req, struct completion *asked, struct complaint *bad)
{
    static const char *const versions[] = {"2023-01-01", "2023-06-01", "2026-10-21"};
    const char *version = shape_header(req, "anthropic-version");
    if (version == NULL) {
        return read_complain(bad, "anthropic-version", "header is required");
    }
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (strcmp(version, versions[i]) == 0) {
            asked->no_sampling = i == 2;
            return 0;
        }
    }
    return read_complain(bad, "anthropic-version", "is not a valid version");
}

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    static const char *const sampling[] = {"temperature", "top_p", "top_k"};
    struct json_object *system = NULL;
    for (size_t i = 0; c->no_sampling && i < sizeof(sampling) / sizeof(sampling[0]); i++) {
        if (json_object_object_get_ex(root, sampling[i], NULL)) {
            return complain(bad, REFUSAL_UNKNOWN, sampling[i], NULL, NULL);
        }
    }
    c->stream = read_true(root, "stream");
    read_whole(root, "max_tokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output);
    json_object_object_get_ex(root, "system", &system);
    if (read_content(system, "system", characters, bad) < 0) {
        return -1;
    }
    return read_messages(root, "messages", "user assistant ", characters, bad);
}

/* ---- Headers --------------------------------------------------------------------------------- */

static const char *rfc3339(char *out, size_t size, int64_t wall_us)
{
    time_t seconds = (time_t)shape_seconds(wall_us);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

static void put_limit(struct evkeyvalq *headers, const char *which, int64_t limit, int64_t left,
                      int64_t reset_wall_us)
{
    char name[80];
    char value[40];
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-limit", which);
    shape_add_number(headers, name, limit);
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-remaining", which);
    shape_add_number(headers, name, left);
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-reset", which);
    evhttp_add_header(headers, name, rfc3339(value, sizeof(value), reset_wall_us));
}

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    static const char *const of_tokens[] = {"tokens", "input-tokens", "output-tokens"};
    char value[64];
    snprintf(value, sizeof(value), "req_strict%010" PRIu64, now->number);
    evhttp_add_header(headers, "request-id", value);
    put_limit(headers, "requests", now->rpm, now->view.requests_left,
              now->wall_us + now->view.requests_reset_us);
    int64_t rounded =
        (now->view.tokens_left + 500) / 1000 * 1000; /* as documented: to the nearest */
    for (size_t i = 0; i < sizeof(of_tokens) / sizeof(of_tokens[0]); i++) {
        put_limit(headers, of_tokens[i], now->tpm, rounded,
                  now->wall_us + now->view.tokens_reset_us);
    }
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    shape_add_number(headers, "retry-after", shape_seconds(wait_us));
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 402:
        return "billing_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 504:
        return "timeout_error";
    case 529:
        return "overloaded_error";
    default:
        return status >= 500 ? "api_error" : "invalid_request_error";
    }
}

/* Only for a spend limit does the code say more than the type. */
static struct json_object *error_root(const struct answer_error *error)
{
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "type", error_type(error->status));
    jo_put_string(o, "message", error->message);
    if (error->code && strcmp(error->code, "enforced_spend_limit_reached") == 0) {
        jo_put(o, "details", jo_put_string(json_object_new_object(), "error_code", error->code));
    }
    return jo_put(jo_put_string(json_object_new_object(), "type", "error"), "error", o);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    shape_event(out, "error", error_root(error));
}

/* ---- Answers --------------------------------------------------------------------------------- */

static struct json_object *usage(const struct usage *use, int64_t output)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "input_tokens",
               use->prompt_tokens - use->cached_tokens - use->cache_write_tokens);
    jo_put_int(o, "cache_creation_input_tokens", use->cache_write_tokens);
    jo_put_int(o, "cache_read_input_tokens", use->cached_tokens);
    return jo_put_int(o, "output_tokens", output);
}

static const char *stop_reason(const struct reply *r)
{
    return completion_was_cut(r->asked, r->use) ? "max_tokens" : "end_turn";
}

static struct json_object *text_block(const char *text)
{
    return jo_put_string(jo_put_string(json_object_new_object(), "type", "text"), "text", text);
}

static struct json_object *message(const struct reply *r, struct json_object *content,
                                   const char *reason, int64_t output)
{
    char id[48];
    snprintf(id, sizeof(id), "msg_strict%010" PRIu64, r->number);
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "id", id);
    jo_put_string(o, "type", "message");
    jo_put_string(o, "role", "assistant");
    jo_put_string(o, "model", r->asked->model);
    jo_put(o, "content", content);
    jo_put_string(o, "stop_reason", reason);
    jo_put_string(o, "stop_sequence", NULL);
    if (r->with_usage) {
        jo_put(o, "usage", usage(r->use, output));
    }
    return o;
}

static char *answer(const struct reply *r)
{
    return jo_render(
        message(r, jo_list(text_block(SHAPE_TEXT)), stop_reason(r), r->use->completion_tokens));
}

static void event(struct evbuffer *out, const char *type, struct json_object *o)
{
    shape_event(out, type, jo_put_string(o, "type", type));
}

static struct json_object *of_block(const char *name, struct json_object *value)
{
    struct json_object *o = jo_put_int(json_object_new_object(), "index", 0);
    return name ? jo_put(o, name, value) : o;
}

static void stream_end(struct evbuffer *out, const struct reply *r)
{
    struct json_object *delta = json_object_new_object();
    jo_put_string(delta, "stop_reason", stop_reason(r));
    jo_put_string(delta, "stop_sequence", NULL);
    struct json_object *o = jo_put(json_object_new_object(), "delta", delta);
    if (r->with_usage) {
        jo_put(o, "usage",
               jo_put_int(json_object_new_object(), "output_tokens", r->use->completion_tokens));
    }
    event(out, "content_block_stop", of_block(NULL, NULL));
    event(out, "message_delta", o);
    event(out, "message_stop", json_object_new_object());
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    switch (step) {
    case STREAM_BEGIN:
        event(out, "message_start",
              jo_put(json_object_new_object(), "message",
                     message(r, json_object_new_array(), NULL, r->use->completion_tokens > 0)));
        event(out, "content_block_start", of_block("content_block", text_block("")));
        event(out, "ping", json_object_new_object());
        break;
    case STREAM_PIECE:
        event(out, "content_block_delta",
              of_block("delta",
                       jo_put_string(jo_put_string(json_object_new_object(), "type", "text_delta"),
                                     "text", SHAPE_PIECE)));
        break;
    case STREAM_END:
        stream_end(out, r);
        break;
    }
}

const struct shape shape_anthropic = {
    .name = "anthropic",
    .family = "anthropic",
    .refusals = refusals,
    .fields = fields,
    .keys = KEY_X_API_KEY | KEY_BEARER,
    .max_body = 32 * MIB,
    .objection = objection,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
    .event = shape_typed_event,
};
