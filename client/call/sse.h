/*
 * Server-sent events, as they arrive: bytes in any pieces in, whole events out.
 *
 *     struct sse sse;
 *     sse_init(&sse, on_event, arg);
 *     while (bytes come)
 *         if ((err = sse_feed(&sse, bytes, n)) < 0)
 *             break;
 *     sse_close(&sse);
 *
 * Lines end in LF, CR or CRLF; a byte order mark at the start, comments, and fields of other names
 * are skipped. `data` of several lines is joined by LF. An event that the stream did not end with
 * an empty line was cut short, and is not an event. One event holds SSE_MAX_EVENT_BYTES at the
 * most. No socket, no clock: what to do after the connection is lost is the caller's.
 */
#ifndef RATION_SSE_H
#define RATION_SSE_H

#include "grow.h"

#include <stdbool.h>
#include <stddef.h>

/* of one event's data, and of one line: as large as an answer may be */
#define SSE_MAX_EVENT_BYTES (64u << 20)
#define SSE_MAX_NAME_BYTES  128 /* of its name; a longer one is cut */

/* One event. name is "" if the stream gave none; data has a NUL behind its n bytes. Both are lent
 * for the call. A negative return value ends the feeding, which returns it. */
typedef int (*sse_event_fn)(void *arg, const char *name, const char *data, size_t n);

struct sse {
    sse_event_fn on_event;
    void *arg;
    struct grow line; /* the line whose end has not come */
    struct grow data; /* of the event so far */
    bool has_data;    /* a data field came, even an empty one */
    bool after_cr;    /* an LF that comes now belongs to the CR before it */
    unsigned mark;    /* bytes of the byte order mark so far; 3: past the start */
    char name[SSE_MAX_NAME_BYTES];
    int failed; /* the error that sse_feed() returned and will return again; 0: none */
};

void sse_init(struct sse *sse, sse_event_fn on_event, void *arg);

/*
 * Takes the next n bytes, and calls on_event for each event that they complete.
 * Errors: RATION_EPROTOCOL (an event or a line of more than SSE_MAX_EVENT_BYTES), RATION_ENOMEM,
 * and what on_event returned. After an error, the same one again.
 */
int sse_feed(struct sse *sse, const char *bytes, size_t n);

/* Frees what it holds; may be called twice. */
void sse_close(struct sse *sse);

#endif
