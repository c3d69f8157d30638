/*
 * Where a call goes, and its headers.
 *
 * Users give base URLs as other clients of the same provider want them: with a slash at the end, or with the first part of the
 * path ("https://api.openai.com/v1"). Both are the same to us. The model becomes part of a URL where the profile says so, byte
 * by byte, so that no name of a model can lead to another path or query.
 */
#include "profile_inner.h"

#include <stdio.h>
#include <string.h>

#define MODEL         "{model}"
#define MAX_KEY_BYTES 1024

/* What is wrong (a profile or a URL), and the rest of the sentence. */
static int wrong(char *why, const char *what, const char *words)
{
    snprintf(why, PROFILE_WHY_BYTES, "%.120s %s", what, words);
    return RATION_EINVALID;
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
                                "0123456789-._~:@";
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

/* How much of `path` the base has already: its first part, "/v1" of "/v1/messages". */
static size_t shared_part(const char *base, size_t len, const char *path)
{
    size_t part = 1 + strcspn(path + 1, "/?");
    const char *host = strstr(base, "://");
    const char *rest = host ? memchr(host + 3, '/', len - (size_t)(host + 3 - base)) : NULL;
    if (!rest || part < 2 || path[part] != '/' || (size_t)(base + len - rest) < part)
        return 0;
    return memcmp(base + len - part, path, part) == 0 ? part : 0;
}

static bool wants_stream(json_object *body)
{
    return json_object_get_boolean(profile_first(body, "stream"));
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
    if ((strncmp(base, "http://", 7) != 0 && strncmp(base, "https://", 8) != 0) ||
        strpbrk(base, " \t\r\n?#"))
        return wrong(why, base, "is no base URL; write one as https://api.example.com");
    return 0;
}

int profile_url(const struct profile *profile, const char *base, const char *model,
                json_object *body, char *buf, size_t cap, char *why)
{
    bool streamed = wants_stream(body);
    if (streamed && !profile->streams)
        return wrong(why, profile->name,
                     "does not stream; leave \"stream\" out of the body");
    if (!base)
        base = profile->url;
    int err = check_base(profile, base, why);
    if (err < 0)
        return err;
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    const char *path = streamed && profile->stream_path ? profile->stream_path : profile->path;
    struct line line = {buf, cap, 0};
    put(&line, base, len);
    path += shared_part(base, len, path);
    const char *place = strstr(path, MODEL);
    if (place) {
        err = find_model(profile, model, body, &model, why);
        if (err < 0)
            return err;
        put(&line, path, (size_t)(place - path));
        put_model(&line, model);
        path = place + strlen(MODEL);
    }
    put(&line, path, strlen(path));
    if (line.n >= cap)
        return wrong(why, profile->name, "makes too long a URL; state a shorter base URL or model");
    return 0;
}

static int add_header(const char *name, const char *value, int (*add)(void *arg, const char *line),
                      void *arg)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "%s: %s", name, value);
    return n < (int)sizeof(line) ? add(arg, line) : RATION_EINVALID;
}

int profile_headers(const struct profile *profile, const char *key, bool streamed,
                    int (*add)(void *arg, const char *line), void *arg)
{
    char line[MAX_KEY_BYTES + 512];
    /* Without it libcurl would label the body a form, which most servers refuse. */
    int failed = add_header("Content-Type", profile->request.content_type, add, arg);
    if (failed == 0 && streamed && profile->request.stream_accept)
        failed = add_header("Accept", profile->request.stream_accept, add, arg);
    for (size_t i = 0; failed == 0 && i < profile->n_headers; i++)
        failed = add_header(profile->headers[i].name, profile->headers[i].value, add, arg);
    if (failed < 0)
        return failed;
    if (!key || !key[0] || !profile->key.header)
        return 0;
    if (strnlen(key, MAX_KEY_BYTES + 1) > MAX_KEY_BYTES || strpbrk(key, "\r\n"))
        return RATION_EINVALID;
    int n = snprintf(line, sizeof(line), "%s: %s%s", profile->key.header,
                     profile->key.prefix ? profile->key.prefix : "", key);
    int err = n < (int)sizeof(line) ? add(arg, line) : RATION_EINVALID;
    explicit_bzero(line, sizeof(line));
    return err;
}
