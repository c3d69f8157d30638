/*
 * One call in flight, shared by calls.c, settle.c and stream.c.
 */
#ifndef UPSTREAM_CALL_H
#define UPSTREAM_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "calls.h"
#include "gzip.h"
#include "shape.h"
#include "window.h"

struct call {
    struct provider *provider;
    struct call *prev, *next;   /* in provider->calls */
    struct evhttp_request *req; /* NULL once the client has gone */
    struct event due;     /* when to send the answer or its next piece; not added while it hangs */
    struct event stirred; /* something has happened on the connection */
    bool watching;        /* stirred is added */
    bool settled;         /* in the limits and the report */
    bool begun;           /* part of the answer has been sent */
    struct fault fault;
    struct completion asked;
    struct usage use; /* what it will have used, drawn when it begins */
    struct admission admission;
    enum window_answer over; /* counted at the end: why it did not fit, else WINDOW_ADMITTED */
    uint64_t generation;     /* of the provider when it began */
    uint64_t number;         /* of its answer */
    int64_t created_s;
    int64_t pieces, sent; /* of a stream: how many in all, how many sent */
    int64_t step_us;      /* from one to the next */
    struct gzip gz;       /* of a stream */
};

/* The answer is sent in pieces: the client asked for a stream and no fault prevents it. */
bool call_streams(const struct call *call);

/* What the shape makes an answer from. */
struct reply call_reply(const struct call *call);

/* Counts what the call used, once; sets call->over if that no longer fits. */
void call_settle(struct call *call);

/* The error for a call that was over the limit when it ended. */
void call_over_error(const struct call *call, struct answer_error *error);

/* What to do after a step of a stream. */
enum stream_then {
    STREAM_THEN_WAIT, /* for the next piece */
    STREAM_THEN_HANG, /* until the client leaves */
    STREAM_THEN_DROP, /* end the connection */
    STREAM_THEN_RESET,
    STREAM_THEN_DONE, /* answered in full: the request is libevent's */
};

/* Sends the next part of a call that streams. */
enum stream_then stream_step(struct call *call);

/* How many pieces a stream has after its beginning. */
int64_t stream_pieces(const struct call *call);

/* The client left in the middle: the call used only what was sent. */
void stream_cut(struct call *call);

#endif
