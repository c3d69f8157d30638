/*
 * OpenAI's chat completions, and Azure's, which differ in their key, headers and errors. Documented at
 *
 *     https://platform.openai.com/docs/api-reference/chat/object             the answer, usage
 *     https://platform.openai.com/docs/api-reference/chat-streaming          chunks; usage with stream_options
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
#include "shape_openai.h"

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

void openai_limits(struct evkeyvalq *headers, const struct limits_now *now)
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

void openai_wait(struct evkeyvalq *headers, int64_t wait_us)
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
    openai_wait(headers, wait_us);
    shape_add_number(headers, "x-ms-retry-after-ms", wait_us / 1000 + (wait_us % 1000 != 0));
}

/* ---- Errors ---- */

struct json_object *openai_details(const char *name, int64_t n)
{
    return jo_put_int(json_object_new_object(), name, n);
}

static struct json_object *error_object(const struct answer_error *error)
{
    const char *type = error->status >= 500 ? "server_error" : "invalid_request_error";
    struct json_object *o = json_object_new_object();
    jo_put_string(o, "message", error->message);
    jo_put_string(o, "type", error->type ? error->type : type);
    jo_put_string(o, "param", error->param);
    return jo_put_string(o, "code", error->code);
}

char *openai_error(const struct answer_error *error)
{
    return jo_render(jo_put(json_object_new_object(), "error", error_object(error)));
}

/* The gateway in front of Azure's models refuses with a code and a message; what the model itself refuses looks as
 * OpenAI's. */
static char *error_azure(const struct answer_error *error)
{
    char code[16];
    if (error->status == 400 || error->status == 422) {
        return openai_error(error);
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

/* ---- Chat ---- */

static struct json_object *usage_chat(const struct usage *use)
{
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "prompt_tokens", use->prompt_tokens);
    jo_put_int(o, "completion_tokens", use->completion_tokens);
    jo_put_int(o, "total_tokens", use->prompt_tokens + use->completion_tokens);
    jo_put(o, "prompt_tokens_details", openai_details("cached_tokens", use->cached_tokens));
    return jo_put(o, "completion_tokens_details",
                  openai_details("reasoning_tokens", use->reasoning_tokens));
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

/* ---- The two ---- */

const struct shape shape_openai_chat = {
    .name = "openai-chat",
    .no_key = OPENAI_NO_KEY,
    .authorized = shape_has_bearer,
    .read = read_chat,
    .limits = openai_limits,
    .wait = openai_wait,
    .answer = answer_chat,
    .error = openai_error,
    .stream = stream_chat,
    .stream_error = stream_error_chat,
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
