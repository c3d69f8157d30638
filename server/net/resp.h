/*
 * RESP, the protocol of Redis: requests taken apart, replies written.
 *
 * Requests are parsed in place: an argument is a place in the caller's bytes, nothing is copied or allocated. The
 * parser remembers how far it came, as offsets from the request's first byte, so that the bytes may move between two
 * calls and are never looked at twice.
 */
#ifndef RATIOND_RESP_H
#define RATIOND_RESP_H

#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

#include "net/buf.h"

/* ---- Requests ------------------------------------------------------------------------------------------------ */

/* One argument of a request: n bytes at p, not NUL-terminated. */
struct arg {
    const char *p;
    size_t n;
};

/* Offsets fit in 16 bits because RATION_MAX_REQUEST_BYTES does; an idle connection holds one of these. */
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
    RESP_REQUEST,  /* complete; argc may be 0 (an empty line): there is nothing to answer */
    RESP_BAD_LINE, /* a complete inline line that cannot be split; *error says why */
    RESP_BROKEN, /* not RESP, or beyond a limit; *error says why. Nothing after it can be understood */
};

void resp_parser_reset(struct resp_parser *parser);

/*
 * Parses the request that begins at data, of which n bytes are there. data[0] must be the same byte in each call until
 * the request is complete; then (RESP_REQUEST, RESP_BAD_LINE) *used is its length, and the parser must be reset before
 * the next. Quoted words of an inline request are unquoted in place.
 * *error is text without line ends, lives for ever.
 */
enum resp_result resp_parse(struct resp_parser *parser, char *data, size_t n, size_t *used,
                            const char **error);

/* The arguments of a complete request, as places in data. Returns their number. */
size_t resp_args(const struct resp_parser *parser, const char *data,
                 struct arg out[RATION_MAX_ARGS]);

/* ---- Replies ------------------------------------------------------------------------------------------------- */

/* `resp` is the connection's version, 2 or 3. All of them append to a buffer; see buf.failed. */
void resp_simple(struct buf *out, const char *text);
/* "-<text>": control bytes become '?', so that whatever is in it stays one line. */
void resp_error(struct buf *out, const char *text);
void resp_integer(struct buf *out, int64_t value);
void resp_bulk(struct buf *out, const char *bytes, size_t n);
void resp_text(struct buf *out, const char *text);
void resp_array(struct buf *out, size_t n);
/* A map of n pairs; in RESP2 an array of 2n. */
void resp_map(struct buf *out, int resp, size_t n);
void resp_null(struct buf *out, int resp);

/* Outside bytes for an error text: anything but printable ASCII as \xHH, at most 64 bytes of them. Returns buf. */
#define RESP_SHOW_BYTES 272
const char *resp_show(char buf[RESP_SHOW_BYTES], const char *bytes, size_t n);

#endif
