/*
 * Parses the list of servers.
 *
 * Normal path: cut at commas, trim blanks, distinguish the three forms by their first bytes.
 * Refused are: an empty list or entry, more than ADDR_MAX entries, a port outside 1-65535, a unix
 * path that does not fit into sockaddr_un, and an IPv6 address without brackets (nobody could say
 * where its port begins).
 */
#include "wire/addr.h"

#include <ration/ration.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int parse_port(const char *s, size_t len, uint16_t *port)
{
    unsigned value = 0;
    if (len == 0 || len > 5)
        return RATION_EINVALID;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return RATION_EINVALID;
        value = value * 10 + (unsigned)(s[i] - '0');
    }
    if (value < 1 || value > 65535)
        return RATION_EINVALID;
    *port = (uint16_t)value;
    return 0;
}

static int set_host(struct addr *addr, const char *s, size_t len)
{
    if (len == 0 || len >= ADDR_HOST_BYTES)
        return RATION_EINVALID;
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] > '~')
            return RATION_EINVALID;
    }
    memcpy(addr->host, s, len);
    addr->host[len] = '\0';
    return 0;
}

static int parse_unix(const char *s, size_t len, struct addr *addr)
{
    if (len >= sizeof(((struct sockaddr_un *)NULL)->sun_path) || set_host(addr, s, len) < 0)
        return RATION_EINVALID;
    addr->port = 0;
    snprintf(addr->text, sizeof(addr->text), "unix:%.*s", (int)len, s);
    return 0;
}

static int parse_v6(const char *s, size_t len, struct addr *addr)
{
    const char *close = memchr(s, ']', len);
    if (!close || set_host(addr, s + 1, (size_t)(close - s) - 1) < 0)
        return RATION_EINVALID;
    size_t rest = len - (size_t)(close + 1 - s);
    addr->port = RATION_PORT_RESP;
    if (rest > 0 && (close[1] != ':' || parse_port(close + 2, rest - 1, &addr->port) < 0))
        return RATION_EINVALID;
    snprintf(addr->text, sizeof(addr->text), "[%.*s]:%u", (int)(close - s - 1), s + 1, addr->port);
    return 0;
}

static int parse_one(const char *s, size_t len, struct addr *addr)
{
    if (len > 5 && memcmp(s, "unix:", 5) == 0)
        return parse_unix(s + 5, len - 5, addr);
    if (len > 0 && s[0] == '[')
        return parse_v6(s, len, addr);

    const char *colon = memchr(s, ':', len);
    size_t host_len = colon ? (size_t)(colon - s) : len;
    addr->port = RATION_PORT_RESP;
    if (set_host(addr, s, host_len) < 0)
        return RATION_EINVALID;
    if (colon && parse_port(colon + 1, len - host_len - 1, &addr->port) < 0)
        return RATION_EINVALID;
    snprintf(addr->text, sizeof(addr->text), "%.*s:%u", (int)host_len, s, addr->port);
    return 0;
}

int addr_list_parse(const char *text, struct addr_list *list)
{
    struct addr_list parsed = {.n = 0};
    const char *s = text;
    for (;;) {
        const char *end = s + strcspn(s, ",");
        const char *first = s;
        const char *last = end;
        while (first < last && is_blank(*first))
            first++;
        while (last > first && is_blank(last[-1]))
            last--;
        if (parsed.n == ADDR_MAX ||
            parse_one(first, (size_t)(last - first), &parsed.at[parsed.n]) < 0)
            return RATION_EINVALID;
        parsed.n++;
        if (*end == '\0')
            break;
        s = end + 1;
    }
    *list = parsed;
    return 0;
}
