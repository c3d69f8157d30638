/*
 * The life of an admitted call:
 *
 *     call_begin > (latency) > on_due > settled (settle.c) > answered, or failed by its fault >
 *         freed
 *     call_begin > on_due > part of a stream (stream.c) > on_due > ... > settled > end of the
 *         stream > freed
 *
 * A client may leave meanwhile. evhttp reads nothing from a connection whose request is being
 * handled, so it would not notice; an event of our own does. It is edge-triggered and asks poll()
 * what happened: level-triggered it would spin on a client that has pipelined its next request, and
 * EV_CLOSED alone misses a connection that was reset. (If the kernel has no edge-triggered events,
 * the loss shows when the answer is written.) The connection is freed at once, but the call runs to
 * its end and is charged, because a provider does the work whether or not anybody is listening. A
 * stream ends with its client and has used what it sent, because that is when generation stops. A
 * call that hangs also ends with its client and keeps the estimate, since nobody ever learns what
 * it used. A client that shuts down only its sending side counts as gone.
 *
 * Until part of the answer has been sent, evhttp neither reads nor writes on the connection, so it
 * never frees the request behind our back. From then on it may be the first to find that the client
 * has left. It then leaves us the request, without a connection, and calls on_closed() before it
 * closes the socket.
 */
#include "calls.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "answer.h"
#include "call.h"
#include "form.h"
#include "log.h"
#include "provider.h"
#include "refuse.h"

/* The time from half of an answer to its reset, and from a form's last event to its break: long
 * enough for what came before to be sent. */
#define HALF_US 20000

/* ---- The end of a call ----------------------------------------------------------------------- */

static void stop_watching(struct call *call)
{
    if (call->watching) {
        event_del(&call->stirred);
        call->watching = false;
    }
}

static void call_free(struct call *call)
{
    struct provider *p = call->provider;
    stop_watching(call);
    event_del(&call->due);
    if (call->prev) {
        call->prev->next = call->next;
    } else {
        p->calls = call->next;
    }
    if (call->next) {
        call->next->prev = call->prev;
    }
    p->report.in_flight--;
    free(call);
}

static void drop_connection(struct call *call, bool reset)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(call->req);
    evhttp_connection_set_closecb(conn, NULL, NULL);
    if (reset) {
        /* Without lingering, close() sends RST: the client's read fails instead of ending. */
        struct linger hard = {.l_onoff = 1, .l_linger = 0};
        int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
    stop_watching(call);
    call->req = NULL;
    evhttp_connection_free(conn); /* and its request */
}

struct reply call_reply(const struct call *call)
{
    return (struct reply){.asked = &call->asked,
                          .use = &call->use,
                          .number = call->number,
                          .created_s = call->created_s,
                          .with_usage = call->fault.kind != FAULT_NO_USAGE &&
                                        (!call->asked.stream || call->asked.stream_usage),
                          .piece = call->sent,
                          .pieces = call->pieces};
}

static bool ends_with_client(const struct call *call)
{
    return call_streams(call) || call->begun || call->fault.kind == FAULT_HANG ||
           call->fault.kind == FAULT_STALL;
}

/* The client has gone: end a call that was sending to it or would never end. */
static void end_without_client(struct call *call)
{
    if (call->fault.kind != FAULT_HANG && call->fault.kind != FAULT_STALL) {
        stream_cut(call);
        call_settle(call);
    }
    call_free(call);
}

/* evhttp lost the connection while sending and is about to close it. */
static void on_closed(struct evhttp_connection *conn, void *arg)
{
    struct call *call = arg;
    struct evhttp_request *req = call->req;
    (void)conn;
    stop_watching(call);
    call->req = NULL;
    if (evhttp_request_get_connection(req) == NULL) {
        evhttp_request_free(req);
    }
    end_without_client(call);
}

bool call_streams(const struct call *call)
{
    const struct fault *fault = &call->fault;
    if (!call->asked.stream || fault->kind == FAULT_ERROR || fault->kind == FAULT_RESET) {
        return false;
    }
    return fault->kind != FAULT_FORM || form_has(fault->form, "events") ||
           !(form_has(fault->form, "body") || form_has(fault->form, "hex") ||
             form_has(fault->form, "unstreamed") || form_status(fault->form) >= 400);
}

/* ---- An answer in one piece ------------------------------------------------------------------ */

/* Answers with the form itself, or with the shape's own answer patched by it. */
static void answer_in_form(struct call *call, const char *json)
{
    struct reply reply = call_reply(call);
    struct form_facts facts = {&reply, call->fault.fill};
    struct json_object *form = call->fault.form;
    if (form_has(form, "body") || form_has(form, "hex")) {
        answer_form(call->provider, call->req, form, &facts);
    } else {
        answer_patched(call->provider, call->req, form, &facts, json);
    }
}

/* False when the call goes on: half of the answer has been sent, and the rest comes later. */
static bool answer_body(struct call *call, const char *json)
{
    struct provider *p = call->provider;
    switch (call->fault.kind) {
    case FAULT_TRUNCATE:
        answer_truncated(p, call->req, json);
        return true;
    case FAULT_BADJSON:
        answer_broken(p, call->req, json);
        return true;
    case FAULT_FORM:
        answer_in_form(call, json);
        return true;
    case FAULT_RESET_BODY:
    case FAULT_STALL:
        call->begun = true;
        answer_half(p, call->req, json);
        return false;
    default:
        answer_json(p, call->req, 200, json);
        return true;
    }
}

static bool answer_whole(struct call *call)
{
    struct reply reply = call_reply(call);
    char *json = call->asked.shape->answer(&reply);
    if (json == NULL) {
        log_event("error", "no_memory", "what=answer");
        drop_connection(call, true);
        return true;
    }
    bool done = answer_body(call, json);
    free(json);
    return done;
}

