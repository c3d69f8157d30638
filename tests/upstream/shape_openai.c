/*
 * OpenAI's chat completions, and Azure's, which differ in their key, headers and errors. Documented
 * at
 *
 *     https://platform.openai.com/docs/api-reference/chat/object
 *         answer, usage
 *     https://platform.openai.com/docs/api-reference/chat-streaming
 *         chunks; usage with stream_options
 *     https://platform.openai.com/docs/guides/rate-limits
 *         x-ratelimit-*: resets as 1s, 6m0s
 *     https://platform.openai.com/docs/guides/error-codes
 *         errors, insufficient_quota
 *     https://learn.microsoft.com/azure/ai-foundry/openai/reference
 *         Azure: path, api-key, api-version
 *     https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota
 *         Azure: x-ratelimit-*, retry-after-ms
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

/* ---- Requests -------------------------------------------------------------------------------- */

#define ROLES "developer system user assistant tool function "

const struct refusal_words openai_refusals[REFUSAL_COUNT] = {
    OPENAI_BODY_REFUSALS,
    OPENAI_REQUEST_REFUSALS,
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, false, "Unrecognized request argument supplied: {name}"},
};

#define SHARED_FIELDS(MODEL)                                                                       \
    {"model", FIELD_STRING | (MODEL), 0, 0}, {"messages", FIELD_LIST | FIELD_MUST, 0, 0},          \
        FIELD_METADATA, {"max_tokens", FIELD_WHOLE, 1, COMPLETION_MAX_TOKENS},                     \
        {"max_completion_tokens", FIELD_WHOLE, 1, COMPLETION_MAX_TOKENS},                          \
        {"n", FIELD_WHOLE, 1, COMPLETION_MAX_CHOICES}, {"stream", FIELD_BOOL, 0, 0},               \
        {"stream_options", FIELD_OBJECT, 0, 0}, {"temperature", FIELD_NUMBER, 0, 2},               \
        {"top_p", FIELD_NUMBER, 0, 1}, {"stop", FIELD_STRING | FIELD_LIST, 0, 0},                  \
        {"seed", FIELD_WHOLE, 0, 0}, {"user", FIELD_STRING, 0, 0}, {"tools", FIELD_LIST, 0, 0},    \
        {"tool_choice", FIELD_STRING | FIELD_OBJECT, 0, 0},                                        \
        {"parallel_tool_calls", FIELD_BOOL, 0, 0}, {"functions", FIELD_LIST, 0, 0},                \
        {"function_call", FIELD_STRING | FIELD_OBJECT, 0, 0},                                      \
        {"response_format", FIELD_OBJECT, 0, 0}, {"logprobs", FIELD_BOOL, 0, 0},                   \
        {"top_logprobs", FIELD_WHOLE, 0, 20}, {"logit_bias", FIELD_OBJECT, 0, 0},                  \
        {"presence_penalty", FIELD_NUMBER, -2, 2}, {"frequency_penalty", FIELD_NUMBER, -2, 2},     \
        {"reasoning_effort", FIELD_STRING, 0, 0}, {"verbosity", FIELD_STRING, 0, 0},               \
        {"modalities", FIELD_LIST, 0, 0}, {"audio", FIELD_OBJECT, 0, 0},                           \
        {"prediction", FIELD_OBJECT, 0, 0}, {"store", FIELD_BOOL, 0, 0},                           \
        {"service_tier", FIELD_STRING, 0, 0}, {"safety_identifier", FIELD_STRING, 0, 0},           \
        {"prompt_cache_key", FIELD_STRING, 0, 0}, {"prompt_cache_retention", FIELD_STRING, 0, 0},  \
    {                                                                                              \
        "web_search_options", FIELD_OBJECT, 0, 0                                                   \
    }

static const struct field fields_chat[] = {SHARED_FIELDS(FIELD_MUST), {NULL, 0, 0, 0}};
static const struct field fields_azure[] = {
    SHARED_FIELDS(0), {"data_sources", FIELD_LIST, 0, 0}, {NULL, 0, 0, 0}};

static int read_stream_options(struct json_object *root, struct completion *c,
                               struct complaint *bad)
{
    static const struct field fields[] = {{"include_usage", FIELD_BOOL, 0, 0},
                                          {"include_obfuscation", FIELD_BOOL, 0, 0},
                                          {NULL, 0, 0, 0}};
    struct json_object *options;
    c->stream_usage = false;
    if (!json_object_object_get_ex(root, "stream_options", &options) || options == NULL) {
        return 0;
    }
    if (!c->stream) {
        return read_complain(bad, "stream_options",
                             "The 'stream_options' parameter is only allowed when 'stream' is "
                             "enabled.");
    }
    c->asks_usage = true;
    c->stream_usage = read_true(options, "include_usage");
    return fields_check(options, fields, "stream_options.", false, bad);
}

