/*
 * OpenAI's responses. Documented at
 *
 *     https://platform.openai.com/docs/api-reference/responses/create       request
 *     https://platform.openai.com/docs/api-reference/responses/object       answer, usage
 *     https://platform.openai.com/docs/api-reference/responses-streaming    events; usage in
 *                                                                           response.completed
 *
 * Keys, headers and errors are those of shape_openai.c.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>

#include "jo.h"
#include "read.h"
#include "shape_openai.h"

#define ROLES "developer system user assistant "

static const struct refusal_words refusals_responses[REFUSAL_COUNT] = {
    OPENAI_BODY_REFUSALS,
    OPENAI_REQUEST_REFUSALS,
    [REFUSAL_UNKNOWN] = {400, NULL, "unknown_parameter", true, "Unknown parameter: '{name}'."},
};

static const struct field fields_responses[] = {
    {"model", FIELD_STRING | FIELD_MUST, 0, 0},
    {"input", FIELD_STRING | FIELD_LIST | FIELD_MUST, 0, 0},
    FIELD_METADATA,
    {"instructions", FIELD_STRING, 0, 0},
    {"max_output_tokens", FIELD_WHOLE, 16, COMPLETION_MAX_TOKENS},
    {"max_tool_calls", FIELD_WHOLE, 0, 0},
    {"stream", FIELD_BOOL, 0, 0},
    {"stream_options", FIELD_OBJECT, 0, 0},
    {"background", FIELD_BOOL, 0, 0},
    {"conversation", FIELD_STRING | FIELD_OBJECT, 0, 0},
    {"include", FIELD_LIST, 0, 0},
    {"parallel_tool_calls", FIELD_BOOL, 0, 0},
    {"previous_response_id", FIELD_STRING, 0, 0},
    {"prompt", FIELD_OBJECT, 0, 0},
    {"prompt_cache_key", FIELD_STRING, 0, 0},
    {"prompt_cache_retention", FIELD_STRING, 0, 0},
    {"reasoning", FIELD_OBJECT, 0, 0},
    {"safety_identifier", FIELD_STRING, 0, 0},
    {"service_tier", FIELD_STRING, 0, 0},
    {"store", FIELD_BOOL, 0, 0},
    {"temperature", FIELD_NUMBER, 0, 2},
    {"text", FIELD_OBJECT, 0, 0},
    {"tool_choice", FIELD_STRING | FIELD_OBJECT, 0, 0},
    {"tools", FIELD_LIST, 0, 0},
    {"top_logprobs", FIELD_WHOLE, 0, 20},
    {"top_p", FIELD_NUMBER, 0, 1},
    {"truncation", FIELD_STRING, 0, 0},
    {"user", FIELD_STRING, 0, 0},
    {NULL, 0, 0, 0}};

static int read_responses(struct json_object *root, struct completion *c, int64_t *characters,
                          struct complaint *bad)
{
    struct json_object *input;
    struct json_object *instructions = NULL;
    c->stream = read_true(root, "stream");
    read_whole(root, "max_output_tokens", false, 16, COMPLETION_MAX_TOKENS, &c->max_output);
    json_object_object_get_ex(root, "instructions", &instructions);
    if (read_content(instructions, "instructions", characters, bad) < 0) {
        return -1;
    }
    if (json_object_object_get_ex(root, "input", &input) &&
        json_object_is_type(input, json_type_string)) {
        return read_content(input, "input", characters, bad);
    }
    return read_messages(root, "input", ROLES, characters, bad);
}

static void stream_error_responses(struct evbuffer *out, const struct answer_error *error)
{
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "type", "error");
    jo_put_string(o, "code", error->code ? error->code : "server_error");
    jo_put_string(o, "message", error->message);
    jo_put_string(o, "param", NULL);
    shape_event(out, "error", o);
}

static struct json_object *usage_responses(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "input_tokens", use->prompt_tokens);
    jo_put(o, "input_tokens_details", openai_details("cached_tokens", use->cached_tokens));
    jo_put_int(o, "output_tokens", use->completion_tokens);
    jo_put(o, "output_tokens_details", openai_details("reasoning_tokens", use->reasoning_tokens));
    return jo_put_int(o, "total_tokens", use->prompt_tokens + use->completion_tokens);
}

static struct json_object *text_part(const char *text)
{
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "type", "output_text");
    jo_put_string(o, "text", text);
    return jo_put(o, "annotations", json_object_new_array());
}

static void item_id(char *id, size_t size, const struct reply *r)
{
    snprintf(id, size, "msg_strict%010" PRIu64, r->number);
}

static struct json_object *output_item(const struct reply *r, const char *status, const char *text)
{
    char id[48];
    item_id(id, sizeof(id), r);
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "id", id);
    jo_put_string(o, "type", "message");
    jo_put_string(o, "status", status);
    jo_put_string(o, "role", "assistant");
    return jo_put(o, "content", text ? jo_list(text_part(text)) : json_object_new_array());
}

static struct json_object *response_object(const struct reply *r, bool done)
{
    char id[48];
    bool cut = done && completion_was_cut(r->asked, r->use);
    const char *status = !done ? "in_progress" : cut ? "incomplete" : "completed";
    snprintf(id, sizeof(id), "resp_strict%010" PRIu64, r->number);
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "id", id);
    jo_put_string(o, "object", "response");
    jo_put_int(o, "created_at", r->created_s);
    jo_put_string(o, "status", status);
    jo_put(o, "error", NULL);
    jo_put(o, "incomplete_details",
           cut ? jo_put_string(json_object_new_object(), "reason", "max_output_tokens") : NULL);
    jo_put_int(o, "max_output_tokens", r->asked->max_output);
    jo_put_string(o, "model", r->asked->model);
    jo_put(o, "output",
           done ? jo_list(output_item(r, status, SHAPE_TEXT)) : json_object_new_array());
    return jo_put(o, "usage", done && r->with_usage ? usage_responses(r->use) : NULL);
}

static char *answer_responses(const struct reply *r)
{
    return jo_render(response_object(r, true));
}

/* Takes o, adds what all events of a response have, and appends it. */
static void event_responses(struct evbuffer *out, const char *type, int64_t sequence,
                            struct json_object *o)
{
    jo_put_string(o, "type", type);
    jo_put_int(o, "sequence_number", sequence);
    shape_event(out, type, o);
}

