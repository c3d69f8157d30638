/*
 * Where a call goes.
 *
 * Users give base URLs as other clients of the same provider want them, and those differ in how
 * much of the path they want there: nothing, "/v1", a path of their own with a version in it
 * ("/api/paas/v4"), or all of it. One rule reads them all; the first case that applies counts:
 *
 *   1. If the base ends with whole segments that the path begins with, they are there once. That
 *      may be all of the path, and {model} is any segment ("/openai/deployments/gpt-4o").
 *   2. A base that ends with all of the path behind its version ("/chat/completions") is taken as
 *      it is.
 *   3. A version in the base (v1, v4, v1beta) replaces the path's own: what follows that one is
 *      appended. It must be the last segment, except in profiles of "versioned_base", which allow
 *      it anywhere, because their clients have the version in the base ("/v1beta/openai"). A
 *      profile may have another path for such bases.
 *   4. Else all of the path is appended.
 *
 * Queries are merged: the caller's parameters, those of the base, those of the path; a parameter
 * that is in an earlier one of these is left out of the later ones. If the profile says so, the
 * model becomes part of the URL, encoded byte by byte, so that no name of a model can lead to
 * another path or query.
 */
#include "profile/profile_inner.h"

#include <stdio.h>
#include <string.h>

#define MODEL        "{model}"
#define MAX_SEGMENTS 16

/* `what` is the profile or URL that is wrong, `text` the rest of the sentence. */
static int wrong(char *why, const char *what, const char *text)
{
    return profile_fail(why, "%.120s %s", what, text);
}

/* Text that grows up to a bound; `n` > cap: it did not fit. */
struct line {
    char *buf;
    size_t cap;
    size_t n;
};

static void put(struct line *line, const char *text, size_t n)
{
    if (line->n + n < line->cap) {
        memcpy(line->buf + line->n, text, n);
        line->buf[line->n + n] = '\0';
        line->n += n;
    } else {
        line->n = line->cap;
    }
}

static void put_model(struct line *line, const char *model)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~@";
    for (const char *s = model; *s; s++) {
        char byte[8];
        if (strchr(plain, *s)) {
            put(line, s, 1);
        } else {
            snprintf(byte, sizeof(byte), "%%%02X", (unsigned char)*s);
            put(line, byte, 3);
        }
    }
}

/* ---- Segments ---- */

/* Parts of a path, without their slashes. */
struct segments {
    struct {
        const char *text;
        size_t len;
    } at[MAX_SEGMENTS];
    size_t n;
};

/* The last MAX_SEGMENTS of them. */
static struct segments split(const char *path, size_t len)
{
    struct segments s = {.n = 0};
    for (size_t i = 0; i < len;) {
        size_t end = i + 1;
        while (end < len && path[end] != '/')
            end++;
        if (s.n == MAX_SEGMENTS)
            memmove(&s.at[0], &s.at[1], sizeof(s.at[0]) * --s.n);
        s.at[s.n].text = path + i + 1;
        s.at[s.n++].len = end - i - 1;
        i = end;
    }
    return s;
}

/* Whether a segment of a base is one of a path, in which {model} is anything. */
static bool is_same(const char *text, size_t len, const char *of_path, size_t path_len)
{
    const char *model = memmem(of_path, path_len, MODEL, strlen(MODEL));
    if (!model)
        return len == path_len && memcmp(text, of_path, len) == 0;
    size_t before = (size_t)(model - of_path);
    size_t after = path_len - before - strlen(MODEL);
    return len > before + after && memcmp(text, of_path, before) == 0 &&
           memcmp(text + len - after, of_path + path_len - after, after) == 0;
}

/* How many of the base's last segments are the first of the path. */
static size_t overlap(const struct segments *base, const struct segments *path)
{
    size_t n = base->n < path->n ? base->n : path->n;
    for (; n > 0; n--) {
        size_t same = 0;
        while (same < n &&
               is_same(base->at[base->n - n + same].text, base->at[base->n - n + same].len,
                       path->at[same].text, path->at[same].len))
            same++;
        if (same == n)
            break;
    }
    return n;
}

