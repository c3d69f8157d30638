/*
 * Strings are escaped by json-c; the body is not made anew from parsed JSON, because a parser that keeps numbers in 64 bits
 * does not give back what it was given. It is parsed only to see that it is one JSON value.
 */
#include "batch_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 128 /* what stands before the texts of others */

/* ---- Text that grows ---- */

struct text {
    char *data;
    size_t len;
    size_t room;
    bool failed;
};

static void put(struct text *t, const char *data, size_t n)
{
    if (t->failed)
        return;
    if (t->room - t->len <= n) {
        size_t room = t->len + n + 1 + t->len / 2;
        char *grown = realloc(t->data, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->len, data, n);
    t->len += n;
    t->data[t->len] = '\0';
}

static void put_text(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

/* Length of the UTF-8 character at s, at most n bytes; 0: it is none. */
static size_t character(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char mask, lead, low, high; /* low and high: of the second byte */
        size_t bytes;
    } forms[] = {
        {0x80, 0x00, 0x00, 0x00, 1}, {0xff, 0xe0, 0xa0, 0xbf, 3}, {0xff, 0xed, 0x80, 0x9f, 3},
        {0xff, 0xf0, 0x90, 0xbf, 4}, {0xff, 0xf4, 0x80, 0x8f, 4}, {0xe0, 0xc0, 0x80, 0xbf, 2},
        {0xf0, 0xe0, 0x80, 0xbf, 3}, {0xfc, 0xf0, 0x80, 0xbf, 4},
    };
    if (s[0] == 0xc0 || s[0] == 0xc1)
        return 0;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if ((s[0] & forms[i].mask) != forms[i].lead)
            continue;
        size_t bytes = forms[i].bytes;
        if (bytes > n || (bytes > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)))
            return 0;
        for (size_t k = 2; k < bytes; k++) {
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        }
        return bytes;
    }
    return 0;
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

static bool is_json(const char *body, size_t bytes)
{
    json_tokener *tokener = json_tokener_new_ex(BATCH_MAX_JSON_DEPTH);
    if (!tokener)
        return false;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *value = json_tokener_parse_ex(tokener, body, (int)bytes);
    bool ok = json_tokener_get_error(tokener) == json_tokener_success &&
              batch_json_is_exact(body, bytes) &&
              (json_object_is_type(value, json_type_object) ||
               json_object_is_type(value, json_type_array));
    json_object_put(value);
    json_tokener_free(tokener);
    return ok;
}

static void put_body(struct text *t, const struct batch_outcome *outcome)
{
    if (!outcome->body) {
        put_text(t, "null");
        return;
    }
    if (!is_json(outcome->body, outcome->body_bytes)) {
        put_string(t, outcome->body, outcome->body_bytes);
        return;
    }
    size_t at = t->len;
    put(t, outcome->body, outcome->body_bytes);
    /* Between values a line end is white space; within a string JSON does not allow one. */
    for (; !t->failed && at < t->len; at++) {
        if (t->data[at] == '\n' || t->data[at] == '\r')
            t->data[at] = ' ';
    }
}

/* ---- The line ---- */

static void put_error(struct text *t, const struct batch_outcome *outcome)
{
    put_text(t, "{\"code\":\"");
    put_text(t, batch_class_word(outcome->class));
    put_text(t, "\",\"message\":");
    put_string(t, outcome->why, strlen(outcome->why));
    put_text(t, "}");
}

static void put_plain(struct text *t, uint32_t line, const struct batch_outcome *outcome)
{
    char head[HEAD_BYTES];
    snprintf(head, sizeof(head), "{\"line\":%" PRIu32 ",\"status_code\":%d,\"body\":", line,
             outcome->status);
    put_text(t, head);
    put_body(t, outcome);
    put_text(t, ",\"error\":");
    if (outcome->class == BATCH_ANSWERED)
        put_text(t, "null");
    else
        put_error(t, outcome);
    put_text(t, "}");
}

/* The id is made of the input's hash and the place in it: the same in every run. */
static void put_batch(struct text *t, const struct batch_input *input, size_t i,
                      const char *custom_id, const struct batch_outcome *outcome)
{
    char head[HEAD_BYTES];
    snprintf(head, sizeof(head),
             "{\"id\":\"batch_req_%016" PRIx64 "%08zx\",\"custom_id\":", input->hash, i);
    put_text(t, head);
    put_string(t, custom_id, strlen(custom_id));
    put_text(t, ",\"response\":");
    if (outcome->status == 0) {
        put_text(t, "null,\"error\":");
        put_error(t, outcome);
    } else {
        snprintf(head, sizeof(head), "{\"status_code\":%d,\"request_id\":", outcome->status);
        put_text(t, head);
        put_string(t, outcome->request_id, strlen(outcome->request_id));
        put_text(t, ",\"body\":");
        put_body(t, outcome);
        put_text(t, "},\"error\":null");
    }
    put_text(t, "}");
}

char *batch_result_line(const struct batch_input *input, size_t i, const char *custom_id,
                        const struct batch_outcome *outcome, size_t *bytes)
{
    struct text t = {0};
    if (input->format == BATCH_OPENAI)
        put_batch(&t, input, i, custom_id, outcome);
    else
        put_plain(&t, input->lines[i].number, outcome);
    if (t.failed) {
        free(t.data);
        return NULL;
    }
    *bytes = t.len;
    return t.data;
}
