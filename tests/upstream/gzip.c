/*
 * A stored block is a byte 0 (1 in the last block), its length, the length inverted, and its bytes.
 */
#include "gzip.h"

#include <stddef.h>

#include <event2/buffer.h>

#include "crc32.h"

#define MOST_STORED 65535

static void add16(struct evbuffer *out, unsigned n)
{
    unsigned char two[2] = {(unsigned char)n, (unsigned char)(n >> 8)};
    evbuffer_add(out, two, sizeof(two));
}

static void add_block(struct evbuffer *out, const unsigned char *bytes, size_t len, bool last)
{
    evbuffer_add(out, last ? "\1" : "\0", 1);
    add16(out, (unsigned)len);
    add16(out, ~(unsigned)len & 0xffff);
    evbuffer_add(out, bytes, len);
}

void gzip_part(struct gzip *gz, struct evbuffer *out, bool last)
{
    size_t len = evbuffer_get_length(out);
    const unsigned char *bytes = evbuffer_pullup(out, -1);
    struct evbuffer *packed = gz->on ? evbuffer_new() : NULL;
    if (packed == NULL) {
        return;
    }
    if (!gz->begun) {
        evbuffer_add(packed, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
        gz->begun = true;
    }
    gz->crc = crc32_add(gz->crc, bytes, len);
    gz->size += (uint32_t)len;
    while (len > 0) {
        size_t n = len < MOST_STORED ? len : MOST_STORED;
        add_block(packed, bytes, n, false);
        bytes += n;
        len -= n;
    }
    if (last) {
        add_block(packed, NULL, 0, true);
        add16(packed, gz->crc & 0xffff);
        add16(packed, gz->crc >> 16);
        add16(packed, gz->size & 0xffff);
        add16(packed, gz->size >> 16);
    }
    evbuffer_drain(out, evbuffer_get_length(out));
    evbuffer_add_buffer(out, packed);
    evbuffer_free(packed);
}
