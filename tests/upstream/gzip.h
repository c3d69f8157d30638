/*
 * Answers compressed as `Content-Encoding: gzip` says: the format of RFC 1952 around blocks that
 * are stored as they are, which any decoder must read, and which take no compressor.
 */
#ifndef UPSTREAM_GZIP_H
#define UPSTREAM_GZIP_H

#include <stdbool.h>
#include <stdint.h>

struct evbuffer;

struct gzip {
    bool on; /* set by the owner, who begins */
    bool begun;
    uint32_t crc, size;
};

/* Replaces what is in `out` by its compressed form, one part of a whole; `last` ends that. Does
 * nothing where it is not on. */
void gzip_part(struct gzip *gz, struct evbuffer *out, bool last);

#endif
