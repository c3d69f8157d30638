/*
 * From bytes to a tree: JSON with comments, otherwise strict.
 *
 * json-c is lenient where a configuration should not be, and its errors do not name the line. So
 * the text is checked first:
 *
 *     text  ->  copy without comments  ->  json-c, strict  ->  keys that are given twice  ->  tree
 *
 * The copy has spaces in place of comments, so that positions stay the same. The first check also
 * finds what json-c would accept or explain badly: NUL bytes, bare words (including NaN and
 * Infinity), strings that do not end on their line, commas before a closing bracket. Each stage
 * stops at its first mistake, because nothing after a syntax error can be trusted; only repeated
 * keys are all listed.
 */
#include "config/config_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)16 * 1024 * 1024)
#define MAX_DEPTH 32

struct source {
    const char *name;
    const char *text; /* as it came */
    size_t n;
    char *clean; /* the copy, NUL-terminated */
    struct config_problems *problems;
};

/* Notes a syntax error: "file.json:3:14: message". Columns count characters, not bytes. */
static void mistake(const struct source *source, size_t at, const char *what, const char *remedy)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at && i < source->n; i++) {
        unsigned char c = (unsigned char)source->text[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    config_problem(source->problems, NULL, "%s:%zu:%zu: %s; %s", source->name, line, column, what,
                   remedy);
}

/* Notes n bytes that do not belong there. */
static void found(const struct source *source, size_t at, size_t n, const char *remedy)
{
    char quoted[CONFIG_QUOTED_BYTES];
    char what[CONFIG_QUOTED_BYTES + 16];
    snprintf(what, sizeof what, "found %s", config_quote(quoted, source->text + at, n));
    mistake(source, at, what, remedy);
}

/* ---- The first look -------------------------------------------------------------------------- */

static const char *comment_end(const char *p, const char *end)
{
    for (; end - p >= 2; p++)
        if (p[0] == '*' && p[1] == '/')
            return p + 2;
    return NULL;
}

/* Blanks the comment at i. Returns where it ends, or 0 after a mistake. */
static size_t skip_comment(const struct source *source, size_t i)
{
    size_t begin = i;
    int kind = i + 1 < source->n ? source->text[i + 1] : 0;
    if (kind != '/' && kind != '*') {
        mistake(source, i, "found \"/\", which does not begin a comment",
                "write // for a comment to the end of the line, or /* */");
        return 0;
    }
    const char *end = NULL;
    if (kind == '/') {
        end = memchr(source->text + i, '\n', source->n - i);
        end = end != NULL ? end : source->text + source->n;
    } else {
        end = comment_end(source->text + i + 2, source->text + source->n);
        if (end == NULL) {
            mistake(source, begin, "a comment does not end", "close it with */");
            return 0;
        }
    }
    size_t stop = (size_t)(end - source->text);
    for (; i < stop; i++)
        if (source->clean[i] != '\n')
            source->clean[i] = ' ';
    return stop;
}

static size_t skip_string(const struct source *source, size_t i)
{
    size_t begin = i;
    for (i++; i < source->n; i++) {
        unsigned char c = (unsigned char)source->text[i];
        if (c == '"')
            return i + 1;
        if (c < 0x20)
            break;
        if (c == '\\' && i + 1 < source->n && (unsigned char)source->text[i + 1] >= 0x20)
            i++;
    }
    if (i < source->n && source->text[i] != '\n' && source->text[i] != '\r')
        mistake(source, i, "a control character inside a string", "write it as \\u00XX");
    else
        mistake(source, begin, "a string does not end on its line", "close it with a double quote");
    return 0;
}

static size_t skip_word(const struct source *source, size_t i)
{
    size_t begin = i;
    while (i < source->n && (isalnum((unsigned char)source->text[i]) || source->text[i] == '_'))
        i++;
    const char *word = source->text + begin;
    size_t n = i - begin;
    if ((n == 4 && (memcmp(word, "true", 4) == 0 || memcmp(word, "null", 4) == 0)) ||
        (n == 5 && memcmp(word, "false", 5) == 0))
        return i;
    found(source, begin, n,
          "write strings and keys in double quotes; only true, false and null stand alone");
    return 0;
}

/* Numbers are left to json-c, except for forms that it accepts although they are not JSON. */
static size_t skip_number(const struct source *source, size_t i)
{
    size_t begin = i;
    while (i < source->n && (isalnum((unsigned char)source->text[i]) ||
                             (source->text[i] != '\0' && strchr("+-.", source->text[i]) != NULL)))
        i++;
    const char *p = source->text + begin;
    const char *end = source->text + i;
    p += p < end && *p == '-';
    const char *digits = p;
    while (p < end && isdigit((unsigned char)*p))
        p++;
    bool ok = p > digits && (*digits != '0' || p == digits + 1);
    if (ok && p < end && *p == '.') {
        const char *fraction = ++p;
        while (p < end && isdigit((unsigned char)*p))
            p++;
        ok = p > fraction;
    }
    if (ok && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *exponent = p;
        while (p < end && isdigit((unsigned char)*p))
            p++;
        ok = p > exponent;
    }
    if (ok && p == end)
        return i;
    char quoted[CONFIG_QUOTED_BYTES];
    char what[CONFIG_QUOTED_BYTES + 32];
    snprintf(what, sizeof what, "%s is not a number",
             config_quote(quoted, source->text + begin, i - begin));
    mistake(source, begin, what, "write digits only, or a string in double quotes");
    return 0;
}

static bool first_look(const struct source *source)
{
    size_t i = 0;
    size_t comma = 0; /* if the last token was a comma: its place + 1 */
    if (source->n >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0) {
        memset(source->clean, ' ', 3); /* a byte order mark, which some editors add */
        i = 3;
    }
    bool blank = true;
    while (i < source->n) {
        unsigned char c = (unsigned char)source->text[i];
        size_t next = i + 1;
        bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        bool comment = c == '/';
        if (comment) {
            next = skip_comment(source, i);
        } else if (c == '"') {
            next = skip_string(source, i);
        } else if (isalpha(c)) {
            next = skip_word(source, i);
        } else if (isdigit(c) || c == '-' || c == '+' || c == '.') {
            next = skip_number(source, i);
        } else if (c == '\'') {
            mistake(source, i, "found a single quote", "write strings and keys in double quotes");
            return false;
        } else if ((c == '}' || c == ']') && comma > 0) {
            mistake(source, comma - 1, "a comma with nothing after it", "remove the comma");
            return false;
        } else if (c < 0x20 ? !space : c >= 0x7f) {
            mistake(source, i, "found a byte that is not valid in JSON",
                    "save the file as UTF-8 text");
            return false;
        } else if (!space && strchr("{}[]:,", c) == NULL) {
            found(source, i, 1, "remove it, or write it inside a string in double quotes");
            return false;
        }
        if (next == 0)
            return false;
        if (!space && !comment) {
            blank = false;
            comma = c == ',' ? i + 1 : 0;
        }
        i = next;
    }
    if (blank)
        config_problem(source->problems, NULL,
                       "%s: the document is empty; write a JSON object, or start without a "
                       "configuration to use the built-in example",
                       source->name);
    return !blank;
}

/* ---- json-c ---------------------------------------------------------------------------------- */

static const char *expected(enum json_tokener_error error)
{
    switch (error) {
    case json_tokener_error_parse_object_key_name:
        return "expected a key in double quotes or \"}\"";
    case json_tokener_error_parse_object_key_sep:
        return "expected \":\" after the key";
    case json_tokener_error_parse_object_value_sep:
        return "expected \",\" or \"}\"";
    case json_tokener_error_parse_array:
        return "expected \",\" or \"]\"";
    case json_tokener_error_parse_number:
        return "expected a number";
    case json_tokener_error_parse_string:
        return "expected a string without unknown escapes";
    case json_tokener_error_parse_utf8_string:
        return "expected UTF-8 text";
    default:
        return "expected a value";
    }
}

static void syntax_error(const struct source *source, size_t at, enum json_tokener_error error)
{
    if (error == json_tokener_error_depth) {
        mistake(source, at, "objects and lists are nested too deeply",
                "no setting is deeper than a few levels; see rationd --help");
        return;
    }
    if (at >= source->n || error == json_tokener_continue)
        mistake(source, source->n, "found the end of the document",
                "close what is open with \"}\" or \"]\"");
    else
        found(source, at, 1, expected(error));
}

static struct json_object *parse_tree(const struct source *source)
{
    struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (tokener == NULL)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
                                        JSON_TOKENER_VALIDATE_UTF8);
    /* The NUL at the end marks the end of input. */
    struct json_object *tree = json_tokener_parse_ex(tokener, source->clean, (int)source->n + 1);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (error != json_tokener_success) {
        syntax_error(source, end, error);
        json_object_put(tree);
        return NULL;
    }
    end += strspn(source->clean + end, " \t\r\n");
    if (end < source->n) {
        mistake(source, end, "text after the end of the document",
                "remove it, or check the brackets before it");
        json_object_put(tree);
        return NULL;
    }
    if (!json_object_is_type(tree, json_type_object)) {
        config_problem(source->problems, NULL,
                       "%s: the document is %s; write an object: {\"pools\": ...}", source->name,
                       config_kind(tree));
        json_object_put(tree);
        return NULL;
    }
    return tree;
}

