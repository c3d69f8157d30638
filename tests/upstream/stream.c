/*
 * An answer in pieces, spread evenly over the time that the call takes: the first step sends the
 * head and the shape's beginning, each further one a piece, and the last one also the end.
 *
 *     begin > piece > piece > ... > settled, usage reported > end
 *
 * A fault may break it halfway: the connection ends, is reset, or just falls silent. That step
 * sends nothing, so that everything before it has been sent by then. If the call turns out to be
 * over the limits at its end, an event says so, because the status was sent long ago.
 */
#include "call.h"

#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "answer.h"
#include "form.h"
#include "log.h"
#include "provider.h"

#define MOST_PIECES 20

static bool has_steps(const struct call *call)
{
    return call->fault.kind == FAULT_FORM && form_has(call->fault.form, "events");
}

int64_t stream_pieces(const struct call *call)
{
    int64_t tokens = call->use.completion_tokens;
    if (has_steps(call)) {
        int64_t steps = (int64_t)form_steps(call->fault.form);
        return steps > 0 ? steps - 1 : 0;
    }
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

/* How the form's stream breaks off; NULL if it does not. */
static const char *abrupt_end(const struct call *call)
{
    return form_text(call->fault.form, "end");
}

/* How the stream breaks off: halfway, or after everything if a form says so. STREAM_THEN_WAIT if it
 * goes on. */
static enum stream_then breaks(const struct call *call)
{
    const char *end = abrupt_end(call);
    if (!call->begun || call->sent < (end ? call->pieces : call->pieces / 2)) {
        return STREAM_THEN_WAIT;
    }
    if (end) {
        return strcmp(end, "reset") == 0 ? STREAM_THEN_RESET : STREAM_THEN_DROP;
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

/* Appends the shape's own part, or the form's step instead; the form's first goes with the head. */
static void append_part(struct call *call, struct evbuffer *out, bool first)
{
    struct reply reply = call_reply(call);
    struct form_facts facts = {&reply, call->fault.fill};
    size_t step = first ? 0 : (size_t)call->sent + 1;
    if (!has_steps(call)) {
        append(call, out, first ? STREAM_BEGIN : STREAM_PIECE);
    } else if (step < form_steps(call->fault.form)) {
        form_step(call->fault.form, step, &facts, out);
    }
}

/* Applies the form to what the shape has written. */
static void change(struct call *call, struct evbuffer *out, bool first)
{
    struct reply reply = call_reply(call);
    struct form_facts facts = {&reply, call->fault.fill};
    if (call->fault.kind != FAULT_FORM) {
        return;
    }
    form_patch(call->fault.form, &facts, out);
    const char *before = first ? form_text(call->fault.form, "before") : NULL;
    if (before) {
        evbuffer_prepend(out, before, strlen(before));
    }
}

/* Sends a part of the answer unless it is empty. */
static void send_part(struct call *call, struct evbuffer *out, bool last)
{
    gzip_part(&call->gz, out, last);
    if (evbuffer_get_length(out) > 0) {
        evhttp_send_reply_chunk(call->req, out);
    }
}

static bool is_last(const struct call *call)
{
    bool may_break = call->fault.kind == FAULT_STALL || call->fault.kind == FAULT_TRUNCATE ||
                     call->fault.kind == FAULT_RESET_BODY || abrupt_end(call);
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
    bool first = !call->begun;
    if (first) {
        call->begun = true;
        answer_stream(call->provider, call->req, call->fault.form, &call->gz);
    }
    append_part(call, out, first);
    call->sent += !first;
    bool last = is_last(call);
    if (last) {
        call_settle(call);
        if (!has_steps(call)) {
            append_end(call, out);
        }
    }
    change(call, out, first);
    send_part(call, out, last);
    evbuffer_free(out);
    return last ? STREAM_THEN_DONE : STREAM_THEN_WAIT;
}
