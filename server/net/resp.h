/*
 * RESP, the protocol of Redis: parses requests, writes replies.
 *
 * Requests are parsed in place: an argument points into the caller's bytes, nothing is copied or
 * allocated. The parser remembers how far it got, as offsets from the request's first byte, so the
 * bytes may move between two calls and are never read twice.
 */
#ifndef RATIOND_RESP_H
#define RATIOND_RESP_H

#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

#include "buf.h"

/* ---- Requests -------------------------------------------------------------------------------- */

/* One argument of a request: n bytes at p, not NUL-terminated. */
struct arg {
    const char *p;
    size_t n;
};

/* Offsets fit in 16 bits because RATION_MAX_REQUEST_BYTES does; an idle connection holds one of
 * these. */
struct resp_span {
    uint16_t at;
    uint16_t n;
};

struct resp_parser {
    uint8_t state;  /* enum in resp.c: what comes next */
    uint8_t wanted; /* arguments that the array's header announced */
    uint8_t argc;   /* arguments that are complete */
    uint16_t at;    /* offset up to which the request is parsed */
    uint16_t need;  /* bytes of the argument that is being read */
    struct resp_span args[RATION_MAX_ARGS];
};

enum resp_result {
    RESP_MORE,     /* incomplete: call again with the same bytes and more */
    RESP_REQUEST,  /* complete; argc may be 0 (an empty line), then there is nothing to answer */
    RESP_BAD_LINE, /* a complete inline line that cannot be split; *error says why */
    RESP_BROKEN,   /* not RESP, or beyond a limit; *error says why. Nothing after it is readable */
};

void resp_parser_reset(struct resp_parser *parser);

/*
 * Parses the request that begins at data, of which n bytes have arrived. data[0] must be the same
 * byte in each call until the request is complete (RESP_REQUEST, RESP_BAD_LINE); then *used is its
 * length, and the parser must be reset before the next one. Quoted words of an inline request are
 * unquoted in place. *error is static text without line ends.
 */
enum resp_result resp_parse(struct resp_parser *parser, char *data, size_t n, size_t *used,
                            const char **error);

/* Gives the arguments of a complete request, which point into data. Returns their number. */
size_t resp_args(const struct resp_parser *parser, const char *data,
                 struct arg out[RATION_MAX_ARGS]);

/* ---- Replies --------------------------------------------------------------------------------- */

/* `resp` is the connection's version, 2 or 3. All functions append to a buffer; see buf.failed. */
void resp_simple(struct buf *out, const char *text);
/* "-<text>": control bytes become '?', so that it always stays one line. */
void resp_error(struct buf *out, const char *text);
void resp_integer(struct buf *out, int64_t value);
void resp_bulk(struct buf *out, const char *bytes, size_t n);
void resp_text(struct buf *out, const char *text);
void resp_array(struct buf *out, size_t n);
/* A map of n pairs; in RESP2 an array of 2n. */
void resp_map(struct buf *out, int resp, size_t n);
void resp_null(struct buf *out, int resp);

/* Makes outside bytes fit for an error text: at most 64 of them, anything but printable ASCII as
 * \xHH. Returns buf. */
#define RESP_SHOW_BYTES 272
const char *resp_show(char buf[RESP_SHOW_BYTES], const char *bytes, size_t n);

#endif