/* ---- Keys that are given twice
 * -------------------------------------------------------------------------------
 * 
 * The tree silently keeps the last one. So the text, known to be valid by now, is walked once
 * more. */

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* p is at the opening quote. Returns what follows the closing one. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"' && *p != '\0'; p++)
        if (*p == '\\' && p[1] != '\0')
            p++;
    return *p == '"' ? p + 1 : p;
}

static void free_key(struct lh_entry *entry)
{
    free(lh_entry_k(entry));
}

/* Gives the key's text; *broken if a NUL inside would cut it short. */
static char *decode_key(const char *begin, const char *end, bool *broken)
{
    *broken = false;
    if (memchr(begin, '\\', (size_t)(end - begin)) == NULL)
        return strndup(begin + 1, (size_t)(end - begin) - 2);
    struct json_tokener *tokener = json_tokener_new();
    if (tokener == NULL)
        abort();
    struct json_object *text = json_tokener_parse_ex(tokener, begin, (int)(end - begin));
    json_tokener_free(tokener);
    const char *key = text != NULL ? json_object_get_string(text) : "";
    char *copy = strdup(key);
    *broken = text == NULL || strlen(key) != (size_t)json_object_get_string_len(text);
    json_object_put(text);
    return copy;
}

static const char *walk(const struct source *source, const char *p, const struct config_place *up);

