/*
 * Characters are Unicode characters, which the estimate of characters / 4 is based on: bytes that
 * do not continue one. The tokener has made sure that all text is UTF-8.
 */
#include "read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

int read_complain(struct complaint *c, const char *param, const char *why)
{
    return complain(c, REFUSAL_VALUE, param, why, NULL);
}

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

int read_content(struct json_object *content, const char *param, int64_t *n, struct complaint *bad)
{
    if (content == NULL) {
        return 0;
    }
    if (json_object_is_type(content, json_type_string)) {
        *n += characters(content);
        return 0;
    }
    if (!json_object_is_type(content, json_type_array)) {
        return read_complain(bad, param, "a content must be a string or an array of parts");
    }
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        struct json_object *part = json_object_array_get_idx(content, i);
        struct json_object *text;
        if (!json_object_is_type(part, json_type_object)) {
            return read_complain(bad, param, "a part of a content must be an object");
        }
        if (json_object_object_get_ex(part, "text", &text) &&
            json_object_is_type(text, json_type_string)) {
            *n += characters(text);
        }
    }
    return 0;
}

static bool is_role(struct json_object *role, const char *roles)
{
    const char *name = json_object_get_string(role);
    size_t len = strlen(name);
    while (*roles) {
        size_t word = strcspn(roles, " ");
        if (word == len && memcmp(roles, name, len) == 0) {
            return true;
        }
        roles += word + 1;
    }
    return false;
}

/* Function calls, their results and the like, which OpenAI's responses have between messages: they
 * have no role. */
static bool is_other_item(struct json_object *item)
{
    struct json_object *type;
    return json_object_object_get_ex(item, "type", &type) &&
           json_object_is_type(type, json_type_string) &&
           strcmp(json_object_get_string(type), "message") != 0;
}

/* Reads one message of a list; `at` is its name for errors, e.g. messages[0]. */
static int read_message(struct json_object *message, const char *at, const char *roles, int64_t *n,
                        struct complaint *bad)
{
    char name[REFUSAL_MAX_FIELD];
    struct json_object *role;
    struct json_object *content = NULL;
    if (!json_object_is_type(message, json_type_object)) {
        return complain(bad, REFUSAL_WRONG_TYPE, at, "an object", "something else");
    }
    if (is_other_item(message)) {
        json_object_object_get_ex(message, "output", &content);
        return read_content(content, at, n, bad);
    }
    snprintf(name, sizeof(name), "%s.role", at);
    if (!json_object_object_get_ex(message, "role", &role)) {
        return complain(bad, REFUSAL_MISSING, name, NULL, NULL);
    }
    if (!json_object_is_type(role, json_type_string)) {
        return complain(bad, REFUSAL_WRONG_TYPE, name, "a string", "something else");
    }
    if (!is_role(role, roles)) {
        char why[200];
        snprintf(why, sizeof(why), "Invalid value: '%.40s'. Supported values are: %s",
                 json_object_get_string(role), roles);
        return read_complain(bad, name, why);
    }
    json_object_object_get_ex(message, "content", &content);
    snprintf(name, sizeof(name), "%s.content", at);
    return read_content(content, name, n, bad);
}

int read_messages(struct json_object *root, const char *name, const char *roles, int64_t *n,
                  struct complaint *bad)
{
    struct json_object *messages;
    if (!json_object_object_get_ex(root, name, &messages) ||
        !json_object_is_type(messages, json_type_array)) {
        return complain(bad, REFUSAL_MISSING, name, NULL, NULL);
    }
    if (json_object_array_length(messages) < 1) {
        return read_complain(bad, name, "at least one message is required");
    }
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        char at[48];
        snprintf(at, sizeof(at), "%.20s[%zu]", name, i);
        if (read_message(json_object_array_get_idx(messages, i), at, roles, n, bad) < 0) {
            return -1;
        }
    }
    return 0;
}

bool read_true(struct json_object *object, const char *name)
{
    struct json_object *field;
    return json_object_object_get_ex(object, name, &field) && json_object_get_boolean(field);
}

static bool whole_of_text(const char *s, int64_t *n)
{
    char *end;
    errno = 0;
    *n = strtoll(s, &end, 10);
    return errno == 0 && end != s && *end == '\0';
}

bool read_whole(struct json_object *object, const char *name, bool or_text, int64_t least,
                int64_t most, int64_t *value)
{
    struct json_object *field;
    int64_t n;
    if (!json_object_object_get_ex(object, name, &field) || field == NULL) {
        return true;
    }
    if (json_object_is_type(field, json_type_int)) {
        n = json_object_get_int64(field);
    } else if (!or_text || !json_object_is_type(field, json_type_string) ||
               !whole_of_text(json_object_get_string(field), &n)) {
        return false;
    }
    if (n < least || n > most) {
        return false;
    }
    *value = n;
    return true;
}

int read_model(struct json_object *root, char *model, int size, struct complaint *bad)
{
    struct json_object *field;
    if (!json_object_object_get_ex(root, "model", &field) ||
        !json_object_is_type(field, json_type_string) || json_object_get_string_len(field) < 1) {
        return complain(bad, REFUSAL_NO_MODEL, "model", NULL, NULL);
    }
    if (json_object_get_string_len(field) >= size) {
        return read_complain(bad, "model", "the name of the model is longer than 128 bytes");
    }
    snprintf(model, (size_t)size, "%s", json_object_get_string(field));
    return 0;
}
