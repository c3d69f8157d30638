/*
 * OpenAI's chat completions and responses, and Azure's chat completions, which differ from the first in their key, headers
 * and errors. Documented at
 *
 *     https://platform.openai.com/docs/api-reference/chat/object             the answer, usage
 *     https://platform.openai.com/docs/api-reference/chat-streaming          chunks; usage with stream_options
 *     https://platform.openai.com/docs/api-reference/responses/object        the answer, usage
 *     https://platform.openai.com/docs/api-reference/responses-streaming     its events
 *     https://platform.openai.com/docs/guides/rate-limits                    x-ratelimit-*: resets as 1s, 6m0s
 *     https://platform.openai.com/docs/guides/error-codes                    errors, insufficient_quota
 *     https://learn.microsoft.com/azure/ai-foundry/openai/reference          Azure: path, api-key, api-version
 *     https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota       Azure: x-ratelimit-*, retry-after-ms
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "answer.h"
#include "jo.h"
#include "read.h"

/* ---- Requests ---- */

static int read_lengths(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *field;
    const char *name = "max_completion_tokens"; /* the newer name wins where both are there */
    if (!json_object_object_get_ex(root, name, &field) || field == NULL) {
        name = "max_tokens";
    }
    if (!read_whole(root, name, false, 1, COMPLETION_MAX_TOKENS, &c->max_output)) {
        return read_complain(bad, name, "max_tokens must be a whole number from 1 to 1000000000");
    }
    if (!read_whole(root, "n", false, 1, COMPLETION_MAX_CHOICES, &c->choices)) {
        return read_complain(bad, "n", "n must be a whole number from 1 to 128");
    }
    return 0;
}

static int read_chat(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    struct json_object *options;
    c->stream = read_true(root, "stream");
    c->stream_usage = json_object_object_get_ex(root, "stream_options", &options) &&
                      json_object_is_type(options, json_type_object) &&
                      read_true(options, "include_usage");
    if (read_messages(root, "messages", characters, bad) < 0) {
        return -1;
    }
    return read_lengths(root, c, bad);
}