/* Walks one `"key": value`. Returns NULL if the text is malformed. */
static const char *walk_member(const struct source *source, const char *p,
                               const struct config_place *up, struct lh_table *keys)
{
    if (*p != '"')
        return NULL;
    const char *end = string_end(p);
    bool broken;
    char *key = decode_key(p, end, &broken);
    if (key == NULL)
        abort();
    struct config_place here = {.up = up, .key = key};
    if (broken)
        config_problem(source->problems, &here, "a key with a NUL character; remove it");
    if (lh_table_lookup_ex(keys, key, NULL)) {
        config_problem(source->problems, &here, "given twice; keep only one of the two");
    } else {
        char *kept = strdup(key);
        if (kept == NULL || lh_table_insert(keys, kept, NULL) != 0)
            abort();
    }
    p = skip_space(end);
    p = *p == ':' ? walk(source, skip_space(p + 1), &here) : NULL;
    free(key);
    return p;
}

static const char *walk_object(const struct source *source, const char *p,
                               const struct config_place *up)
{
    struct lh_table *keys = lh_kchar_table_new(8, free_key);
    if (keys == NULL)
        abort();
    p = skip_space(p + 1);
    while (p != NULL && *p != '}') {
        p = walk_member(source, p, up, keys);
        if (p != NULL)
            p = skip_space(p);
        if (p != NULL && *p == ',')
            p = skip_space(p + 1);
        else if (p != NULL && *p != '}')
            p = NULL;
    }
    lh_table_free(keys);
    return p != NULL ? p + 1 : NULL;
}

static const char *walk_list(const struct source *source, const char *p,
                             const struct config_place *up)
{
    struct config_place here = {.up = up};
    p = skip_space(p + 1);
    while (p != NULL && *p != ']') {
        p = walk(source, p, &here);
        if (p != NULL)
            p = skip_space(p);
        if (p != NULL && *p == ',')
            p = skip_space(p + 1);
        else if (p != NULL && *p != ']')
            p = NULL;
        here.index++;
    }
    return p != NULL ? p + 1 : NULL;
}

/* Walks one value. The depth is bounded: json-c has refused deeper documents. */
static const char *walk(const struct source *source, const char *p, const struct config_place *up)
{
    if (*p == '{')
        return walk_object(source, p, up);
    if (*p == '[')
        return walk_list(source, p, up);
    if (*p == '"')
        return string_end(p);
    size_t n = strcspn(p, ",]} \t\r\n");
    return n > 0 ? p + n : NULL;
}

/* ---- All of it ------------------------------------------------------------------------------- */

struct json_object *config_text_parse(const char *name, const char *text, size_t n,
                                      struct config_problems *problems)
{
    if (n > MAX_BYTES) {
        config_problem(problems, NULL,
                       "%s: the document has %zu bytes; the most is %zu: leave tenants to "
                       "default_tier",
                       name, n, MAX_BYTES);
        return NULL;
    }
    struct source source = {.name = name, .text = text, .n = n, .problems = problems};
    source.clean = malloc(n + 1);
    if (source.clean == NULL)
        abort();
    if (n > 0)
        memcpy(source.clean, text, n);
    source.clean[n] = '\0';
    struct json_object *tree = NULL;
    if (first_look(&source)) {
        tree = parse_tree(&source);
        if (tree != NULL)
            walk(&source, skip_space(source.clean), NULL);
    }
    explicit_bzero(source.clean, n);
    free(source.clean);
    return tree;
}
