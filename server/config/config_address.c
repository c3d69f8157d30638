/*
 * Listening addresses, and the store's URL.
 *
 *     127.0.0.1:7420   localhost:0   [::1]:7420   /run/ration/ration.sock
 *
 *     embedded
 *     redis://[user[:password]@]host[:port][/db]
 *     redis+unix://[user[:password]@]/path/of/socket[?db=n]
 *
 * User and password may be percent-encoded. No message quotes the URL, because it may contain a
 * password; for the same reason the configuration keeps the URL without it.
 */
#include "config/config_parts.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HOST_BYTES 253
#define MAX_PATH_BYTES 107 /* what fits into sun_path */
#define MAX_DB         65535
#define REDIS_PORT     6379

/* Bytes of a borrowed text. */
struct slice {
    const char *p;
    size_t n;
};

static bool read_number(struct slice text, long max, long *out)
{
    long number = 0;
    if (text.n == 0 || text.n > 9)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (!isdigit((unsigned char)text.p[i]))
            return false;
        number = number * 10 + (text.p[i] - '0');
    }
    *out = number;
    return number <= max;
}

/*
 * Splits host:port. has_port is false if there is no colon after the host. Returns NULL, or what is
 * wrong.
 */
static const char *split_host(struct slice text, struct slice *host, bool *has_port,
                              struct slice *port)
{
    const char *end = text.p + text.n;
    const char *after;
    if (text.n > 0 && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.n);
        if (close == NULL)
            return "the \"[\" of an IPv6 address is not closed";
        *host = (struct slice){text.p + 1, (size_t)(close - text.p - 1)};
        after = close + 1;
        if (after != end && *after != ':')
            return "\"]\" must be followed by a colon and the port";
    } else {
        after = memchr(text.p, ':', text.n);
        after = after != NULL ? after : end;
        *host = (struct slice){text.p, (size_t)(after - text.p)};
        if (after != end && memchr(after + 1, ':', (size_t)(end - after - 1)) != NULL)
            return "an IPv6 address needs brackets";
    }
    if (host->n == 0 || host->n > MAX_HOST_BYTES)
        return "the host is missing or too long";
    for (size_t i = 0; i < host->n; i++)
        if (!isalnum((unsigned char)host->p[i]) &&
            (host->p[i] == '\0' || strchr(".-_:%", host->p[i]) == NULL))
            return "the host has a character that is not valid in a host name or address";
    *has_port = after != end;
    if (*has_port)
        *port = (struct slice){after + 1, (size_t)(end - after - 1)};
    return NULL;
}

void config_read_address(const struct section *section, const char *key, char **host,
                         uint16_t *port)
{
    *host = NULL;
    *port = 0;
    const char *text = section_string(section, key);
    if (text == NULL)
        return;
    struct slice name;
    struct slice digits;
    bool has_port = false;
    long number = 0;
    const char *wrong = split_host((struct slice){text, strlen(text)}, &name, &has_port, &digits);
    if (wrong == NULL && !has_port)
        wrong = "the port is missing";
    if (wrong == NULL && !read_number(digits, 65535, &number))
        wrong = "the port is not a number from 0 to 65535";
    if (wrong != NULL) {
        char quoted[CONFIG_QUOTED_BYTES];
        section_problem(section, key,
                        "%s: %s; use host:port or [v6]:port, such as \"127.0.0.1:7420\" or "
                        "\"0.0.0.0:7420\" for every address of this host",
                        config_quote(quoted, text, strlen(text)), wrong);
        return;
    }
    *host = config_copy(section->reader->config, name.p, name.n);
    *port = (uint16_t)number;
}

char *config_read_path(const struct section *section, const char *key)
{
    const char *text = section_string(section, key);
    if (text == NULL)
        return NULL;
    size_t n = strlen(text);
    if (text[0] != '/' || n > MAX_PATH_BYTES) {
        char quoted[CONFIG_QUOTED_BYTES];
        section_problem(section, key,
                        "%s: a socket's path begins with \"/\" and has at most %d bytes, such as "
                        "\"/run/ration/ration.sock\"; null: no socket",
                        config_quote(quoted, text, n), MAX_PATH_BYTES);
        return NULL;
    }
    return config_copy(section->reader->config, text, n);
}

/* ---- The store ------------------------------------------------------------------------------- */

/* Gives the decoded text, or NULL: a % without two digits, or a NUL. */
static char *percent_decode(struct config *config, struct slice text)
{
    char *out = config_alloc(config, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            unsigned char byte = 0;
            if (i + 2 >= text.n || !text_from_hex(text.p + i + 1, &byte, 1) || byte == 0)
                return NULL;
            c = (char)byte;
            i += 2;
        }
        out[n++] = c;
    }
    return out;
}

/* Takes `user:password@` off the front of *rest. Returns NULL, or what is wrong. */
static const char *take_login(struct config *config, struct slice *rest, struct config_store *out,
                              struct slice *user_as_written)
{
    /* The last @ before the path, so that an unencoded @ in a password does no harm. */
    size_t authority = 0;
    while (authority < rest->n && rest->p[authority] != '/')
        authority++;
    size_t at = authority;
    while (at > 0 && rest->p[at - 1] != '@')
        at--;
    *user_as_written = (struct slice){rest->p, 0};
    if (at == 0)
        return NULL;
    struct slice login = {rest->p, at - 1};
    *rest = (struct slice){rest->p + at, rest->n - at};
    const char *colon = memchr(login.p, ':', login.n);
    size_t user_n = colon != NULL ? (size_t)(colon - login.p) : login.n;
    user_as_written->n = user_n;
    if (user_n > 0) {
        out->user = percent_decode(config, (struct slice){login.p, user_n});
        if (out->user == NULL)
            return "a \"%\" in the user is not followed by two hexadecimal digits";
    }
    if (colon != NULL && user_n + 1 < login.n) {
        out->password = percent_decode(config, (struct slice){colon + 1, login.n - user_n - 1});
        if (out->password == NULL)
            return "a \"%\" in the password is not followed by two hexadecimal digits";
    }
    return NULL;
}

