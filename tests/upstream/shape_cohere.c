/*
 * Cohere's chat, version 2. Documented at
 *
 *     https://docs.cohere.com/reference/chat       request, answer; usage.tokens and
 *                                                  usage.billed_units
 *     https://docs.cohere.com/v2/docs/streaming    events, named by the data's type
 *     https://docs.cohere.com/reference/errors     statuses; an error is a message, without a code
 *     https://docs.cohere.com/docs/rate-limits     calls a minute; no headers report them
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "jo.h"
#include "read.h"

static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false, "no api key supplied"},
    [REFUSAL_BAD_KEY] = {401, NULL, NULL, false, "invalid api token"},
    [REFUSAL_CONTENT_TYPE] = {400, NULL, NULL, false,
                              "invalid request: the content type must be application/json"},
    [REFUSAL_JSON] = {400, NULL, NULL, false, "invalid request: the body is not valid JSON"},
    [REFUSAL_MISSING] = {400, NULL, NULL, false, "invalid request: {name} must be provided"},
    [REFUSAL_UNKNOWN] = {422, NULL, NULL, false,
                         "unknown field: parameter '{name}' is not a valid field"},
    [REFUSAL_WRONG_TYPE] = {400, NULL, NULL, false,
                            "invalid type: parameter '{name}' should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, NULL, false,
                           "invalid request: {name} must be at least {wants}, got {got}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, NULL, false,
                           "invalid request: {name} must be at most {wants}, got {got}"},
    [REFUSAL_VALUE] = {400, NULL, NULL, false, "invalid request: {name}: {wants}"},
    [REFUSAL_BODY] = {413, NULL, NULL, false, "the request is larger than {wants} bytes"},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "method {got} not allowed"},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "not found"},
};

static const struct field fields[] = {{"model", FIELD_STRING | FIELD_MUST, 0, 0},
                                      {"messages", FIELD_LIST | FIELD_MUST, 0, 0},
                                      FIELD_METADATA,
                                      {"stream", FIELD_BOOL, 0, 0},
                                      {"max_tokens", FIELD_WHOLE, 0, COMPLETION_MAX_TOKENS},
                                      {"temperature", FIELD_NUMBER, 0, 0},
                                      {"seed", FIELD_WHOLE, 0, 0},
                                      {"frequency_penalty", FIELD_NUMBER, 0, 0},
                                      {"presence_penalty", FIELD_NUMBER, 0, 0},
                                      {"k", FIELD_NUMBER, 0, 0},
                                      {"p", FIELD_NUMBER, 0, 0},
                                      {"stop_sequences", FIELD_LIST, 0, 0},
                                      {"tools", FIELD_LIST, 0, 0},
                                      {"strict_tools", FIELD_BOOL, 0, 0},
                                      {"tool_choice", FIELD_STRING, 0, 0},
                                      {"documents", FIELD_LIST, 0, 0},
                                      {"citation_options", FIELD_OBJECT, 0, 0},
                                      {"response_format", FIELD_OBJECT, 0, 0},
                                      {"safety_mode", FIELD_STRING, 0, 0},
                                      {"logprobs", FIELD_BOOL, 0, 0},
                                      {"thinking", FIELD_OBJECT, 0, 0},
                                      {"priority", FIELD_WHOLE, 0, 999},
                                      {NULL, 0, 0, 0}};

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    read_whole(root, "max_tokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output);
    c->stream = read_true(root, "stream");
    return read_messages(root, "messages", "system user assistant tool ", characters, bad);
}

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    char value[64];
    snprintf(value, sizeof(value), "strict%010" PRIu64, now->number);
    evhttp_add_header(headers, "x-debug-trace-id", value);
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    (void)headers;
    (void)wait_us;
}

static struct json_object *error_root(const struct answer_error *error)
{
    return jo_put_string(json_object_new_object(), "message", error->message);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void event(struct evbuffer *out, const char *type, struct json_object *o)
{
    shape_event(out, type, jo_put_string(o, "type", type));
}

/* A failed stream ends with the reason ERROR and its message. */
static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    struct json_object *delta = jo_put_string(json_object_new_object(), "finish_reason", "ERROR");
    jo_put_string(delta, "error", error->message);
    event(out, "message-end", jo_put(json_object_new_object(), "delta", delta));
}

static struct json_object *two(int64_t input, int64_t output)
{
    struct json_object *o = jo_put_int(json_object_new_object(), "input_tokens", input);
    return jo_put_int(o, "output_tokens", output);
}

/* Billed units leave out what the API adds to a prompt; here it adds nothing. */
static struct json_object *usage(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put(o, "billed_units", two(use->prompt_tokens, use->completion_tokens));
    jo_put(o, "tokens", two(use->prompt_tokens, use->completion_tokens));
    return jo_put_int(o, "cached_tokens", use->cached_tokens);
}

static struct json_object *text_part(const char *text)
{
    return jo_put_string(jo_put_string(json_object_new_object(), "type", "text"), "text", text);
}

static const char *reason(const struct reply *r)
{
    return completion_was_cut(r->asked, r->use) ? "MAX_TOKENS" : "COMPLETE";
}

static void put_id(struct json_object *o, const struct reply *r)
{
    char id[48];
    snprintf(id, sizeof(id), "strict%010" PRIu64, r->number);
    jo_put_string(o, "id", id);
}

static char *answer(const struct reply *r)
{
    struct json_object *message = jo_put_string(json_object_new_object(), "role", "assistant");
    jo_put(message, "content", jo_list(text_part(SHAPE_TEXT)));
    struct json_object *root = json_object_new_object();
    put_id(root, r);
    jo_put(root, "message", message);
    jo_put_string(root, "finish_reason", reason(r));
    if (r->with_usage) {
        jo_put(root, "usage", usage(r->use));
    }
    return jo_render(root);
}

/* An event's delta.message with this `content`. */
static struct json_object *delta(struct json_object *content)
{
    struct json_object *message = jo_put(json_object_new_object(), "content", content);
    return jo_put(json_object_new_object(), "delta",
                  jo_put(json_object_new_object(), "message", message));
}

static void stream_begin(struct evbuffer *out, const struct reply *r)
{
    struct json_object *message = jo_put_string(json_object_new_object(), "role", "assistant");
    jo_put(message, "content", json_object_new_array());
    struct json_object *start = json_object_new_object();
    put_id(start, r);
    jo_put(start, "delta", jo_put(json_object_new_object(), "message", message));
    event(out, "message-start", start);
    event(out, "content-start", jo_put_int(delta(text_part("")), "index", 0));
}

static void stream_end(struct evbuffer *out, const struct reply *r)
{
    struct json_object *end = jo_put_string(json_object_new_object(), "finish_reason", reason(r));
    if (r->with_usage) {
        jo_put(end, "usage", usage(r->use));
    }
    event(out, "content-end", jo_put_int(json_object_new_object(), "index", 0));
    event(out, "message-end", jo_put(json_object_new_object(), "delta", end));
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    switch (step) {
    case STREAM_BEGIN:
        stream_begin(out, r);
        break;
    case STREAM_PIECE:
        event(out, "content-delta",
              jo_put_int(delta(jo_put_string(json_object_new_object(), "text", SHAPE_PIECE)),
                         "index", 0));
        break;
    case STREAM_END:
        stream_end(out, r);
        break;
    }
}

const struct shape shape_cohere = {
    .name = "cohere",
    .family = "cohere",
    .refusals = refusals,
    .fields = fields,
    .keys = KEY_BEARER,
    .max_body = 20 * MIB,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
    .event = shape_typed_event,
};