int openai_read_shared(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *newer = NULL;
    struct json_object *older = NULL;
    json_object_object_get_ex(root, "max_completion_tokens", &newer);
    json_object_object_get_ex(root, "max_tokens", &older);
    if (newer && older) {
        return read_complain(bad, "max_tokens",
                             "Setting 'max_tokens' and 'max_completion_tokens' at the same time is "
                             "not supported.");
    }
    read_whole(root, newer ? "max_completion_tokens" : "max_tokens", false, 1,
               COMPLETION_MAX_TOKENS, &c->max_output);
    read_whole(root, "n", false, 1, COMPLETION_MAX_CHOICES, &c->choices);
    c->stream = read_true(root, "stream");
    return read_stream_options(root, c, bad);
}

static int read_chat(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    if (read_messages(root, "messages", ROLES, characters, bad) < 0) {
        return -1;
    }
    return openai_read_shared(root, c, bad);
}

/* ---- Azure's requests ------------------------------------------------------------------------ */

static const struct refusal_words refusals_azure[REFUSAL_COUNT] = {
    OPENAI_BODY_REFUSALS,
    [REFUSAL_NO_KEY] = {401, NULL, "401", false,
                        "Access denied due to invalid subscription key or wrong API endpoint."},
    [REFUSAL_BAD_KEY] = {401, NULL, "401", false,
                         "Access denied due to invalid subscription key or wrong API endpoint."},
    [REFUSAL_CONTENT_TYPE] = {415, NULL, "415", false,
                              "Unsupported media type '{got}': send application/json."},
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, false, "Unrecognized request argument supplied: {name}"},
    [REFUSAL_BODY] = {413, NULL, "413", false, "The request is larger than {wants} bytes."},
    [REFUSAL_METHOD] = {405, NULL, "405", false, "{got} is not allowed on {name}."},
    [REFUSAL_PATH] = {404, NULL, "404", false, "Resource not found"},
};

static int objection_azure(struct evhttp_request *req, struct completion *asked,
                           struct complaint *bad)
{
    (void)asked;
    if (shape_has_query(req, "api-version", NULL)) {
        return 0;
    }
    complain(bad, REFUSAL_PATH, NULL, NULL, NULL); /* 404, as its gateway has it */
    return -1;
}

/* ---- Headers --------------------------------------------------------------------------------- */

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

/* ---- Errors ---------------------------------------------------------------------------------- */

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

/* The gateway in front of Azure's models refuses with a code and a message; refusals by the model
 * itself look like OpenAI's. */
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

void openai_stream_error(struct evbuffer *out, const struct answer_error *error)
{
    shape_event(out, NULL, jo_put(json_object_new_object(), "error", error_object(error)));
}

/* ---- Chat ------------------------------------------------------------------------------------ */

struct json_object *openai_usage(const struct usage *use)
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

char *openai_answer(const struct reply *r)
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
        jo_put(root, "usage", openai_usage(r->use));
    }
    return jo_render(root);
}

static void chunk_chat(struct evbuffer *out, const struct reply *r, struct json_object *choices,
                       bool usage)
{
    struct json_object *root = jo_put(root_chat(r, "chat.completion.chunk"), "choices", choices);
    if (r->with_usage) {
        jo_put(root, "usage", usage ? openai_usage(r->use) : NULL);
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

void openai_stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
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

/* ---- The two --------------------------------------------------------------------------------- */

const struct shape shape_openai_chat = {
    .name = "openai-chat",
    .family = "chat",
    .refusals = openai_refusals,
    .fields = fields_chat,
    .keys = KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .read = read_chat,
    .limits = openai_limits,
    .wait = openai_wait,
    .answer = openai_answer,
    .error = openai_error,
    .stream = openai_stream,
    .stream_error = openai_stream_error,
};

const struct shape shape_azure = {
    .name = "azure",
    .family = "chat",
    .refusals = refusals_azure,
    .fields = fields_azure,
    .keys = KEY_API_KEY | KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .objection = objection_azure,
    .read = read_chat,
    .limits = limits_azure,
    .wait = wait_azure,
    .answer = openai_answer,
    .error = error_azure,
    .stream = openai_stream,
    .stream_error = openai_stream_error,
};
