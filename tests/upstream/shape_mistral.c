/*
 * Mistral's chat: OpenAI's, with headers, errors and some fields of its own. Here it is at
 * /mistral/v1/chat/completions, because its own path is the same as OpenAI's. Documented at
 *
 *     https://docs.mistral.ai/api/#tag/chat                    request, answer
 *     https://docs.mistral.ai/capabilities/reasoning/          content as a list of parts (the form
 *                                                              content-parts)
 *     https://docs.mistral.ai/deployment/laplateforme/tier/    limits per minute
 *
 * An invalid body is answered 422 with a list of what is wrong; that, the 429 with its code, and
 * the headers x-ratelimit-*-req-minute and -tokens-minute are best known from answers. A stream
 * reports its usage without being asked, in the event that has the finish reason.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "jo.h"
#include "read.h"
#include "shape_openai.h"

static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false, "Unauthorized"},
    [REFUSAL_BAD_KEY] = {401, NULL, NULL, false, "Unauthorized"},
    [REFUSAL_CONTENT_TYPE] =
        {422, "model_attributes_type", NULL, false,
         "Input should be a valid dictionary or object to extract fields from"},
    [REFUSAL_JSON] = {422, "json_invalid", NULL, false, "JSON decode error"},
    [REFUSAL_MISSING] = {422, "missing", NULL, true, "Field required"},
    [REFUSAL_UNKNOWN] = {422, "extra_forbidden", NULL, true, "Extra inputs are not permitted"},
    [REFUSAL_WRONG_TYPE] = {422, "type_error", NULL, true, "Input should be {wants}, not {got}"},
    [REFUSAL_TOO_SMALL] = {422, "greater_than_equal", NULL, true,
                           "Input should be greater than or equal to {wants}"},
    [REFUSAL_TOO_LARGE] = {422, "less_than_equal", NULL, true,
                           "Input should be less than or equal to {wants}"},
    [REFUSAL_VALUE] = {422, "value_error", NULL, true, "{wants}"},
    [REFUSAL_BODY] = {413, NULL, NULL, false, "Payload too large: more than {wants} bytes"},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "Method Not Allowed"},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "no Route matched with those values"},
};

static const struct field fields[] = {{"model", FIELD_STRING | FIELD_MUST, 0, 0},
                                      {"messages", FIELD_LIST | FIELD_MUST, 0, 0},
                                      FIELD_METADATA,
                                      {"max_tokens", FIELD_WHOLE, 0, COMPLETION_MAX_TOKENS},
                                      {"n", FIELD_WHOLE, 1, COMPLETION_MAX_CHOICES},
                                      {"stream", FIELD_BOOL, 0, 0},
                                      {"stop", FIELD_STRING | FIELD_LIST, 0, 0},
                                      {"temperature", FIELD_NUMBER, 0, 0},
                                      {"top_p", FIELD_NUMBER, 0, 0},
                                      {"random_seed", FIELD_WHOLE, 0, 0},
                                      {"response_format", FIELD_OBJECT, 0, 0},
                                      {"tools", FIELD_LIST, 0, 0},
                                      {"tool_choice", FIELD_STRING | FIELD_OBJECT, 0, 0},
                                      {"parallel_tool_calls", FIELD_BOOL, 0, 0},
                                      {"presence_penalty", FIELD_NUMBER, 0, 0},
                                      {"frequency_penalty", FIELD_NUMBER, 0, 0},
                                      {"prediction", FIELD_OBJECT, 0, 0},
                                      {"prompt_mode", FIELD_STRING, 0, 0},
                                      {"reasoning_effort", FIELD_STRING, 0, 0},
                                      {"guardrails", FIELD_LIST, 0, 0},
                                      {"safe_prompt", FIELD_BOOL, 0, 0},
                                      {NULL, 0, 0, 0}};

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    read_whole(root, "max_tokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output);
    read_whole(root, "n", false, 1, COMPLETION_MAX_CHOICES, &c->choices);
    c->stream = read_true(root, "stream");
    return read_messages(root, "messages", "system user assistant tool ", characters, bad);
}

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    char value[64];
    snprintf(value, sizeof(value), "strict-%010" PRIu64, now->number);
    evhttp_add_header(headers, "mistral-correlation-id", value);
    shape_add_number(headers, "x-ratelimit-limit-req-minute", now->rpm);
    shape_add_number(headers, "x-ratelimit-remaining-req-minute", now->view.requests_left);
    shape_add_number(headers, "x-ratelimit-limit-tokens-minute", now->tpm);
    shape_add_number(headers, "x-ratelimit-remaining-tokens-minute", now->view.tokens_left);
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    shape_add_number(headers, "Retry-After", shape_seconds(wait_us));
}

/* What is wrong with a body, as a list of one. */
static struct json_object *detail(const struct answer_error *error)
{
    struct json_object *place = jo_list(jo_string("body"));
    if (error->param) {
        json_object_array_add(place, jo_string(error->param));
    }
    struct json_object *one = jo_put_string(json_object_new_object(), "type", error->type);
    jo_put(one, "loc", place);
    jo_put_string(one, "msg", error->message);
    return jo_put(json_object_new_object(), "detail", jo_list(jo_put(one, "input", NULL)));
}

static struct json_object *error_root(const struct answer_error *error)
{
    struct json_object *o = json_object_new_object();
    bool limited = error->status == 429;
    if (error->status == 401) {
        return jo_put_string(o, "detail", error->message);
    }
    jo_put_string(o, "object", "error");
    jo_put(o, "message",
           error->status == 422 && error->type ? detail(error) : jo_string(error->message));
    jo_put_string(o, "type",
                  limited               ? "rate_limited"
                  : error->status < 500 ? "invalid_request_error"
                                        : "internal_server_error");
    jo_put(o, "param", NULL);
    return jo_put_string(o, "code", limited ? "1300" : NULL);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    shape_event(out, NULL, error_root(error));
}

/* One event: what the choices say; the last one adds the reason and the usage. */
static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    char id[48];
    bool end = step == STREAM_END;
    bool cut = completion_was_cut(r->asked, r->use);
    struct json_object *choices = json_object_new_array();
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *delta = json_object_new_object();
        if (step == STREAM_BEGIN) {
            jo_put_string(delta, "role", "assistant");
        }
        jo_put_string(delta, "content", step == STREAM_PIECE ? SHAPE_PIECE : "");
        struct json_object *choice = jo_put_int(json_object_new_object(), "index", i);
        jo_put(choice, "delta", delta);
        jo_put_string(choice, "finish_reason", !end ? NULL : cut ? "length" : "stop");
        json_object_array_add(choices, choice);
    }
    snprintf(id, sizeof(id), "strict%010" PRIu64, r->number);
    struct json_object *root = jo_put_string(json_object_new_object(), "id", id);
    jo_put_string(root, "object", "chat.completion.chunk");
    jo_put_int(root, "created", r->created_s);
    jo_put_string(root, "model", r->asked->model);
    jo_put(root, "choices", choices);
    if (end && r->with_usage) {
        jo_put(root, "usage", openai_usage(r->use));
    }
    shape_event(out, NULL, root);
    if (end) {
        evbuffer_add_printf(out, "data: [DONE]\n\n");
    }
}

const struct shape shape_mistral = {
    .name = "mistral",
    .family = "chat",
    .refusals = refusals,
    .fields = fields,
    .keys = KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = openai_answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
};