static int read_responses(struct json_object *root, struct completion *c, int64_t *characters,
                          struct complaint *bad)
{
    struct json_object *input;
    struct json_object *instructions = NULL;
    c->stream = read_true(root, "stream");
    if (!read_whole(root, "max_output_tokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output)) {
        return read_complain(bad, "max_output_tokens",
                             "max_output_tokens must be a whole number from 1 to 1000000000");
    }
    json_object_object_get_ex(root, "instructions", &instructions);
    if (read_content(instructions, "instructions", characters, bad) < 0) {
        return -1;
    }
    if (json_object_object_get_ex(root, "input", &input) &&
        json_object_is_type(input, json_type_string)) {
        return read_content(input, "input", characters, bad);
    }
    return read_messages(root, "input", characters, bad);
}

static bool authorized_azure(struct evhttp_request *req)
{
    return shape_has_header(req, "api-key") || shape_has_bearer(req);
}

static const char *objection_azure(struct evhttp_request *req)
{
    return shape_has_query(req, "api-version", NULL)
               ? NULL
               : "The parameter api-version is missing: add ?api-version=2024-10-21 to the path.";
}

/* ---- Headers ---- */

static void limits_openai(struct evkeyvalq *headers, const struct limits_now *now)
{
    char value[64];
    snprintf(value, sizeof(value), "req_strict%010" PRIu64, now->number);
    evhttp_add_header(headers, "x-request-id", value);
    shape_add_number(headers, "x-ratelimit-limit-requests", now->rpm);
    shape_add_number(headers, "x-ratelimit-remaining-requests", now->view.requests_left);
    evhttp_add_header(headers, "x-ratelimit-reset-requests",
                      answer_duration(value, sizeof(value), now->view.requests_reset_us));
    shape_add_number(headers, "x-ratelimit-limit-tokens", now->tpm);
    shape_add_number(headers, "x-ratelimit-remaining-tokens", now->view.tokens_left);
    evhttp_add_header(headers, "x-ratelimit-reset-tokens",
                      answer_duration(value, sizeof(value), now->view.tokens_reset_us));
}

static void wait_openai(struct evkeyvalq *headers, int64_t wait_us)
{
    shape_add_number(headers, "Retry-After", shape_seconds(wait_us));
    shape_add_number(headers, "retry-after-ms", wait_us / 1000 + (wait_us % 1000 != 0));
}

static void limits_azure(struct evkeyvalq *headers, const struct limits_now *now)
{
    char value[64];
    snprintf(value, sizeof(value), "strict-%010" PRIu64, now->number);
    evhttp_add_header(headers, "apim-request-id", value);
    shape_add_number(headers, "x-ratelimit-limit-requests", now->rpm);
    shape_add_number(headers, "x-ratelimit-remaining-requests", now->view.requests_left);
    shape_add_number(headers, "x-ratelimit-reset-requests",
                     shape_seconds(now->view.requests_reset_us));
    shape_add_number(headers, "x-ratelimit-limit-tokens", now->tpm);
    shape_add_number(headers, "x-ratelimit-remaining-tokens", now->view.tokens_left);
    shape_add_number(headers, "x-ratelimit-reset-tokens", shape_seconds(now->view.tokens_reset_us));
}

static void wait_azure(struct evkeyvalq *headers, int64_t wait_us)
{
    wait_openai(headers, wait_us);
    shape_add_number(headers, "x-ms-retry-after-ms", wait_us / 1000 + (wait_us % 1000 != 0));
}

/* ---- Errors ---- */

static struct json_object *error_object(const struct answer_error *error)
{
    const char *type = error->status >= 500 ? "server_error" : "invalid_request_error";
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "message", error->message);
    jo_put_string(o, "type", error->type ? error->type : type);
    jo_put_string(o, "param", error->param);
    return jo_put_string(o, "code", error->code);
}

static char *error_openai(const struct answer_error *error)
{
    return jo_render(jo_put(json_object_new_object(), "error", error_object(error)));
}

/* The gateway in front of Azure's models refuses with a code and a message; what the model itself refuses looks as
 * OpenAI's. */
static char *error_azure(const struct answer_error *error)
{
    char code[16];
    if (error->status == 400 || error->status == 422) {
        return error_openai(error);
    }
    snprintf(code, sizeof(code), "%d", error->status);
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "code", code);
    jo_put_string(o, "message", error->message);
    return jo_render(jo_put(json_object_new_object(), "error", o));
}

static void stream_error_chat(struct evbuffer *out, const struct answer_error *error)
{
    shape_event(out, NULL, jo_put(json_object_new_object(), "error", error_object(error)));
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

/* ---- Chat ---- */

static struct json_object *details(const char *name, int64_t n)
{
    return jo_put_int(json_object_new_object(), name, n);
}

static struct json_object *usage_chat(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "prompt_tokens", use->prompt_tokens);
    jo_put_int(o, "completion_tokens", use->completion_tokens);
    jo_put_int(o, "total_tokens", use->prompt_tokens + use->completion_tokens);
    jo_put(o, "prompt_tokens_details", details("cached_tokens", use->cached_tokens));
    return jo_put(o, "completion_tokens_details",
                  details("reasoning_tokens", use->reasoning_tokens));
}

static const char *finish_chat(const struct reply *r)
{
    return completion_was_cut(r->asked, r->use) ? "length" : "stop";
}

static struct json_object *root_chat(const struct reply *r, const char *object)
{
    char id[48];
    snprintf(id, sizeof(id), "chatcmpl-strict%010" PRIu64, r->number);
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "id", id);
    jo_put_string(o, "object", object);
    jo_put_int(o, "created", r->created_s);
    return jo_put_string(o, "model", r->asked->model);
}

