/*
 * The binary framing of Amazon's event streams, application/vnd.amazon.eventstream. Documented at
 *
 *     https://smithy.io/2.0/aws/amazon-eventstream.html
 */
#ifndef UPSTREAM_FRAME_H
#define UPSTREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

/* Appends one message: `:message-type` is event or exception, `:event-type` or `:exception-type` is
 * its name. */
void frame_append(struct evbuffer *out, const char *message_type, const char *name,
                  const char *payload, size_t len);

/* Takes the first message out of `from`. Gives its headers, still framed, and its payload,
 * NUL-terminated, in one block that free(*headers) frees. False if there is no whole message. */
bool frame_take(struct evbuffer *from, char **headers, size_t *headers_len, char **payload);

/* Appends a message whose headers are already framed. */
void frame_append_raw(struct evbuffer *out, const void *headers, size_t headers_len,
                      const char *payload, size_t len);

#endif
