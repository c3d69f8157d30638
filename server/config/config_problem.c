/*
 * Problems of a document, in words: one line each, "path: what is wrong; what to do".
 *
 * Quotes from the document may contain any bytes: they are escaped and cut, so that a problem is
 * always one line. A document with a hundred thousand mistakes gets the first CONFIG_MAX_PROBLEMS
 * and a line that says so.
 */
#include "config/config_parts.h"
#include "text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1024

/* Text that is cut off at the end of its buffer. */
struct text {
    char *buf;
    size_t n, cap;
};

static void put(struct text *text, const char *more)
{
    size_t n = strlen(more);
    if (n > text->cap - 1 - text->n)
        n = text->cap - 1 - text->n;
    memcpy(text->buf + text->n, more, n);
    text->n += n;
    text->buf[text->n] = '\0';
}

const char *config_quote(char buf[CONFIG_QUOTED_BYTES], const char *text, size_t n)
{
    struct text out = {.buf = buf, .cap = CONFIG_QUOTED_BYTES};
    put(&out, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        char piece[8];
        if (c == '"' || c == '\\')
            snprintf(piece, sizeof piece, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            snprintf(piece, sizeof piece, "\\x%02x", c);
        else
            snprintf(piece, sizeof piece, "%c", c);
        if (out.n + strlen(piece) > CONFIG_QUOTED_BYTES - 6) {
            put(&out, "...");
            break;
        }
        put(&out, piece);
    }
    put(&out, "\"");
    return buf;
}

static bool plain_key(const char *key)
{
    size_t n = strlen(key);
    return n > 0 && n <= 64 &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

/* tiers.pro.limits[1].per, pools["openai/gpt-4o"].preset. Documents are at most about 30 levels
 * deep. */
static void put_path(struct text *out, const struct config_place *at)
{
    if (at == NULL)
        return;
    put_path(out, at->up);
    if (at->key == NULL) {
        char index[32];
        snprintf(index, sizeof index, "[%zu]", at->index);
        put(out, index);
    } else if (plain_key(at->key)) {
        put(out, out->n > 0 ? "." : "");
        put(out, at->key);
    } else {
        char quoted[CONFIG_QUOTED_BYTES];
        put(out, "[");
        put(out, config_quote(quoted, at->key, strlen(at->key)));
        put(out, "]");
    }
}

static void add_line(struct config_problems *problems, char *line)
{
    char **grown = realloc(problems->lines, (problems->n + 1) * sizeof *grown);
    if (line == NULL || grown == NULL)
        abort();
    problems->lines = grown;
    problems->lines[problems->n++] = line;
}

void config_problem(struct config_problems *problems, const struct config_place *at,
                    const char *format, ...)
{
    if (problems->n > CONFIG_MAX_PROBLEMS)
        return;
    if (problems->n == CONFIG_MAX_PROBLEMS) {
        add_line(problems, strdup("there are more problems; correct these first"));
        return;
    }
    char path[PATH_BYTES] = "";
    struct text out = {.buf = path, .cap = sizeof path};
    put_path(&out, at);
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    char line[PATH_BYTES + sizeof message + 2];
    snprintf(line, sizeof line, "%s%s%s", path, at != NULL ? ": " : "", message);
    add_line(problems, strdup(line));
}

void config_problems_free(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++)
        free(problems->lines[i]);
    free(problems->lines);
    *problems = (struct config_problems){0};
}

const char *config_kind(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "true or false";
    case json_type_double:
        return "a number that is not an integer";
    case json_type_int:
        return "an integer";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "a list";
    case json_type_string:
        return "a string";
    }
    return "something else";
}

/* ---- "did you mean" -------------------------------------------------------------------------- */

void config_names_add(struct config_names *names, const char *candidate)
{
    /* An invalid name is reported elsewhere, and must not break this problem's line. */
    for (const char *p = candidate; *p != '\0'; p++)
        if (!isgraph((unsigned char)*p))
            return;
    size_t used = strlen(names->list);
    if (names->n < 8) {
        struct text list = {.buf = names->list, .n = used, .cap = sizeof names->list};
        put(&list, names->n > 0 ? ", " : "");
        put(&list, candidate);
    } else if (names->n == 8) {
        struct text list = {.buf = names->list, .n = used, .cap = sizeof names->list};
        put(&list, ", ...");
    }
    names->n++;
    size_t distance =
        text_distance(names->found, strlen(names->found), candidate, strlen(candidate));
    size_t close = strlen(names->found) / 3;
    close = close < 1 ? 1 : close > 3 ? 3 : close;
    if (distance <= close && (names->best == NULL || distance < names->best_distance)) {
        names->best = candidate;
        names->best_distance = distance;
    }
}
