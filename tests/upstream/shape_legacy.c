/*
 * Two APIs of OpenAI older than chat: completions, and embeddings, which have no output. Documented
 * at
 *
 *     https://platform.openai.com/docs/api-reference/completions    prompt, choices[].text, usage
 *     https://platform.openai.com/docs/api-reference/embeddings     input, data[], usage without
 *                                                                   output
 *
 * Keys, headers, errors and the words of refusals are those of shape_openai.c.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>

#include <event2/buffer.h>

#include "jo.h"
#include "read.h"
#include "shape_openai.h"

/* Reads a text, a list of texts, a list of numbers that are tokens, or a list of such lists. */
static int read_texts(struct json_object *value, const char *name, int64_t *characters,
                      struct complaint *bad)
{
    if (json_object_is_type(value, json_type_string)) {
        return read_content(value, name, characters, bad);
    }
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *one = json_object_array_get_idx(value, i);
        if (json_object_is_type(one, json_type_int)) {
            *characters += 4;
        } else if (json_object_is_type(one, json_type_array)) {
            *characters += 4 * (int64_t)json_object_array_length(one);
        } else if (!json_object_is_type(one, json_type_string)) {
            return complain(bad, REFUSAL_WRONG_TYPE, name, "a string", "something else");
        } else if (read_content(one, name, characters, bad) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- Embeddings ------------------------------------------------------------------------------ */

static const struct field fields_embeddings[] = {
    {"model", FIELD_STRING | FIELD_MUST, 0, 0},
    {"input", FIELD_STRING | FIELD_LIST | FIELD_MUST, 0, 0},
    FIELD_METADATA,
    {"dimensions", FIELD_WHOLE, 1, 100000},
    {"encoding_format", FIELD_STRING, 0, 0},
    {"user", FIELD_STRING, 0, 0},
    {NULL, 0, 0, 0}};

static int read_embeddings(struct json_object *root, struct completion *c, int64_t *characters,
                           struct complaint *bad)
{
    struct json_object *input;
    c->no_output = true;
    c->max_output = 0;
    json_object_object_get_ex(root, "input", &input);
    if (json_object_is_type(input, json_type_array)) {
        c->choices = (int64_t)json_object_array_length(input);
        if (c->choices < 1 || c->choices > 2048) {
            return read_complain(bad, "input", "'input' must be of 1 to 2048 elements.");
        }
    }
    return read_texts(input, "input", characters, bad);
}

static char *answer_embeddings(const struct reply *r)
{
    struct json_object *data = json_object_new_array();
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *vector = json_object_new_array();
        json_object_array_add(vector, json_object_new_double(0.25));
        json_object_array_add(vector, json_object_new_double(-0.5));
        struct json_object *one = jo_put_string(json_object_new_object(), "object", "embedding");
        jo_put_int(one, "index", i);
        json_object_array_add(data, jo_put(one, "embedding", vector));
    }
    struct json_object *root = jo_put_string(json_object_new_object(), "object", "list");
    jo_put(root, "data", data);
    jo_put_string(root, "model", r->asked->model);
    if (r->with_usage) {
        struct json_object *usage = json_object_new_object();
        jo_put_int(usage, "prompt_tokens", r->use->prompt_tokens);
        jo_put(root, "usage", jo_put_int(usage, "total_tokens", r->use->prompt_tokens));
    }
    return jo_render(root);
}

const struct shape shape_openai_embeddings = {
    .name = "openai-embeddings",
    .family = "embeddings",
    .refusals = openai_refusals,
    .fields = fields_embeddings,
    .keys = KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .read = read_embeddings,
    .limits = openai_limits,
    .wait = openai_wait,
    .answer = answer_embeddings,
    .error = openai_error,
    .stream_error = openai_stream_error,
};

/* ---- Completions ----------------------------------------------------------------------------- */

static const struct field fields_completions[] = {
    {"model", FIELD_STRING | FIELD_MUST, 0, 0},
    {"prompt", FIELD_STRING | FIELD_LIST | FIELD_MUST, 0, 0},
    FIELD_METADATA,
    {"best_of", FIELD_WHOLE, 0, 20},
    {"echo", FIELD_BOOL, 0, 0},
    {"frequency_penalty", FIELD_NUMBER, -2, 2},
    {"logit_bias", FIELD_OBJECT, 0, 0},
    {"logprobs", FIELD_WHOLE, 0, 5},
    {"max_tokens", FIELD_WHOLE, 0, COMPLETION_MAX_TOKENS},
    {"n", FIELD_WHOLE, 1, COMPLETION_MAX_CHOICES},
    {"presence_penalty", FIELD_NUMBER, -2, 2},
    {"seed", FIELD_WHOLE, 0, 0},
    {"stop", FIELD_STRING | FIELD_LIST, 0, 0},
    {"stream", FIELD_BOOL, 0, 0},
    {"stream_options", FIELD_OBJECT, 0, 0},
    {"suffix", FIELD_STRING, 0, 0},
    {"temperature", FIELD_NUMBER, 0, 2},
    {"top_p", FIELD_NUMBER, 0, 1},
    {"user", FIELD_STRING, 0, 0},
    {NULL, 0, 0, 0}};

static int read_completions(struct json_object *root, struct completion *c, int64_t *characters,
                            struct complaint *bad)
{
    struct json_object *prompt;
    c->max_output = 16; /* the documented default */
    json_object_object_get_ex(root, "prompt", &prompt);
    if (read_texts(prompt, "prompt", characters, bad) < 0) {
        return -1;
    }
    return openai_read_shared(root, c, bad);
}

/* A piece of every choice, or all of it; with a reason it is the last. */
static struct json_object *text_root(const struct reply *r, const char *text, const char *reason)
{
    char id[48];
    struct json_object *choices = json_object_new_array();
    for (int64_t i = 0; text && i < r->asked->choices; i++) {
        struct json_object *choice = jo_put_string(json_object_new_object(), "text", text);
        jo_put_int(choice, "index", i);
        jo_put(choice, "logprobs", NULL);
        json_object_array_add(choices, jo_put_string(choice, "finish_reason", reason));
    }
    snprintf(id, sizeof(id), "cmpl-strict%010" PRIu64, r->number);
    struct json_object *root = jo_put_string(json_object_new_object(), "id", id);
    jo_put_string(root, "object", "text_completion");
    jo_put_int(root, "created", r->created_s);
    jo_put_string(root, "model", r->asked->model);
    return jo_put(root, "choices", choices);
}

static const char *finish(const struct reply *r)
{
    return completion_was_cut(r->asked, r->use) ? "length" : "stop";
}

static char *answer_completions(const struct reply *r)
{
    struct json_object *root = text_root(r, SHAPE_TEXT, finish(r));
    if (r->with_usage) {
        jo_put(root, "usage", openai_usage(r->use));
    }
    return jo_render(root);
}

static void stream_completions(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    if (step == STREAM_PIECE) {
        shape_event(out, NULL, text_root(r, SHAPE_PIECE, NULL));
    }
    if (step != STREAM_END) {
        return;
    }
    shape_event(out, NULL, text_root(r, "", finish(r)));
    if (r->with_usage) {
        shape_event(out, NULL, jo_put(text_root(r, NULL, NULL), "usage", openai_usage(r->use)));
    }
    evbuffer_add_printf(out, "data: [DONE]\n\n");
}

const struct shape shape_openai_completions = {
    .name = "openai-completions",
    .family = "completions",
    .refusals = openai_refusals,
    .fields = fields_completions,
    .keys = KEY_BEARER,
    .max_body = OPENAI_MAX_BODY,
    .read = read_completions,
    .limits = openai_limits,
    .wait = openai_wait,
    .answer = answer_completions,
    .error = openai_error,
    .stream = stream_completions,
    .stream_error = openai_stream_error,
};
