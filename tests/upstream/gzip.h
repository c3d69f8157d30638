/*
 * Answers with `Content-Encoding: gzip`: the format of RFC 1952 around stored blocks, which every
 * decoder must read and which need no compressor.
 */
#ifndef UPSTREAM_GZIP_H
#define UPSTREAM_GZIP_H

#include <stdbool.h>
#include <stdint.h>

struct evbuffer;

struct gzip {
    bool on; /* set by the owner before the first part */
    bool begun;
    uint32_t crc, size;
};

/* Replaces what is in `out`, one part of an answer, by its compressed form; `last` ends the answer.
 * Does nothing unless it is on. */
void gzip_part(struct gzip *gz, struct evbuffer *out, bool last);

#endif