/* v1, v4, v1beta, v1beta1. */
static bool is_version(const char *text, size_t len)
{
    static const char digits[] = "0123456789";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t i = 1;
    if (len < 2 || text[0] != 'v' || !strchr(digits, text[1]))
        return false;
    while (i < len && text[i] && strchr(digits, text[i]))
        i++;
    while (i < len && text[i] && strchr(letters, text[i]))
        i++;
    while (i < len && text[i] && strchr(digits, text[i]))
        i++;
    return i == len;
}

/* The number of segments up to and including the version; 0: the path has none. */
static size_t behind_version(const struct segments *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (is_version(s->at[i].text, s->at[i].len))
            return i + 1;
    }
    return 0;
}

static bool has_version(const struct profile *profile, const struct segments *base, size_t shared)
{
    size_t last = base->n - shared;
    if (profile->versioned_base && behind_version(base) > 0)
        return true;
    return last > 0 && is_version(base->at[last - 1].text, base->at[last - 1].len);
}

static struct segments cut(const struct segments *s, size_t from)
{
    struct segments rest = {.n = s->n - from};
    memcpy(rest.at, s->at + from, rest.n * sizeof(rest.at[0]));
    return rest;
}

/* The part of `path`, which may have a query, that is missing from the base. May be "". */
static const char *missing_part(const struct profile *profile, const char *base, size_t base_len,
                                const char *path)
{
    size_t path_len = strcspn(path, "?");
    struct segments have = split(base, base_len);
    struct segments want = split(path, path_len);
    size_t shared = overlap(&have, &want);
    size_t from = shared;
    if (shared == 0) {
        struct segments rest = cut(&want, behind_version(&want));
        size_t of_rest = overlap(&have, &rest);
        if (of_rest == rest.n || has_version(profile, &have, of_rest))
            from = want.n - rest.n + of_rest;
    }
    return from < want.n ? want.at[from].text - 1 : path + path_len;
}

/* Profiles whose provider has another path behind a base with a version (Azure). */
static const char *choose_path(const struct profile *profile, const char *base, size_t base_len,
                               bool streamed)
{
    const char *path = streamed && profile->stream_path ? profile->stream_path : profile->path;
    if (!profile->versioned_path)
        return path;
    struct segments have = split(base, base_len);
    struct segments want = split(path, strcspn(path, "?"));
    struct segments other = split(profile->versioned_path, strcspn(profile->versioned_path, "?"));
    size_t shared = overlap(&have, &other);
    size_t last = have.n - shared;
    if (overlap(&have, &want) == 0 && last > 0 &&
        is_version(have.at[last - 1].text, have.at[last - 1].len))
        return profile->versioned_path;
    return path;
}

/* ---- Queries ---- */

/* Whether a query has a parameter of the same name as the one at `parameter`. */
static bool has_parameter(const char *query, size_t len, const char *parameter)
{
    size_t name = strcspn(parameter, "=&");
    for (size_t i = 0; i < len;) {
        size_t end = i;
        while (end < len && query[end] != '&')
            end++;
        if (end - i >= name && memcmp(query + i, parameter, name) == 0 &&
            (end - i == name || query[i + name] == '='))
            return true;
        i = end + 1;
    }
    return false;
}

/* Puts the parameters that neither of two other queries has. `sign` comes before the next one. */
static void put_query(struct line *line, char *sign, const char *query, const char *but,
                      const char *but_too)
{
    while (query && *query) {
        size_t len = strcspn(query, "&");
        bool hidden = (but && has_parameter(but, strlen(but), query)) ||
                      (but_too && has_parameter(but_too, strlen(but_too), query));
        if (len > 0 && !hidden) {
            put(line, sign, 1);
            put(line, query, len);
            *sign = '&';
        }
        query += len + (query[len] == '&');
    }
}

static bool query_is_good(const char *query)
{
    for (const char *s = query; *s; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '#')
            return false;
    }
    return true;
}

