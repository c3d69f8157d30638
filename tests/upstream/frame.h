/*
 * The binary framing of Amazon's event streams, application/vnd.amazon.eventstream. Documented at
 *
 *     https://smithy.io/2.0/aws/amazon-eventstream.html
 */
#ifndef UPSTREAM_FRAME_H
#define UPSTREAM_FRAME_H

#include <stddef.h>

struct evbuffer;

/* Appends one message: `:message-type` is event or exception, and its name is said in `:event-type` or
 * `:exception-type`. */
void frame_append(struct evbuffer *out, const char *message_type, const char *name,
                  const char *payload, size_t len);

#endif
