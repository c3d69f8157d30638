/*
 *     total length, 4 bytes | length of the headers, 4 | CRC-32 of those 8, 4 | headers | payload |
 *     CRC-32 of all before, 4
 *
 * all in network byte order. A header is one byte with the length of its name, the name, the type 7
 * (a string), two bytes with the string's length, the string.
 */
#include "frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "crc32.h"

#define PRELUDE 12
#define TRAILER 4

static void put32(unsigned char *at, uint32_t n)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(n >> (24 - 8 * i));
    }
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void add_header(struct evbuffer *out, const char *name, const char *value)
{
    size_t len = strlen(value);
    unsigned char name_len = (unsigned char)strlen(name);
    unsigned char middle[3] = {7, (unsigned char)(len >> 8), (unsigned char)len};
    evbuffer_add(out, &name_len, 1);
    evbuffer_add(out, name, name_len);
    evbuffer_add(out, middle, sizeof(middle));
    evbuffer_add(out, value, len);
}

void frame_append_raw(struct evbuffer *out, const void *headers, size_t headers_len,
                      const char *payload, size_t len)
{
    unsigned char prelude[PRELUDE];
    unsigned char end[TRAILER];
    put32(prelude, (uint32_t)(sizeof(prelude) + headers_len + len + sizeof(end)));
    put32(prelude + 4, (uint32_t)headers_len);
    put32(prelude + 8, crc32_add(0, prelude, 8));
    uint32_t crc = crc32_add(0, prelude, sizeof(prelude));
    crc = crc32_add(crc, headers, headers_len);
    put32(end, crc32_add(crc, payload, len));
    evbuffer_add(out, prelude, sizeof(prelude));
    evbuffer_add(out, headers, headers_len);
    evbuffer_add(out, payload, len);
    evbuffer_add(out, end, sizeof(end));
}

void frame_append(struct evbuffer *out, const char *message_type, const char *name,
                  const char *payload, size_t len)
{
    struct evbuffer *headers = evbuffer_new();
    if (headers == NULL) {
        return; /* without memory an answer gets shorter, here as everywhere */
    }
    add_header(headers, strcmp(message_type, "event") == 0 ? ":event-type" : ":exception-type",
               name);
    add_header(headers, ":content-type", "application/json");
    add_header(headers, ":message-type", message_type);
    size_t headers_len = evbuffer_get_length(headers);
    frame_append_raw(out, evbuffer_pullup(headers, -1), headers_len, payload, len);
    evbuffer_free(headers);
}

bool frame_take(struct evbuffer *from, char **headers, size_t *headers_len, char **payload)
{
    unsigned char prelude[PRELUDE];
    if (evbuffer_copyout(from, prelude, sizeof(prelude)) != (ev_ssize_t)sizeof(prelude)) {
        return false;
    }
    size_t total = get32(prelude);
    size_t n = get32(prelude + 4);
    if (total > evbuffer_get_length(from) || n > total || total - n < PRELUDE + TRAILER) {
        return false;
    }
    size_t len = total - n - PRELUDE - TRAILER;
    char *block = malloc(n + len + 1);
    if (block == NULL) {
        return false;
    }
    evbuffer_drain(from, PRELUDE);
    evbuffer_remove(from, block, n + len);
    evbuffer_drain(from, TRAILER);
    block[n + len] = '\0';
    *headers = block;
    *headers_len = n;
    *payload = block + n;
    return true;
}
