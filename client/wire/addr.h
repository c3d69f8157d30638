/* The list of servers: "host[:port]", "[v6]:port" and "unix:/path", separated by commas. Parsing
 * only; no name is looked up here. A list lives inside its handle and owns nothing. */
#ifndef RATION_ADDR_H
#define RATION_ADDR_H

#include <stddef.h>
#include <stdint.h>

#define ADDR_MAX        16
#define ADDR_HOST_BYTES 256 /* a DNS name has 253; a unix path 107 */

struct addr {
    char host[ADDR_HOST_BYTES];      /* a name, an IP address without brackets, or a unix path */
    uint16_t port;                   /* 0: host is a unix path */
    char text[ADDR_HOST_BYTES + 16]; /* as messages show it */
};

struct addr_list {
    struct addr at[ADDR_MAX];
    size_t n;
};

/* Fills `list` from `text`. 0, or RATION_EINVALID with `list` unchanged. */
int addr_list_parse(const char *text, struct addr_list *list);

#endif
