/*
 * json-c escapes strings. The body is copied as text, not printed from parsed JSON: a parser that
 * keeps numbers in 64 bits would change some. It is parsed only to see that it is one JSON value.
 */
#include "tool/batch/result.h"

#include "tool/batch/json.h"

#include "grow.h"
#include "profile/jtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 128 /* before texts that come from others */
#define MAX_RESULT_BYTES                                                                           \
    (UINT32_MAX / 2) /* an answer has its own bound; an entry of the journal keeps 32 bits */

/* ---- Text that grows ---- */

struct text {
    struct grow grow;
    bool failed;
};

static void put(struct text *t, const char *data, size_t n)
{
    t->failed |= grow_add(&t->grow, data, n) < 0;
}

static void put_text(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

/* Length of the UTF-8 character at s, at most n bytes; 0: not one. */
static size_t character(const unsigned char *s, size_t n)
{
    size_t bytes = s[0] < 0x80   ? 1
                   : s[0] < 0xc2 ? 0
                   : s[0] < 0xe0 ? 2
                   : s[0] < 0xf0 ? 3
                   : s[0] < 0xf5 ? 4
                                 : 0;
    if (bytes > n)
        return 0;
    for (size_t k = 1; k < bytes; k++) {
        if ((s[k] & 0xc0) != 0x80)
            return 0;
    }
    bool too_long = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return too_long || surrogate || beyond ? 0 : bytes;
}

/* Bytes that are not UTF-8 would make the whole output unreadable: each becomes U+FFFD. */
static char *clean(const char *from, size_t n, size_t *bytes)
{
    char *to = malloc(n * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; to && i < n;) {
        size_t step = character((const unsigned char *)from + i, n - i);
        memcpy(to + len, step ? from + i : "\xef\xbf\xbd", step ? step : 3);
        len += step ? step : 3;
        i += step ? step : 1;
    }
    *bytes = len;
    return to;
}

static void put_string(struct text *t, const char *s, size_t n)
{
    size_t bytes = 0;
    char *cleaned = clean(s, n, &bytes);
    json_object *o = cleaned ? json_object_new_string_len(cleaned, (int)bytes) : NULL;
    if (o) {
        size_t len = 0;
        const char *json = json_object_to_json_string_length(
            o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        if (json)
            put(t, json, len);
        else
            t->failed = true;
    } else {
        t->failed = true;
    }
    json_object_put(o);
    free(cleaned);
}

/* ---- The body ---- */

/* The answer's value, to be freed with json_object_put(); NULL: it is neither an object nor a
 * list. */
static json_object *parse(const char *body, size_t bytes)
{
    const char *why = NULL;
    json_tokener *tokener = batch_json_tokener();
    json_object *value = tokener ? batch_json_parse(tokener, body, bytes, &why) : NULL;
    if (tokener)
        json_tokener_free(tokener);
    if (json_object_is_type(value, json_type_object) || json_object_is_type(value, json_type_array))
        return value;
    json_object_put(value);
    return NULL;
}

/* JSON on one line. */
static void put_json(struct text *t, const char *json, size_t bytes)
{
    size_t at = t->grow.n;
    put(t, json, bytes);
    /* Between values a line end is white space; within a string JSON does not allow one. */
    for (; at < t->grow.n; at++) {
        if (t->grow.bytes[at] == '\n' || t->grow.bytes[at] == '\r')
            t->grow.bytes[at] = ' ';
    }
}

static void put_body(struct text *t, const struct batch_outcome *outcome)
{
    json_object *value = outcome->body ? parse(outcome->body, outcome->body_bytes) : NULL;
    if (value)
        put_json(t, outcome->body, outcome->body_bytes);
    else if (outcome->body)
        put_string(t, outcome->body, outcome->body_bytes);
    else
        put_text(t, "null");
    json_object_put(value);
}

struct span {
    size_t at;
    size_t bytes;
};

/* The provider's own error: an object whose "error" is an object. `alone`: it has no other
 * member. */
static bool find_error(const struct batch_outcome *outcome, struct span *error, bool *alone)
{
    json_object *value = outcome->body ? parse(outcome->body, outcome->body_bytes) : NULL;
    json_object *own = NULL;
    bool found = json_object_is_type(value, json_type_object) &&
                 json_object_object_get_ex(value, "error", &own) &&
                 json_object_is_type(own, json_type_object) &&
                 jtext_find(outcome->body, outcome->body_bytes, "error", &error->at, &error->bytes);
    *alone = found && json_object_object_length(value) == 1;
    json_object_put(value);
    return found;
}

/* ---- The line ---- */

static void put_member(struct text *t, const char *before, const char *s)
{
    put_text(t, before);
    put_string(t, s, strlen(s));
}

static void put_number(struct text *t, const char *before, int number)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", number);
    put_text(t, before);
    put_text(t, digits);
}

static void put_error(struct text *t, const struct batch_outcome *outcome)
{
    if (outcome->class == BATCH_ANSWERED) {
        put_text(t, "null");
        return;
    }
    put_member(t, "{\"code\":", batch_class_words[outcome->class]);
    put_member(t, ",\"message\":", outcome->why);
    put_text(t, "}");
}

static void put_plain(struct text *t, uint32_t line, const struct batch_outcome *outcome)
{
    char head[HEAD_BYTES];
    snprintf(head, sizeof(head), "{\"line\":%" PRIu32, line);
    put_text(t, head);
    put_number(t, ",\"status_code\":", outcome->status);
    put_text(t, ",\"body\":");
    put_body(t, outcome);
    put_text(t, ",\"error\":");
    put_error(t, outcome);
    put_text(t, "}");
}

/* The id consists of the input's hash and the request's place: it is the same in every run. */
static void put_openai(struct text *t, const struct batch_input *input, size_t i,
                       const char *custom_id, const struct batch_outcome *outcome)
{
    char head[HEAD_BYTES];
    snprintf(head, sizeof(head), "{\"id\":\"batch_req_%016" PRIx64 "%08zx\"", input->hash, i);
    put_text(t, head);
    put_member(t, ",\"custom_id\":", custom_id);
    if (outcome->status == 0) {
        put_text(t, ",\"response\":null");
    } else {
        put_number(t, ",\"response\":{\"status_code\":", outcome->status);
        put_member(t, ",\"request_id\":", outcome->request_id);
        put_text(t, ",\"body\":");
        put_body(t, outcome);
        put_text(t, "}");
    }
    put_text(t, ",\"error\":");
    put_error(t, outcome);
    put_text(t, "}");
}

/* Members that Anthropic's and Gemini's forms do not have; `copied`: the provider's error was
 * copied whole. */
static void put_rest(struct text *t, const struct batch_outcome *outcome, bool copied)
{
    put_member(t, ",\"outcome\":", batch_class_words[outcome->class]);
    put_number(t, ",\"status_code\":", outcome->status);
    put_text(t, ",\"body\":");
    if (copied)
        put_text(t, "null");
    else
        put_body(t, outcome);
}

static void put_anthropic(struct text *t, const char *custom_id,
                          const struct batch_outcome *outcome)
{
    struct span error;
    bool alone = false;
    put_member(t, "{\"custom_id\":", custom_id);
    if (outcome->class == BATCH_ANSWERED) {
        put_text(t, ",\"result\":{\"type\":\"succeeded\",\"message\":");
        put_body(t, outcome);
        put_text(t, "}}");
        return;
    }
    bool copied = find_error(outcome, &error, &alone);
    put_text(t, ",\"result\":{\"type\":\"errored\",\"error\":");
    if (copied) {
        put_json(t, outcome->body, outcome->body_bytes);
    } else {
        put_member(t,
                   "{\"type\":\"error\",\"error\":{\"type\":", batch_class_words[outcome->class]);
        put_member(t, ",\"message\":", outcome->why);
        put_member(t, "},\"request_id\":", outcome->request_id);
        put_text(t, "}");
    }
    put_rest(t, outcome, copied);
    put_text(t, "}}");
}

static void put_gemini(struct text *t, const char *key, const struct batch_outcome *outcome)
{
    struct span error;
    bool alone = false;
    put_member(t, "{\"key\":", key);
    if (outcome->class == BATCH_ANSWERED) {
        put_text(t, ",\"response\":");
        put_body(t, outcome);
        put_text(t, "}");
        return;
    }
    put_text(t, ",\"error\":");
    if (find_error(outcome, &error, &alone)) {
        put_json(t, outcome->body + error.at, error.bytes);
    } else {
        put_number(t, "{\"code\":", outcome->status);
        put_member(t, ",\"message\":", outcome->why);
        put_member(t, ",\"status\":", batch_class_words[outcome->class]);
        put_text(t, "}");
    }
    put_rest(t, outcome, alone);
    put_text(t, "}");
}

char *batch_result_line(const struct batch_input *input, size_t i, const char *custom_id,
                        const struct batch_outcome *outcome, size_t *bytes)
{
    struct text t = {.failed = false};
    grow_init(&t.grow, MAX_RESULT_BYTES);
    switch (input->format) {
    case BATCH_PLAIN:
        put_plain(&t, input->lines[i].number, outcome);
        break;
    case BATCH_OPENAI:
        put_openai(&t, input, i, custom_id, outcome);
        break;
    case BATCH_ANTHROPIC:
        put_anthropic(&t, custom_id, outcome);
        break;
    case BATCH_GEMINI:
        put_gemini(&t, custom_id, outcome);
        break;
    }
    if (t.failed)
        grow_close(&t.grow);
    *bytes = t.grow.n;
    return t.grow.bytes;
}
