/*
 * An answer in pieces, spread evenly over the time that the call takes: after the first step's time the head and whatever
 * the shape begins with, after each further one a piece, and with the last one the end.
 *
 *     begin > piece > piece > ... > settled, usage told > end
 *
 * It fails in the middle as its fault says: halfway the connection ends, is reset, or just falls silent. Those steps send
 * nothing, so that all that was sent before has gone out by then. A call that turns out to be over the limits at its end
 * tells it in an event, because the status has long been sent.
 */
#include "call.h"

#include <event2/buffer.h>
#include <event2/http.h>

#include "answer.h"
#include "log.h"
#include "provider.h"

#define MOST_PIECES 20

int64_t stream_pieces(int64_t tokens)
{
    return tokens < MOST_PIECES ? tokens : MOST_PIECES;
}

void stream_cut(struct call *call)
{
    if (call->pieces > 0) {
        call->use.completion_tokens = call->use.completion_tokens * call->sent / call->pieces;
    }
    if (call->use.reasoning_tokens > call->use.completion_tokens) {
        call->use.reasoning_tokens = call->use.completion_tokens;
    }
}

static void append(struct call *call, struct evbuffer *out, enum stream_step step)
{
    struct reply reply = call_reply(call);
    call->asked.shape->stream(out, &reply, step);
}

static void append_end(struct call *call, struct evbuffer *out)
{
    if (call->over != WINDOW_ADMITTED) {
        struct answer_error error;
        call_over_error(call, &error);
        call->asked.shape->stream_error(out, &error);
    } else if (call->fault.kind == FAULT_BADJSON) {
        evbuffer_add_printf(out, "data: {\"half\": \"an ob\n\n");
    } else {
        append(call, out, STREAM_END);
    }
}

/* What happens halfway instead of going on; STREAM_THEN_WAIT: nothing. */
static enum stream_then breaks(const struct call *call)
{
    if (!call->begun || call->sent < call->pieces / 2) {
        return STREAM_THEN_WAIT;
    }
    switch (call->fault.kind) {
    case FAULT_STALL:
        return STREAM_THEN_HANG;
    case FAULT_TRUNCATE:
        return STREAM_THEN_DROP;
    case FAULT_RESET_BODY:
        return STREAM_THEN_RESET;
    default:
        return STREAM_THEN_WAIT;
    }
}

static bool is_last(const struct call *call)
{
    bool may_break = call->fault.kind == FAULT_STALL || call->fault.kind == FAULT_TRUNCATE ||
                     call->fault.kind == FAULT_RESET_BODY;
    return call->sent == call->pieces && !may_break;
}

enum stream_then stream_step(struct call *call)
{
    enum stream_then then = breaks(call);
    if (then != STREAM_THEN_WAIT) {
        return then;
    }
    struct evbuffer *out = evbuffer_new();
    if (out == NULL) {
        log_event("error", "no_memory", "what=stream");
        return STREAM_THEN_RESET;
    }
    if (!call->begun) {
        call->begun = true;
        answer_stream(call->provider, call->req);
        append(call, out, STREAM_BEGIN);
    } else {
        append(call, out, STREAM_PIECE);
        call->sent++;
    }
    bool last = is_last(call);
    if (last) {
        call_settle(call);
        append_end(call, out);
    }
    if (evbuffer_get_length(out) > 0) {
        evhttp_send_reply_chunk(call->req, out);
    }
    evbuffer_free(out);
    return last ? STREAM_THEN_DONE : STREAM_THEN_WAIT;
}