/* An event about the one part of the one item. */
static struct json_object *about_part(const struct reply *r, const char *name,
                                      struct json_object *value)
{
    char id[48];
    item_id(id, sizeof(id), r);
    struct json_object *o = jo_put_string(json_object_new_object(), "item_id", id);
    jo_put_int(o, "output_index", 0);
    jo_put_int(o, "content_index", 0);
    return jo_put(o, name, value);
}

static struct json_object *about_item(struct json_object *item)
{
    return jo_put(jo_put_int(json_object_new_object(), "output_index", 0), "item", item);
}

static void stream_responses(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    int64_t end = 4 + r->pieces;
    switch (step) {
    case STREAM_BEGIN:
        event_responses(out, "response.created", 0,
                        jo_put(json_object_new_object(), "response", response_object(r, false)));
        event_responses(out, "response.in_progress", 1,
                        jo_put(json_object_new_object(), "response", response_object(r, false)));
        event_responses(out, "response.output_item.added", 2,
                        about_item(output_item(r, "in_progress", NULL)));
        event_responses(out, "response.content_part.added", 3,
                        about_part(r, "part", text_part("")));
        break;
    case STREAM_PIECE:
        event_responses(out, "response.output_text.delta", 4 + r->piece,
                        about_part(r, "delta", jo_string(SHAPE_PIECE)));
        break;
    case STREAM_END:
        event_responses(out, "response.output_text.done", end,
                        about_part(r, "text", jo_string(SHAPE_TEXT)));
        event_responses(out, "response.content_part.done", end + 1,
                        about_part(r, "part", text_part(SHAPE_TEXT)));
        event_responses(out, "response.output_item.done", end + 2,
                        about_item(output_item(r, "completed", SHAPE_TEXT)));
        event_responses(
            out,
            completion_was_cut(r->asked, r->use) ? "response.incomplete" : "response.completed",
            end + 3, jo_put(json_object_new_object(), "response", response_object(r, true)));
        break;
    }
}

const struct shape shape_openai_responses = {
    .name = "openai-responses",
    .family = "responses",
    .refusals = refusals_responses,
    .fields = fields_responses,
    .keys = KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .read = read_responses,
    .limits = openai_limits,
    .wait = openai_wait,
    .answer = answer_responses,
    .error = openai_error,
    .stream = stream_responses,
    .stream_error = stream_error_responses,
    .event = shape_typed_event,
};
