/*
 * One scanner over the members of an object, and two ways to write a text again around what it
 * found.
 *
 * How it fails: a scanner that meets something it does not know ends with BROKEN, and then nothing
 * is changed. It passes nested values by counting brackets, so that no depth of nesting is too
 * much.
 */
#include "profile/jtext.h"

#include "parse.h"

#include <ration/ration.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME_BYTES 64

enum step { MEMBER, END, BROKEN };

struct scan {
    const char *text;
    size_t n;
    size_t at;
    bool first;
};

/* Offsets in the text. */
struct member {
    size_t begin; /* the quote that opens its name */
    size_t name_len;
    size_t value;
    size_t end; /* of its value */
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->n && parse_is_space(scan->text[scan->at]))
        scan->at++;
}

static bool skip_char(struct scan *scan, char c)
{
    if (scan->at >= scan->n || scan->text[scan->at] != c)
        return false;
    scan->at++;
    return true;
}

static bool skip_string(struct scan *scan)
{
    if (!skip_char(scan, '"'))
        return false;
    while (scan->at < scan->n && scan->text[scan->at] != '"')
        scan->at += scan->text[scan->at] == '\\' ? 2 : 1;
    return skip_char(scan, '"');
}

/* A number, true, false or null. */
static bool skip_word(struct scan *scan)
{
    size_t begin = scan->at;
    while (scan->at < scan->n && !strchr(" \t\r\n,:[]{}\"", scan->text[scan->at]))
        scan->at++;
    return scan->at > begin;
}