static char *answer_chat(const struct reply *r)
{
    struct json_object *choices = json_object_new_array();
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *message = json_object_new_object();
        jo_put_string(message, "role", "assistant");
        jo_put_string(message, "content", SHAPE_TEXT);
        jo_put_string(message, "refusal", NULL);
        struct json_object *choice = json_object_new_object();
        jo_put_int(choice, "index", i);
        jo_put(choice, "message", message);
        jo_put(choice, "logprobs", NULL);
        jo_put_string(choice, "finish_reason", finish_chat(r));
        json_object_array_add(choices, choice);
    }
    struct json_object *root = jo_put(root_chat(r, "chat.completion"), "choices", choices);
    if (r->with_usage) {
        jo_put(root, "usage", usage_chat(r->use));
    }
    return jo_render(root);
}

static void chunk_chat(struct evbuffer *out, const struct reply *r, struct json_object *choices,
                       bool usage)
{
    struct json_object *root = jo_put(root_chat(r, "chat.completion.chunk"), "choices", choices);
    if (r->with_usage) {
        jo_put(root, "usage", usage ? usage_chat(r->use) : NULL);
    }
    shape_event(out, NULL, root);
}

static struct json_object *delta_chat(const struct reply *r, enum stream_step step)
{
    struct json_object *delta = json_object_new_object();
    if (step == STREAM_BEGIN) {
        jo_put_string(delta, "role", "assistant");
        jo_put_string(delta, "content", "");
    } else if (step == STREAM_PIECE) {
        jo_put_string(delta, "content", SHAPE_PIECE);
    }
    (void)r;
    return delta;
}

static void stream_chat(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *choice = json_object_new_object();
        jo_put_int(choice, "index", i);
        jo_put(choice, "delta", delta_chat(r, step));
        jo_put(choice, "logprobs", NULL);
        jo_put_string(choice, "finish_reason", step == STREAM_END ? finish_chat(r) : NULL);
        chunk_chat(out, r, jo_list(choice), false);
    }
    if (step == STREAM_END) {
        if (r->with_usage) {
            chunk_chat(out, r, json_object_new_array(), true);
        }
        evbuffer_add_printf(out, "data: [DONE]\n\n");
    }
}

/* ---- Responses ---- */

static struct json_object *usage_responses(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "input_tokens", use->prompt_tokens);
    jo_put(o, "input_tokens_details", details("cached_tokens", use->cached_tokens));
    jo_put_int(o, "output_tokens", use->completion_tokens);
    jo_put(o, "output_tokens_details", details("reasoning_tokens", use->reasoning_tokens));
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

/* Takes o, and puts into it what all events of a response have. */
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

/* ---- The three ---- */

#define NO_BEARER                                                                                  \
    "There is no API key: send the header `Authorization: Bearer KEY`; any key will do."

const struct shape shape_openai_chat = {
    .name = "openai-chat",
    .no_key = NO_BEARER,
    .authorized = shape_has_bearer,
    .read = read_chat,
    .limits = limits_openai,
    .wait = wait_openai,
    .answer = answer_chat,
    .error = error_openai,
    .stream = stream_chat,
    .stream_error = stream_error_chat,
};

const struct shape shape_openai_responses = {
    .name = "openai-responses",
    .no_key = NO_BEARER,
    .authorized = shape_has_bearer,
    .read = read_responses,
    .limits = limits_openai,
    .wait = wait_openai,
    .answer = answer_responses,
    .error = error_openai,
    .stream = stream_responses,
    .stream_error = stream_error_responses,
};

const struct shape shape_azure = {
    .name = "azure",
    .no_key = "Access denied: send the header `api-key: KEY` or `Authorization: Bearer TOKEN`; any "
              "will do.",
    .authorized = authorized_azure,
    .objection = objection_azure,
    .read = read_chat,
    .limits = limits_azure,
    .wait = wait_azure,
    .answer = answer_chat,
    .error = error_azure,
    .stream = stream_chat,
    .stream_error = stream_error_chat,
};
