/*
 * Reading a request goes field by field, and the first field that is wrong ends it with words for the caller. The
 * parsed JSON lives only inside completion_parse(); what is kept is a small struct, because thousands of calls wait for
 * their answer at once and a replayed prompt may be large.
 *
 * Writing goes through json-c as well, so that a model's name is escaped by the one who knows how.
 */
#include "completion.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

struct complaint {
    const char *why;
    const char *param;
};

static int complain(struct complaint *c, const char *param, const char *why)
{
    c->why = why;
    c->param = param;
    return -1;
}

/* ---- Reading ---- */

/* Unicode characters: bytes that do not continue one. The tokener has made sure that it is UTF-8. */
static int64_t characters(struct json_object *string)
{
    const char *s = json_object_get_string(string);
    int len = json_object_get_string_len(string);
    int64_t n = 0;
    for (int i = 0; i < len; i++) {
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    }
    return n;
}

/* A content is a string, null (an assistant message that only called tools), or parts; parts without text count
 * nothing. */
static int content_characters(struct json_object *content, int64_t *n, struct complaint *bad)
{
    if (content == NULL) {
        return 0;
    }
    if (json_object_is_type(content, json_type_string)) {
        *n += characters(content);
        return 0;
    }
    if (!json_object_is_type(content, json_type_array)) {
        return complain(bad, "messages",
                        "a message's content must be a string or an array of parts");
    }
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        struct json_object *part = json_object_array_get_idx(content, i);
        struct json_object *text;
        if (!json_object_is_type(part, json_type_object)) {
            return complain(bad, "messages", "a part of a message's content must be an object");
        }
        if (json_object_object_get_ex(part, "text", &text) &&
            json_object_is_type(text, json_type_string)) {
            *n += characters(text);
        }
    }
    return 0;
}

static int read_messages(struct json_object *root, int64_t *tokens, struct complaint *bad)
{
    struct json_object *messages;
    if (!json_object_object_get_ex(root, "messages", &messages) ||
        !json_object_is_type(messages, json_type_array) || json_object_array_length(messages) < 1) {
        return complain(bad, "messages", "messages must be an array of at least one message");
    }
    int64_t n = 0;
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        struct json_object *message = json_object_array_get_idx(messages, i);
        struct json_object *role;
        struct json_object *content = NULL;
        if (!json_object_is_type(message, json_type_object) ||
            !json_object_object_get_ex(message, "role", &role) ||
            !json_object_is_type(role, json_type_string)) {
            return complain(bad, "messages", "each message must be an object with a role");
        }
        json_object_object_get_ex(message, "content", &content);
        if (content_characters(content, &n, bad) < 0) {
            return -1;
        }
    }
    *tokens = n / 4 + (n % 4 != 0);
    return 0;
}

/* A field that may be absent or null. False when it is there and is not a whole number from least to most. */
static bool read_whole(struct json_object *object, const char *name, int64_t least, int64_t most,
                       int64_t *value)
{
    struct json_object *field;
    if (!json_object_object_get_ex(object, name, &field) || field == NULL) {
        return true;
    }
    int64_t n;
    if (json_object_is_type(field, json_type_int)) {
        n = json_object_get_int64(field);
    } else if (json_object_is_type(field, json_type_string)) {
        const char *s = json_object_get_string(field);
        char *end;
        errno = 0;
        n = strtoll(s, &end, 10);
        if (errno || end == s || *end != '\0') {
            return false;
        }
    } else {
        return false;
    }
    if (n < least || n > most) {
        return false;
    }
    *value = n;
    return true;
}

static int read_lengths(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *field;
    const char *name = "max_completion_tokens"; /* the newer name wins where both are there */
    if (!json_object_object_get_ex(root, name, &field) || field == NULL) {
        name = "max_tokens";
    }
    if (json_object_object_get_ex(root, name, &field) && field != NULL &&
        !json_object_is_type(field, json_type_int)) {
        return complain(bad, name, "max_tokens must be a whole number");
    }
    if (!read_whole(root, name, 1, COMPLETION_MAX_TOKENS, &c->max_output)) {
        return complain(bad, name, "max_tokens must be from 1 to 1000000000");
    }
    if (!read_whole(root, "n", 1, COMPLETION_MAX_CHOICES, &c->choices)) {
        return complain(bad, "n", "n must be a whole number from 1 to 128");
    }
    return 0;
}

static int read_metadata(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *metadata;
    if (!json_object_object_get_ex(root, "metadata", &metadata) || metadata == NULL) {
        return 0;
    }
    if (!json_object_is_type(metadata, json_type_object)) {
        return complain(bad, "metadata", "metadata must be an object");
    }
    const struct {
        const char *name;
        int64_t *value;
    } known[] = {{"input_tokens", &c->prompt_tokens},
                 {"output_tokens", &c->output_tokens},
                 {"cached_tokens", &c->cached_tokens},
                 {"reasoning_tokens", &c->reasoning_tokens}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!read_whole(metadata, known[i].name, 0, COMPLETION_MAX_TOKENS, known[i].value)) {
            return complain(bad, "metadata",
                            "input_tokens, output_tokens, cached_tokens and reasoning_tokens in "
                            "metadata must be whole numbers from 0 to 1000000000");
        }
    }
    return 0;
}

