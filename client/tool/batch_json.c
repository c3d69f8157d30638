/* A text is walked once, from member to member; values are stepped over without a look at what they mean. */
#include "batch_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool batch_json_is_exact(const char *text, size_t n)
{
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && (unsigned char)text[i] < ' ')
            return false;
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string &&
                 (!text[i] || !strchr("{}[]:, \t\r\n0123456789+-.eEtrufalsn", text[i])))
            return false;
    }
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_space(const char *text, size_t n, size_t at)
{
    while (at < n && is_space(text[at]))
        at++;
    return at;
}

/* From the opening quote to behind the closing one. */
static size_t skip_string(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at < n ? at + 1 : n;
}

static size_t skip_value(const char *text, size_t n, size_t at)
{
    size_t depth = 0;
    while (at < n) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, n, at);
        } else if (depth == 0 && (is_space(c) || c == ',' || c == '}' || c == ']')) {
            break;
        } else {
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
            at++;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']'))
            break;
    }
    return at;
}

static char unescaped(char c)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    const char *found = strchr(from, c);
    return c && found ? to[found - from] : c;
}

/* Whether the string between `at` and `end` (without its quotes) says `key`, however it is escaped; keys are ASCII. */
static bool says(const char *text, size_t at, size_t end, const char *key)
{
    for (; at < end && *key; key++) {
        unsigned code = (unsigned char)text[at++];
        if (code == '\\' && at < end) {
            char c = text[at++];
            if (c == 'u' && end - at >= 4) {
                char digits[5] = {text[at], text[at + 1], text[at + 2], text[at + 3], '\0'};
                code = (unsigned)strtoul(digits, NULL, 16);
                at += 4;
            } else {
                code = (unsigned char)unescaped(c);
            }
        }
        if (code != (unsigned char)*key)
            return false;
    }
    return at == end && !*key;
}

bool batch_json_member(const char *text, size_t n, const char *key, struct batch_span *value)
{
    bool found = false;
    size_t at = skip_space(text, n, 0) + 1; /* behind the brace */
    for (at = skip_space(text, n, at); at < n && text[at] == '"';) {
        size_t name = at + 1;
        at = skip_string(text, n, at);
        bool is_it = says(text, name, at - 1, key);
        at = skip_space(text, n, at) + 1; /* behind the colon */
        size_t from = skip_space(text, n, at);
        at = skip_value(text, n, from);
        if (is_it)
            *value = (struct batch_span){from, at - from};
        found |= is_it;
        at = skip_space(text, n, skip_space(text, n, at) + 1); /* behind the comma */
    }
    return found;
}

char *batch_json_set(const char *text, size_t n, const char *key, const char *value, size_t *bytes)
{
    struct batch_span old = {0, 0};
    size_t room = n + strlen(key) + strlen(value) + sizeof("\"\":,");
    char *made = malloc(room);
    if (!made)
        return NULL;
    bool found = batch_json_member(text, n, key, &old);
    size_t first = skip_space(text, n, 0) + 1;
    size_t len = found ? old.at : first;
    size_t rest = old.at + old.bytes;
    memcpy(made, text, len);
    if (found) {
        len += (size_t)sprintf(made + len, "%s", value);
    } else {
        bool alone = text[skip_space(text, n, first)] == '}';
        len += (size_t)sprintf(made + len, "\"%s\":%s%s", key, value, alone ? "" : ",");
        rest = first;
    }
    memcpy(made + len, text + rest, n - rest);
    len += n - rest;
    made[len] = '\0';
    *bytes = len;
    return made;
}