static bool wait_for(struct call *call, int64_t us)
{
    struct timeval wait = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    return event_add(&call->due, &wait) == 0;
}

/* From here on evhttp writes, so it may find that the client has gone. */
static void listen_for_close(struct call *call)
{
    evhttp_connection_set_closecb(evhttp_request_get_connection(call->req), on_closed, call);
}

/* Half of an answer has been sent; its other half never comes. */
static void on_half_sent(struct call *call)
{
    listen_for_close(call);
    if (call->fault.kind == FAULT_RESET_BODY && !wait_for(call, HALF_US)) {
        drop_connection(call, true);
        call_free(call);
    }
}

static void finish_whole(struct call *call)
{
    if (call->begun) {
        drop_connection(call, true);
        call_free(call);
        return;
    }
    if (call->fault.kind != FAULT_STALL) {
        call_settle(call);
    }
    if (call->req == NULL) {
        call_free(call);
        return;
    }
    if (call->over != WINDOW_ADMITTED) {
        stop_watching(call);
        refuse_over_limit(call->provider, call->req,
                          call->use.prompt_tokens + call->use.completion_tokens, call->over);
    } else if (call->fault.kind == FAULT_ERROR) {
        stop_watching(call);
        fault_answer(call->provider, call->req, &call->asked, &call->fault);
    } else if (call->fault.kind == FAULT_RESET) {
        drop_connection(call, true);
    } else if (!answer_whole(call)) {
        on_half_sent(call);
        return;
    }
    call_free(call);
}

/* ---- An answer in many ----------------------------------------------------------------------- */

static void finish_stream(struct call *call)
{
    struct evhttp_request *req = call->req;
    stop_watching(call);
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
    evhttp_send_reply_end(req);
    call_free(call);
}

/* Gives what comes before a break time to be sent. */
static int64_t next_us(const struct call *call)
{
    bool breaks = call->sent == call->pieces && form_has(call->fault.form, "end");
    return breaks && call->step_us < HALF_US ? HALF_US : call->step_us;
}

static void step_stream(struct call *call)
{
    bool first = !call->begun;
    enum stream_then then = stream_step(call);
    if (first) {
        listen_for_close(call);
    }
    switch (then) {
    case STREAM_THEN_WAIT:
        if (wait_for(call, next_us(call))) {
            return;
        }
        drop_connection(call, true);
        break;
    case STREAM_THEN_HANG:
        return;
    case STREAM_THEN_DROP:
    case STREAM_THEN_RESET:
        if (call->fault.kind != FAULT_FORM) {
            stream_cut(call); /* a form itself says what was used */
        }
        call_settle(call);
        drop_connection(call, then == STREAM_THEN_RESET);
        break;
    case STREAM_THEN_DONE:
        finish_stream(call);
        return;
    }
    call_free(call);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct call *call = arg;
    (void)fd;
    (void)what;
    if (call_streams(call)) {
        step_stream(call);
    } else {
        finish_whole(call);
    }
}

static void on_stirred(evutil_socket_t fd, short what, void *arg)
{
    struct call *call = arg;
    struct pollfd now = {.fd = fd, .events = POLLRDHUP};
    (void)what;
    if (poll(&now, 1, 0) < 1) {
        return; /* the client has sent its next request, which may wait */
    }
    drop_connection(call, false);
    if (ends_with_client(call)) {
        end_without_client(call);
    }
}

/* ---- The beginning --------------------------------------------------------------------------- */

static void watch(struct call *call)
{
    struct event_base *base = call->provider->base;
    struct evhttp_connection *conn = evhttp_request_get_connection(call->req);
    evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn));
    if (!(event_base_get_features(base) & EV_FEATURE_ET)) {
        return;
    }
    if (event_assign(&call->stirred, base, fd, EV_READ | EV_ET | EV_PERSIST, on_stirred, call) ==
            0 &&
        event_add(&call->stirred, NULL) == 0) {
        call->watching = true;
    }
}

static void link_call(struct call *call)
{
    struct provider *p = call->provider;
    call->next = p->calls;
    if (call->next) {
        call->next->prev = call;
    }
    p->calls = call;
    p->report.in_flight++;
    if (p->report.in_flight > p->report.max_in_flight) {
        p->report.max_in_flight = p->report.in_flight;
    }
}

static void fill_in(struct call *call, const struct completion *asked)
{
    struct provider *p = call->provider;
    call->asked = *asked;
    call->number = p->next_number;
    call->created_s = (int64_t)time(NULL);
    call->generation = p->generation;
    completion_use(asked, &p->lengths, &p->random, &call->use);
    fault_use(&call->fault, asked, &call->use);
    call->pieces = call_streams(call) ? stream_pieces(call) : 0;
    int64_t us =
        p->opt->latency_ms * 1000 + p->opt->latency_per_token_us * call->use.completion_tokens;
    call->step_us = us / (call->pieces + 1);
}

bool call_begin(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                const struct fault *fault, const struct admission *admission)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return false;
    }
    call->provider = p;
    call->req = req;
    call->fault = *fault;
    call->admission = *admission;
    fill_in(call, asked);
    evtimer_assign(&call->due, p->base, on_due, call);
    if (fault->kind != FAULT_HANG && !wait_for(call, call->step_us)) {
        free(call);
        return false;
    }
    link_call(call);
    watch(call);
    return true;
}

void calls_drop(struct provider *p)
{
    for (struct call *call = p->calls, *next; call; call = next) {
        next = call->next;
        if (call->begun) {
            evhttp_connection_set_closecb(evhttp_request_get_connection(call->req), NULL, NULL);
        }
        call_free(call);
    }
}
