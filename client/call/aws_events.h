/*
 * The binary events of AWS (application/vnd.amazon.eventstream), in which Bedrock streams.
 *
 *     4 bytes   length of the whole message           4 bytes   CRC-32 of the eight bytes before
 *     4 bytes   length of its headers                           headers
 *                                                               payload
 *                                                     4 bytes   CRC-32 of all before it
 *
 * A header is the length of its name (1 byte), the name, a type (1 byte; 7 is a text), and the
 * value (a text: 2 bytes of length and the text). Numbers are big-endian. As
 * https://smithy.io/2.0/aws/amazon-eventstream.html has it.
 */
#ifndef RATION_AWS_EVENTS_H
#define RATION_AWS_EVENTS_H

#include "grow.h"

#include <stddef.h>

/* Of a message, as AWS limits it: 16 MiB with what surrounds the payload. */
#define AWS_EVENTS_MAX_BYTES (16u << 20)
#define AWS_EVENTS_NAME      128

/* One event: its name, which is the value of ":event-type" or, for an error, of ":exception-type"
 * or ":error-code", and its payload with a NUL behind its n bytes. A negative return value ends the
 * feeding, which returns it. */
typedef int (*aws_events_fn)(void *arg, const char *name, const char *data, size_t n);

struct aws_events {
    aws_events_fn on_event;
    void *arg;
    struct grow message; /* the one that has begun */
    int failed;
};

void aws_events_init(struct aws_events *events, aws_events_fn on_event, void *arg);

/* Errors: RATION_EPROTOCOL (not a message, or its checksum is wrong), RATION_ENOMEM, and
 * what on_event returned. After an error, the same one again. */
int aws_events_feed(struct aws_events *events, const char *bytes, size_t n);

/* Frees what it holds; may be called twice. */
void aws_events_close(struct aws_events *events);

#endif