static bool skip_value(struct scan *scan)
{
    size_t depth = 0;
    do {
        skip_space(scan);
        if (scan->at >= scan->n)
            return false;
        char c = scan->text[scan->at];
        if (c == '{' || c == '[') {
            depth++;
            scan->at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return false;
            depth--;
            scan->at++;
        } else if ((c == ',' || c == ':') && depth > 0) {
            scan->at++;
        } else if (c == '"' ? !skip_string(scan) : !skip_word(scan)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

static bool scan_begin(struct scan *scan, const char *text, size_t n)
{
    *scan = (struct scan){.text = text, .n = n, .at = parse_mark_bytes(text, n), .first = true};
    skip_space(scan);
    return skip_char(scan, '{');
}

/* At END, scan->at is behind the closing bracket. */
static enum step scan_next(struct scan *scan, struct member *member)
{
    skip_space(scan);
    if (skip_char(scan, '}'))
        return END;
    if (!scan->first) {
        if (!skip_char(scan, ','))
            return BROKEN;
        skip_space(scan);
    }
    scan->first = false;
    member->begin = scan->at;
    if (!skip_string(scan))
        return BROKEN;
    member->name_len = scan->at - member->begin - 2;
    skip_space(scan);
    if (!skip_char(scan, ':'))
        return BROKEN;
    skip_space(scan);
    member->value = scan->at;
    if (!skip_value(scan))
        return BROKEN;
    member->end = scan->at;
    return MEMBER;
}

/* ---- Names ---- */

/* One character of a name, which may be written as an escape; 0: one that our names never have. */
static int read_char(const char **at, const char *end)
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    const char *s = *at;
    *at = s + 1;
    if (*s != '\\')
        return *s;
    if (end - s < 2)
        return 0;
    *at = s + 2;
    if (s[1] != 'u')
        return strchr("\"\\/", s[1]) ? s[1] : 0;
    unsigned code = 0;
    if (end - s < 6)
        return 0;
    for (int i = 2; i < 6; i++) {
        const char *digit = s[i] ? strchr(hex, s[i]) : NULL;
        code = digit ? code * 16 + (unsigned)((digit - hex) % 16) : 0x10000;
    }
    *at = s + 6;
    return code < 0x80 ? (int)code : 0;
}

static bool is_named(const struct scan *scan, const struct member *member, const char *name,
                     size_t name_len)
{
    const char *s = scan->text + member->begin + 1;
    const char *end = s + member->name_len;
    size_t i = 0;
    while (s < end && i < name_len) {
        if (read_char(&s, end) != name[i++])
            return false;
    }
    return s == end && i == name_len;
}

/* Goes through the whole object and finds the last member of that name. END: there is none. `last`
 * is the last member of any name; its end is 0 if the object is empty. */
static enum step find(struct scan *scan, const char *name, size_t name_len, struct member *found,
                      struct member *last)
{
    struct member member = {0};
    enum step result = END;
    enum step step;
    *last = (struct member){0};
    while ((step = scan_next(scan, &member)) == MEMBER) {
        *last = member;
        if (is_named(scan, &member, name, name_len)) {
            *found = member;
            result = MEMBER;
        }
    }
    return step == END ? result : BROKEN;
}

bool jtext_find(const char *text, size_t n, const char *name, size_t *at, size_t *len)
{
    struct scan scan;
    struct member member = {0};
    struct member last;
    if (!scan_begin(&scan, text, n) || find(&scan, name, strlen(name), &member, &last) != MEMBER)
        return false;
    *at = member.value;
    *len = member.end - member.value;
    return true;
}

/* ---- Setting ---- */

/* Replaces text[at .. at + cut) with before + middle + after. */
struct edit {
    size_t at;
    size_t cut;
    char text[256];
};

/* Writes "b":{"c":value} for the place "b.c", or only the value behind its name. */
static bool write_member(struct edit *edit, const char *before, const char *place, bool named,
                         const char *value)
{
    size_t used = (size_t)snprintf(edit->text, sizeof(edit->text), "%s", before);
    unsigned open = 0;
    while (place && used < sizeof(edit->text)) {
        size_t len = strcspn(place, ".");
        const char *rest = place[len] ? place + len + 1 : NULL;
        int n = named
                    ? snprintf(edit->text + used, sizeof(edit->text) - used, "\"%.*s\":%s",
                               (int)len, place, rest ? "{" : "")
                    : snprintf(edit->text + used, sizeof(edit->text) - used, "%s", rest ? "{" : "");
        used += (size_t)n;
        open += rest != NULL;
        named = true;
        place = rest;
    }
    if (used >= sizeof(edit->text))
        return false;
    used += (size_t)snprintf(edit->text + used, sizeof(edit->text) - used, "%s%.*s", value,
                             (int)open, "}}}}}}}}");
    return used < sizeof(edit->text) && open <= 8;
}

static bool is_null(const char *text, size_t len)
{
    return len == 4 && memcmp(text, "null", 4) == 0;
}

/* False: there is nothing to change. The object is text[at .. at + n). */
static bool plan(const char *text, size_t at, size_t n, const char *place, const char *value,
                 bool replace, struct edit *edit)
{
    struct scan scan;
    struct member member = {0};
    struct member last;
    size_t len = strcspn(place, ".");
    if (len >= MAX_NAME_BYTES || !scan_begin(&scan, text + at, n))
        return false;
    enum step step = find(&scan, place, len, &member, &last);
    if (step == END) {
        edit->at = at + (last.end ? last.end : scan.at - 1);
        edit->cut = 0;
        return write_member(edit, last.end ? "," : "", place, true, value);
    }
    size_t value_len = member.end - member.value;
    if (step == BROKEN)
        return false;
    if (!is_null(text + at + member.value, value_len)) {
        if (place[len])
            return plan(text, at + member.value, value_len, place + len + 1, value, replace, edit);
        if (!replace)
            return false;
    }
    edit->at = at + member.value;
    edit->cut = value_len;
    return write_member(edit, "", place, false, value);
}

int jtext_set(const char *text, size_t n, const char *place, const char *value, bool replace,
              char **out, size_t *out_n)
{
    struct edit edit;
    *out = NULL;
    if (!plan(text, 0, n, place, value, replace, &edit))
        return 0;
    size_t len = strlen(edit.text);
    size_t tail = edit.at + edit.cut;
    char *made = malloc(n - edit.cut + len + 1);
    if (!made)
        return RATION_ENOMEM;
    memcpy(made, text, edit.at);
    memcpy(made + edit.at, edit.text, len);
    memcpy(made + edit.at + len, text + tail, n - tail);
    *out_n = n - edit.cut + len;
    made[*out_n] = '\0';
    *out = made;
    return 1;
}

/* ---- Dropping ---- */

static bool is_one_of(const struct scan *scan, const struct member *member,
                      const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        if (is_named(scan, member, names[i], strlen(names[i])))
            return true;
    }
    return false;
}

/* Whether the text has any of them, and is JSON to its end. */
static bool has_any(const char *text, size_t n, const char *const *names, size_t n_names)
{
    struct scan scan;
    struct member member = {0};
    bool any = false;
    enum step step = BROKEN;
    if (!scan_begin(&scan, text, n))
        return false;
    while ((step = scan_next(&scan, &member)) == MEMBER)
        any = any || is_one_of(&scan, &member, names, n_names);
    return any && step == END;
}

int jtext_drop(const char *text, size_t n, const char *const *names, size_t n_names, char **out,
               size_t *out_n)
{
    struct scan scan;
    struct member member = {0};
    size_t before = 0; /* the end of the member before this one, or 0 */
    size_t used = 0;
    bool kept = false;
    *out = NULL;
    if (!has_any(text, n, names, n_names))
        return 0;
    char *made = malloc(n + 1);
    if (!made)
        return RATION_ENOMEM;
    scan_begin(&scan, text, n);
    used = scan.at;
    memcpy(made, text, used);
    before = used;
    while (scan_next(&scan, &member) == MEMBER) {
        if (!is_one_of(&scan, &member, names, n_names)) {
            /* With the separator before it, unless it has become the first. */
            size_t from = kept ? before : member.begin;
            memcpy(made + used, text + from, member.end - from);
            used += member.end - from;
            kept = true;
        }
        before = member.end;
    }
    memcpy(made + used, text + before, n - before);
    used += n - before;
    made[used] = '\0';
    *out = made;
    *out_n = used;
    return 1;
}
