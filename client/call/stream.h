/*
 * The body of an answer under 2xx while it arrives: its kind, its events, and what they say.
 *
 * The first bytes decide the kind; neither the label nor the request does, because servers get both
 * wrong: a brace begins a whole answer (or lines of JSON, if the profile's streams are lines), a
 * zero byte one of AWS' binary messages, and anything else is server-sent events if a stream was
 * asked for or if it begins like one.
 *
 * Events go to the caller as they come, except those before anything was generated: they are held
 * back until something is, so that a stream which fails before that can be started again, and the
 * caller never sees that there were two.
 */
#ifndef RATION_STREAM_H
#define RATION_STREAM_H

#include "call/aws_events.h"
#include "grow.h"
#include "profile/jvalues.h"
#include "profile/profile.h"
#include "call/sse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_HEAD_BYTES 64 /* of what came first, to find out what it is, and for messages */

enum stream_kind {
    STREAM_UNKNOWN, /* too little has come */
    STREAM_WHOLE,   /* not a stream: the caller reads it as one answer */
    STREAM_EVENTS,
};

struct stream {
    const struct profile *profile;
    json_tokener *tokener; /* borrowed */
    bool wanted;           /* a stream was asked for */
    ration_stream_fn fn;   /* NULL: the caller does not want the events */
    void *arg;
    enum stream_kind kind;
    enum profile_form form; /* of EVENTS: which of these is open */
    struct sse sse;
    struct jvalues values;
    struct aws_events aws;
    char head[STREAM_HEAD_BYTES];
    size_t head_bytes;
    struct grow held; /* name, NUL, length of the data, data, NUL, and so on */
    bool flowing;     /* something was generated: events are handed on at once */

    /* What the events said. */
    bool begun;     /* of an answer */
    bool ended;     /* the one that ends it came */
    bool finished;  /* an event said why the answer ended */
    bool delivered; /* text or arguments of a tool call went to the caller */
    bool aborted;   /* by the caller */
    json_object
        *error;  /* the event that is one; NULL: none came, or it is not JSON: see error_text */
    bool failed; /* an error came */
    enum profile_class error_class;
    char error_text[256]; /* of an error that is not JSON */
    int64_t characters;   /* generated, under whatever name */
    struct profile_usage usage;
};

/* wanted   a stream was asked for
 * fn       may be NULL */
void stream_init(struct stream *stream, const struct profile *profile, json_tokener *tokener,
                 bool wanted, ration_stream_fn fn, void *arg);

/* Takes the next n bytes; stream->kind says what they are. Errors: RATION_EPROTOCOL, RATION_ENOMEM,
 * RATION_EABORTED. */
int stream_feed(struct stream *stream, const char *bytes, size_t n);

/* The body ended well: events that are still held back go to the caller. RATION_EABORTED: it wants
 * no more. */
int stream_finish(struct stream *stream);

/* Gives a whole answer to the caller as if it were the only event. */
int stream_give_whole(struct stream *stream, json_object *answer, const char *data, size_t n);

/* Whether an answer came, to its end. framed: the transport says that nothing is missing. */
bool stream_is_complete(const struct stream *stream, bool framed);

/* Frees what it holds; may be called twice, and on a zeroed one. */
void stream_close(struct stream *stream);

#endif