static const char *read_tcp(struct config *config, struct slice rest, struct config_store *out)
{
    struct slice user;
    const char *wrong = take_login(config, &rest, out, &user);
    if (wrong != NULL)
        return wrong;
    long port = REDIS_PORT;
    long db = 0;
    const char *slash = memchr(rest.p, '/', rest.n);
    if (slash != NULL) {
        struct slice digits = {slash + 1, (size_t)(rest.p + rest.n - slash - 1)};
        if (digits.n > 0 && !read_number(digits, MAX_DB, &db))
            return "the text after \"/\" is not a database number";
        rest.n = (size_t)(slash - rest.p);
    }
    struct slice host;
    struct slice digits;
    bool has_port = false;
    wrong = split_host(rest, &host, &has_port, &digits);
    if (wrong != NULL)
        return wrong;
    if (has_port && (!read_number(digits, 65535, &port) || port == 0))
        return "the port is not a number from 1 to 65535";
    out->kind = STORE_TCP;
    out->host = config_copy(config, host.p, host.n);
    out->port = (uint16_t)port;
    out->db = (int)db;
    bool v6 = memchr(host.p, ':', host.n) != NULL;
    out->url =
        config_format(config, "redis://%.*s%s%s%s%s:%ld/%ld", (int)user.n, user.p,
                      user.n > 0 ? "@" : "", v6 ? "[" : "", out->host, v6 ? "]" : "", port, db);
    return NULL;
}

static const char *read_unix(struct config *config, struct slice rest, struct config_store *out)
{
    struct slice user;
    const char *wrong = take_login(config, &rest, out, &user);
    if (wrong != NULL)
        return wrong;
    long db = 0;
    const char *question = memchr(rest.p, '?', rest.n);
    if (question != NULL) {
        struct slice query = {question + 1, (size_t)(rest.p + rest.n - question - 1)};
        if (query.n < 4 || memcmp(query.p, "db=", 3) != 0 ||
            !read_number((struct slice){query.p + 3, query.n - 3}, MAX_DB, &db))
            return "the text after \"?\" is not db= and a number";
        rest.n = (size_t)(question - rest.p);
    }
    if (rest.n < 2 || rest.p[0] != '/')
        return "the socket's path is missing: redis+unix:///path, with three slashes";
    if (rest.n > MAX_PATH_BYTES)
        return "the socket's path has more than 107 bytes";
    out->kind = STORE_UNIX;
    out->path = config_copy(config, rest.p, rest.n);
    out->db = (int)db;
    out->url = config_format(config, "redis+unix://%.*s%s%s?db=%ld", (int)user.n, user.p,
                             user.n > 0 ? "@" : "", out->path, db);
    return NULL;
}

static const char *const later_schemes[] = {
    "rediss://",          "redis+sentinel://", "redis+cluster://",
    "rediss+sentinel://", "rediss+cluster://", "valkeys://",
};

static bool begins(const char *text, const char *with, struct slice *rest)
{
    size_t n = strlen(with);
    if (strncmp(text, with, n) != 0)
        return false;
    *rest = (struct slice){text + n, strlen(text + n)};
    return true;
}

static void read_url(const struct section *section, const char *url, struct config_store *out)
{
    struct config *config = section->reader->config;
    struct slice rest;
    const char *wrong = NULL;
    if (strcmp(url, "embedded") == 0) {
        out->kind = STORE_EMBEDDED;
        out->url = config_copy(config, url, strlen(url));
    } else if (begins(url, "redis://", &rest)) {
        wrong = read_tcp(config, rest, out);
    } else if (begins(url, "redis+unix://", &rest)) {
        wrong = read_unix(config, rest, out);
    } else {
        wrong = "its scheme is not known";
        for (size_t i = 0; i < sizeof later_schemes / sizeof later_schemes[0]; i++) {
            if (!begins(url, later_schemes[i], &rest))
                continue;
            section_problem(section, "url",
                            "%s is not supported by this version; use redis://host:port/db or "
                            "redis+unix:///path",
                            later_schemes[i]);
            return;
        }
    }
    if (wrong != NULL)
        section_problem(section, "url",
                        "%s; use \"embedded\", redis://[user[:password]@]host[:port][/db] or "
                        "redis+unix:///path[?db=n]",
                        wrong);
}

void config_read_store(const struct section *section, struct config_store *out)
{
    *out = (struct config_store){.kind = STORE_EMBEDDED};
    const char *url = section_string(section, "url");
    size_t before = section->reader->problems->n;
    if (url != NULL)
        read_url(section, url, out);
    bool url_ok = url != NULL && section->reader->problems->n == before;
    out->timeout_ms = (uint32_t)section_integer(section, "timeout_ms");
    before = section->reader->problems->n;
    if (section_word(section, "durability") != 0 && section->reader->problems->n == before)
        section_problem(section, "durability",
                        "safe and ledger are not supported by this version; use \"fast\"");
    if (section_has(section, "password")) {
        if (out->password != NULL)
            section_problem(section, "password",
                            "the URL already has a password; keep one of the two");
        else if (out->kind == STORE_EMBEDDED && url_ok)
            section_problem(section, "password", "the embedded store has no password; remove it");
        out->password = config_read_secret(section, "password");
    } else if (url_ok && out->user != NULL && out->password == NULL) {
        section_problem(section, "url",
                        "a user without a password; add one here, or as store.password");
    }
}