static int read_request(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *field;
    if (!json_object_is_type(root, json_type_object)) {
        return complain(bad, NULL, "the body must be a JSON object");
    }
    if (!json_object_object_get_ex(root, "model", &field) ||
        !json_object_is_type(field, json_type_string) || json_object_get_string_len(field) < 1) {
        return complain(bad, "model", "model must be given, as a string");
    }
    if (json_object_get_string_len(field) > COMPLETION_MAX_MODEL) {
        return complain(bad, "model", "the name of the model is longer than 128 bytes");
    }
    snprintf(c->model, sizeof(c->model), "%s", json_object_get_string(field));
    if (json_object_object_get_ex(root, "stream", &field) && json_object_get_boolean(field)) {
        return complain(bad, "stream", "this provider answers in one piece: leave stream out");
    }
    if (read_messages(root, &c->prompt_tokens, bad) < 0 || read_lengths(root, c, bad) < 0) {
        return -1;
    }
    return read_metadata(root, c, bad);
}

int completion_parse(struct completion *c, const char *body, size_t len, const char **why,
                     const char **param)
{
    struct complaint bad = {"there was no memory to read the body", NULL};
    int rc = -1;
    memset(c, 0, sizeof(*c));
    c->choices = 1;
    c->max_output = COMPLETION_DEFAULT_OUTPUT;
    c->output_tokens = -1;
    struct json_tokener *tokener = json_tokener_new_ex(COMPLETION_MAX_DEPTH);
    if (tokener) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *root = json_tokener_parse_ex(tokener, body, (int)len);
        if (json_tokener_get_error(tokener) != json_tokener_success) {
            bad.why = "the body is not valid JSON";
        } else {
            rc = read_request(root, c, &bad);
        }
        json_object_put(root);
        json_tokener_free(tokener);
    }
    if (rc < 0) {
        *why = bad.why;
        *param = bad.param;
    }
    return rc;
}

/* ---- Lengths ---- */

int64_t completion_estimate(const struct completion *c)
{
    return c->prompt_tokens + c->choices * c->max_output;
}

/* SplitMix64: small, seeded by any number, the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static int64_t draw_length(int64_t most, uint64_t *random)
{
    double u = (double)(next_random(random) >> 11) / 9007199254740992.0; /* 2^53 */
    int64_t n = (int64_t)((double)most * (0.2 + 0.8 * u * u));
    return n < 1 ? 1 : n;
}

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

void completion_use(const struct completion *c, uint64_t *random, struct usage *use)
{
    use->prompt_tokens = c->prompt_tokens;
    if (c->output_tokens >= 0) {
        use->completion_tokens = c->choices * at_most(c->output_tokens, c->max_output);
    } else {
        use->completion_tokens = 0;
        for (int64_t i = 0; i < c->choices; i++) {
            use->completion_tokens += draw_length(c->max_output, random);
        }
    }
    use->cached_tokens = at_most(c->cached_tokens, use->prompt_tokens);
    use->reasoning_tokens = at_most(c->reasoning_tokens, use->completion_tokens);
}

/* ---- Writing ---- */

/* Takes value, which may be NULL for a JSON null: json-c's own way of saying it. */
static void put(struct json_object *object, const char *name, struct json_object *value)
{
    json_object_object_add(object, name, value);
}

static struct json_object *string_or_null(const char *s)
{
    return s ? json_object_new_string(s) : NULL;
}

static char *rendered(struct json_object *root)
{
    const char *s = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
    char *copy = s ? strdup(s) : NULL;
    json_object_put(root);
    return copy;
}

static struct json_object *make_choice(int64_t index, bool cut)
{
    struct json_object *message = json_object_new_object();
    put(message, "role", string_or_null("assistant"));
    put(message, "content",
        string_or_null("An answer of the length that usage says, kept short on the wire."));
    put(message, "refusal", NULL);
    struct json_object *choice = json_object_new_object();
    put(choice, "index", json_object_new_int64(index));
    put(choice, "message", message);
    put(choice, "logprobs", NULL);
    put(choice, "finish_reason", string_or_null(cut ? "length" : "stop"));
    return choice;
}

static struct json_object *make_usage(const struct usage *use)
{
    struct json_object *prompt = json_object_new_object();
    put(prompt, "cached_tokens", json_object_new_int64(use->cached_tokens));
    struct json_object *completion = json_object_new_object();
    put(completion, "reasoning_tokens", json_object_new_int64(use->reasoning_tokens));
    struct json_object *usage = json_object_new_object();
    put(usage, "prompt_tokens", json_object_new_int64(use->prompt_tokens));
    put(usage, "completion_tokens", json_object_new_int64(use->completion_tokens));
    put(usage, "total_tokens", json_object_new_int64(use->prompt_tokens + use->completion_tokens));
    put(usage, "prompt_tokens_details", prompt);
    put(usage, "completion_tokens_details", completion);
    return usage;
}

char *completion_answer(const struct completion *c, const struct usage *use, uint64_t number,
                        int64_t created_s)
{
    char id[48];
    snprintf(id, sizeof(id), "chatcmpl-strict%010" PRIu64, number);
    struct json_object *choices = json_object_new_array();
    for (int64_t i = 0; i < c->choices; i++) {
        bool cut = use->completion_tokens == c->choices * c->max_output;
        json_object_array_add(choices, make_choice(i, cut));
    }
    struct json_object *root = json_object_new_object();
    put(root, "id", string_or_null(id));
    put(root, "object", string_or_null("chat.completion"));
    put(root, "created", json_object_new_int64(created_s));
    put(root, "model", string_or_null(c->model));
    put(root, "choices", choices);
    put(root, "usage", make_usage(use));
    return rendered(root);
}

char *completion_error(const char *message, const char *type, const char *param, const char *code)
{
    struct json_object *error = json_object_new_object();
    put(error, "message", string_or_null(message));
    put(error, "type", string_or_null(type));
    put(error, "param", string_or_null(param));
    put(error, "code", string_or_null(code));
    struct json_object *root = json_object_new_object();
    put(root, "error", error);
    return rendered(root);
}
