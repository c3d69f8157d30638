/* A message is gathered until it is whole, checked, and given; nothing in it is believed before its
 * checksums are right. */
#include "call/aws_events.h"

#include "bytes.h"

#include <ration/ration.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PRELUDE_BYTES 12 /* both lengths and their checksum */
#define TRAILER_BYTES 4
#define TYPE_TEXT     7

void aws_events_init(struct aws_events *events, aws_events_fn on_event, void *arg)
{
    *events = (struct aws_events){.on_event = on_event, .arg = arg};
    grow_init(&events->message, AWS_EVENTS_MAX_BYTES);
}

void aws_events_close(struct aws_events *events)
{
    grow_close(&events->message);
}

static const unsigned char *begin_of(const struct aws_events *events)
{
    return (const unsigned char *)events->message.bytes;
}

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)bytes_big_endian(at, 4);
}

/* CRC-32 as zip and gzip have it. A stream has some kilobytes, so no table is worth its page. */
static uint32_t checksum(const unsigned char *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* ---- Headers ---- */

/* The bytes of a value by its type; those of types 6 and 7 begin with their own length. */
static size_t value_bytes(unsigned type, const unsigned char *at, size_t left)
{
    static const size_t fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    if (type == 6 || type == TYPE_TEXT)
        return left < 2 ? SIZE_MAX : 2 + (size_t)bytes_big_endian(at, 2);
    return type < sizeof(fixed) / sizeof(fixed[0]) ? fixed[type] : SIZE_MAX;
}

static bool is_name(const unsigned char *at, size_t n, const char *name)
{
    return n == strlen(name) && memcmp(at, name, n) == 0;
}

/* Which event it is; false: these are not headers. */
static bool read_headers(const unsigned char *at, size_t n, char *name)
{
    name[0] = '\0';
    while (n > 0) {
        size_t len = at[0];
        if (n < len + 2)
            return false;
        const unsigned char *key = at + 1;
        unsigned type = at[1 + len];
        at += len + 2;
        n -= len + 2;
        size_t bytes = value_bytes(type, at, n);
        if (bytes > n)
            return false;
        if (type == TYPE_TEXT && bytes - 2 < AWS_EVENTS_NAME &&
            (is_name(key, len, ":event-type") || is_name(key, len, ":exception-type") ||
             is_name(key, len, ":error-code"))) {
            memcpy(name, at + 2, bytes - 2);
            name[bytes - 2] = '\0';
        }
        at += bytes;
        n -= bytes;
    }
    return true;
}

/* ---- Messages ---- */

static int give(struct aws_events *events, size_t total, size_t headers)
{
    char name[AWS_EVENTS_NAME];
    const unsigned char *begin = begin_of(events);
    char *payload = events->message.bytes + PRELUDE_BYTES + headers;
    size_t n = total - PRELUDE_BYTES - headers - TRAILER_BYTES;
    if (checksum(begin, total - TRAILER_BYTES) != read_u32(begin + total - TRAILER_BYTES) ||
        !read_headers(begin + PRELUDE_BYTES, headers, name))
        return RATION_EPROTOCOL;
    payload[n] = '\0'; /* the checksum has served */
    return events->on_event(events->arg, name, payload, n);
}

/* The length of the message that has begun; 0: not known yet; SIZE_MAX: not a message. */
static size_t message_bytes(const struct aws_events *events)
{
    const unsigned char *begin = begin_of(events);
    if (events->message.n < PRELUDE_BYTES)
        return 0;
    size_t total = read_u32(begin);
    size_t headers = read_u32(begin + 4);
    if (total < PRELUDE_BYTES + TRAILER_BYTES || total > AWS_EVENTS_MAX_BYTES ||
        headers > total - PRELUDE_BYTES - TRAILER_BYTES ||
        checksum(begin, 8) != read_u32(begin + 8))
        return SIZE_MAX;
    return total;
}

static int feed(struct aws_events *events, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t total = message_bytes(events);
        size_t wanted = (total ? total : PRELUDE_BYTES) - events->message.n;
        size_t step = n < wanted ? n : wanted;
        int err = grow_add(&events->message, bytes, step);
        if (err < 0)
            return err;
        bytes += step;
        n -= step;
        total = message_bytes(events);
        if (total == SIZE_MAX)
            return RATION_EPROTOCOL;
        if (total == 0 || events->message.n < total)
            continue;
        err = give(events, total, read_u32(begin_of(events) + 4));
        events->message.n = 0;
        if (err < 0)
            return err;
    }
    return 0;
}

int aws_events_feed(struct aws_events *events, const char *bytes, size_t n)
{
    if (events->failed == 0)
        events->failed = feed(events, bytes, n);
    return events->failed;
}
