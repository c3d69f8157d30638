/*
 * The headers of a call: those of the profile, and those that a caller may add.
 *
 * A caller's own header may be anything except those that frame the request, which are libcurl's,
 * and those that belong to one connection: two that contradict each other are how requests are
 * smuggled past a proxy. Messages never contain a header's value, which may be a secret.
 */
#include "profile/profile_inner.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_HEADER_BYTES 8192

/* ---- The caller's own ---- */

size_t profile_header_name(const char *text)
{
    size_t n = 0;
    while ((unsigned char)text[n] > 0x20 && (unsigned char)text[n] < 0x7f &&
           !strchr("()<>@,;:\\\"/[]?={}", text[n]))
        n++;
    return n;
}

/* The length of the name that a line begins with, or 0 if it is not "Name: value". */
static size_t name_length(const char *line)
{
    size_t n = profile_header_name(line);
    return line[n] == ':' ? n : 0;
}

/* Whether a line is the header of that name, in any case. */
static bool is_header(const char *line, const char *name)
{
    size_t n = strlen(name);
    return name_length(line) == n && strncasecmp(line, name, n) == 0;
}

const char *profile_find_header(const char *const *lines, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (is_header(lines[i], name)) {
            const char *value = lines[i] + strlen(name) + 1;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

static bool is_framing(const char *line)
{
    static const char *const names[] = {
        "Connection",          "Content-Length",    "Expect",  "Host",
        "Keep-Alive",          "Proxy-Connection",  "TE",      "Trailer",
        "Proxy-Authorization", "Transfer-Encoding", "Upgrade",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_header(line, names[i]))
            return true;
    }
    return false;
}

static int check_header(const char *line, size_t number, char *why)
{
    size_t name = name_length(line);
    if (name == 0)
        return profile_fail(
            why, "header %zu does not begin with a name and a colon; write it as \"Name: value\"",
            number);
    if (is_framing(line))
        return profile_fail(why, "header %.*s belongs to the connection; leave it out", (int)name,
                            line);
    for (const char *s = line; *s; s++) {
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return profile_fail(
                why,
                "header %.*s has a line break or another control character; write it on one "
                "line",
                (int)(name < 64 ? name : 64), line);
    }
    if (strnlen(line, MAX_HEADER_BYTES + 1) > MAX_HEADER_BYTES)
        return profile_fail(why, "header %.*s has more than %d bytes", (int)(name < 64 ? name : 64),
                            line, MAX_HEADER_BYTES);
    return 0;
}

int profile_check_headers(const char *const *lines, size_t n, char *why)
{
    if (n > PROFILE_MAX_HEADERS)
        return profile_fail(why, "there are %zu headers; at most %d are sent", n,
                            PROFILE_MAX_HEADERS);
    for (size_t i = 0; i < n; i++) {
        int err =
            lines && lines[i] ? check_header(lines[i], i + 1, why) : check_header("", i + 1, why);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- The profile's ---- */

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
    char line[PROFILE_MAX_KEY_BYTES + 512];
    /* Without it libcurl would label the body a form, which most servers refuse. */
    int failed = add_header("Content-Type", profile->request.content_type, add, arg);
    const char *accept = streamed ? profile->request.stream_accept : profile->request.accept;
    if (failed == 0)
        failed = add_header("Accept", accept, add, arg);
    for (size_t i = 0; failed == 0 && i < profile->n_headers; i++)
        failed = add_header(profile->headers[i].name, profile->headers[i].value, add, arg);
    if (failed < 0)
        return failed;
    if (!key || !key[0] || !profile->key.header)
        return 0;
    if (strnlen(key, PROFILE_MAX_KEY_BYTES + 1) > PROFILE_MAX_KEY_BYTES || strpbrk(key, "\r\n"))
        return RATION_EINVALID;
    int n = snprintf(line, sizeof(line), "%s: %s%s", profile->key.header,
                     profile->key.prefix ? profile->key.prefix : "", key);
    int err = n < (int)sizeof(line) ? add(arg, line) : RATION_EINVALID;
    explicit_bzero(line, sizeof(line));
    return err;
}
