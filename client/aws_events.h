/*
 * The binary events of AWS (application/vnd.amazon.eventstream), in which Bedrock streams.
 *
 *     4 bytes   length of the whole message           4 bytes   CRC-32 of the eight bytes before
 *     4 bytes   length of its headers                           headers
 *                                                               payload
 *                                                     4 bytes   CRC-32 of all before it
 *
 * A header is the length of its name (1 byte), the name, a type (1 byte; 7 is a text), and the value (a text: 2 bytes of length
 * and the text). Numbers are big-endian. As https://smithy.io/2.0/aws/amazon-eventstream.html has it.
 */
#ifndef RATION_AWS_EVENTS_H
#define RATION_AWS_EVENTS_H

#include <stddef.h>

#define AWS_EVENTS_MAX_BYTES                                                                       \
    (16u << 20) /* of a message, as AWS bounds it: 16 MiB and what is around the payload */
#define AWS_EVENTS_NAME 128

/* One event: its name, which is what ":event-type" or, of an error, ":exception-type" or ":error-code" says, and its payload with
 * a NUL behind its n bytes. A negative answer ends the feeding, which gives it back. */
typedef int (*aws_events_fn)(void *arg, const char *name, const char *data, size_t n);

struct aws_events {
    aws_events_fn on_event;
    void *arg;
    unsigned char *bytes; /* of the message that has begun */
    size_t n;
    size_t room;
    int failed;
};

void aws_events_init(struct aws_events *events, aws_events_fn on_event, void *arg);

/* Errors: RATION_EPROTOCOL (a message that is none, a checksum that is wrong), RATION_ENOMEM, and what on_event gave. After an
 * error, the same one again. */
int aws_events_feed(struct aws_events *events, const char *bytes, size_t n);

/* Frees what it holds; may be called twice. */
void aws_events_close(struct aws_events *events);

#endif
