/*
 * Ollama's own chat. Documented at
 *
 *     https://docs.ollama.com/api/chat         request, answer; usage is prompt_eval_count and
 *                                              eval_count
 *     https://docs.ollama.com/api/streaming    lines of JSON, application/x-ndjson; it streams
 *                                              unless "stream" is false
 *     https://docs.ollama.com/api/errors       an error is a text; in a stream, a line of its own
 *
 * Like the real server, it requires no key and ignores the content type and unknown fields.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "jo.h"
#include "read.h"

static const struct refusal_words refusals[REFUSAL_COUNT] = {
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false, "unauthorized"},
    [REFUSAL_BAD_KEY] = {401, NULL, NULL, false, "unauthorized"},
    [REFUSAL_CONTENT_TYPE] = {400, NULL, NULL, false, "missing request body"},
    [REFUSAL_JSON] = {400, NULL, NULL, false, "invalid character in the request body"},
    [REFUSAL_MISSING] = {400, NULL, NULL, false, "{name} is required"},
    [REFUSAL_UNKNOWN] = {400, NULL, NULL, false, "{name} is not known"},
    [REFUSAL_WRONG_TYPE] = {400, NULL, NULL, false,
                            "json: cannot unmarshal {got} into field {name}: it is {wants}"},
    [REFUSAL_TOO_SMALL] = {400, NULL, NULL, false, "{name} is less than {wants}"},
    [REFUSAL_TOO_LARGE] = {400, NULL, NULL, false, "{name} is more than {wants}"},
    [REFUSAL_VALUE] = {400, NULL, NULL, false, "{name}: {wants}"},
    [REFUSAL_BODY] = {413, NULL, NULL, false, "the request body is larger than {wants} bytes"},
    [REFUSAL_METHOD] = {405, NULL, NULL, false, "405 method not allowed"},
    [REFUSAL_PATH] = {404, NULL, NULL, false, "404 page not found"},
};

static const struct field fields[] = {{"model", FIELD_STRING | FIELD_MUST, 0, 0},
                                      {"messages", FIELD_LIST, 0, 0},
                                      FIELD_METADATA,
                                      {"stream", FIELD_BOOL, 0, 0},
                                      {"options", FIELD_OBJECT, 0, 0},
                                      {"tools", FIELD_LIST, 0, 0},
                                      {"format", FIELD_STRING | FIELD_OBJECT, 0, 0},
                                      {"think", FIELD_BOOL | FIELD_STRING, 0, 0},
                                      {"keep_alive", FIELD_STRING | FIELD_NUMBER, 0, 0},
                                      {NULL, 0, 0, 0}};

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    struct json_object *field;
    c->stream = !json_object_object_get_ex(root, "stream", &field) || field == NULL ||
                json_object_get_boolean(field);
    if (json_object_object_get_ex(root, "options", &field) && field) {
        read_whole(field, "num_predict", false, 1, COMPLETION_MAX_TOKENS, &c->max_output);
    }
    return read_messages(root, "messages", "system user assistant tool ", characters, bad);
}

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

static struct json_object *error_root(const struct answer_error *error)
{
    return jo_put_string(json_object_new_object(), "error", error->message);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void line(struct evbuffer *out, const char *name, struct json_object *data)
{
    char *json = jo_render(data);
    (void)name;
    evbuffer_add_printf(out, "%s\n", json ? json : "{}");
    free(json);
}

static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    line(out, NULL, error_root(error));
}

static struct json_object *root(const struct reply *r, const char *text, bool done)
{
    char stamp[40];
    struct tm tm;
    time_t created = (time_t)r->created_s;
    gmtime_r(&created, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    struct json_object *message = jo_put_string(json_object_new_object(), "role", "assistant");
    struct json_object *o = jo_put_string(json_object_new_object(), "model", r->asked->model);
    jo_put_string(o, "created_at", stamp);
    jo_put(o, "message", jo_put_string(message, "content", text));
    jo_put(o, "done", json_object_new_boolean(done));
    if (done) {
        jo_put_string(o, "done_reason", completion_was_cut(r->asked, r->use) ? "length" : "stop");
        jo_put_int(o, "total_duration", 1000000);
    }
    if (done && r->with_usage) {
        jo_put_int(o, "prompt_eval_count", r->use->prompt_tokens);
        jo_put_int(o, "eval_count", r->use->completion_tokens);
    }
    return o;
}

static char *answer(const struct reply *r)
{
    return jo_render(root(r, SHAPE_TEXT, true));
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    if (step != STREAM_BEGIN) {
        line(out, NULL, root(r, step == STREAM_PIECE ? SHAPE_PIECE : "", step == STREAM_END));
    }
}

const struct shape shape_ollama = {
    .name = "ollama",
    .family = "ollama",
    .refusals = refusals,
    .fields = fields,
    .lenient = true,
    .any_type = true,
    .max_body = 100 * MIB,
    .stream_type = "application/x-ndjson",
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
    .event = line,
};