bool profile_query_has(const char *query, const char *name)
{
    return query && has_parameter(query, strlen(query), name);
}

/* ---- The URL ---- */

bool profile_wants_stream(const struct profile *profile, json_object *body)
{
    json_object *stream = profile_first(body, "stream");
    return stream ? json_object_get_boolean(stream) : profile->request.streams_by_default;
}

static int find_model(const struct profile *profile, const char *model, json_object *body,
                      const char **out, char *why)
{
    if (!model || !model[0])
        model = profile_first_text(body, "model");
    /* Gemini's own lists name its models "models/gemini-..." */
    if (model && strncmp(model, "models/", 7) == 0 && strstr(profile->path, "models/" MODEL))
        model += 7;
    if (!model || !model[0] || strcmp(model, ".") == 0 || strcmp(model, "..") == 0)
        return wrong(
            why, profile->name,
            "has the model in its path; state the model, or name it as \"model\" in the body");
    *out = model;
    return 0;
}

static int check_base(const struct profile *profile, const char *base, char *why)
{
    if (!base)
        return wrong(why, profile->name,
                     "has no URL of its own; state the base URL of your server or account");
    size_t scheme = strncmp(base, "https://", 8) == 0 ? 8 : 7;
    if ((scheme == 7 && strncmp(base, "http://", 7) != 0) || strcspn(base + scheme, "/?#") == 0)
        return wrong(why, base, "is not a base URL; write one as https://api.example.com");
    for (const char *s = base; *s; s++) {
        if ((unsigned char)*s <= 0x20 || *s == 0x7f || *s == '#')
            return wrong(why, base,
                         "is not a base URL: it has a blank, a control character or a #; write one "
                         "as https://api.example.com");
    }
    return 0;
}

/* Puts a path, up to its query. */
static int put_path(struct line *line, const struct profile *profile, const char *path,
                    const char *model, json_object *body, char *why)
{
    const char *place = strstr(path, MODEL);
    if (place) {
        int err = find_model(profile, model, body, &model, why);
        if (err < 0)
            return err;
        put(line, path, (size_t)(place - path));
        put_model(line, model);
        path = place + strlen(MODEL);
    }
    put(line, path, strcspn(path, "?"));
    return 0;
}

int profile_url(const struct profile *profile, const char *base, const char *model,
                const char *query, json_object *body, char *buf, size_t cap, char *why)
{
    bool streamed = profile_wants_stream(profile, body);
    if (streamed && !profile->streams)
        return wrong(why, profile->name, "does not stream; leave \"stream\" out of the body");
    if (!base)
        base = profile->url;
    int err = check_base(profile, base, why);
    if (err < 0)
        return err;
    if (query && !query_is_good(query))
        return wrong(why, "the query",
                     "has a blank, a control character, a # or a byte outside ASCII; write such "
                     "bytes as %20");
    size_t len = strcspn(base, "?");
    const char *base_query = base[len] ? base + len + 1 : NULL;
    while (len > 0 && base[len - 1] == '/')
        len--;
    const char *host = strstr(base, "://") + 3;
    size_t host_len = strcspn(host, "/?");
    const char *own = host + host_len; /* the base's own path */
    size_t own_len = base + len > own ? (size_t)(base + len - own) : 0;
    const char *path = choose_path(profile, own, own_len, streamed);
    const char *path_query = path[strcspn(path, "?")] ? strchr(path, '?') + 1 : NULL;
    struct line line = {buf, cap, 0};
    char sign = '?';
    put(&line, base, len);
    err = put_path(&line, profile, missing_part(profile, own, own_len, path), model, body, why);
    if (err < 0)
        return err;
    put_query(&line, &sign, path_query, base_query, query);
    put_query(&line, &sign, base_query, query, NULL);
    put_query(&line, &sign, query, NULL, NULL);
    if (line.n >= cap)
        return wrong(why, profile->name,
                     "makes a URL that is too long; shorten the base URL or the model");
    return 0;
}
