/*
 * The life of an admitted call:
 *
 *     call_begin > (latency) > on_due > settled in limiter, peak and report > answered, or failed as it asked to > freed
 *
 * A client may leave meanwhile. evhttp reads nothing from a connection whose request is being handled, so it would not
 * notice; an event of our own does. It is edge-triggered and asks poll() what has happened: level-triggered it would spin
 * on a client that has pipelined its next request, and EV_CLOSED alone misses a connection that was reset. (Where the
 * kernel has no edge-triggered events, the loss is seen when the answer is written.) The connection is freed at once, but
 * the call goes on to its time and is charged, because a provider has done the work by then whether or not somebody
 * listens. Only a call that hangs ends with its client, and keeps the estimate, since nobody ever learns what it used. A
 * client that shuts down only its sending side counts as gone.
 *
 * Until the call ends evhttp has nothing to do on the connection, neither to read nor to write, so it never frees the
 * request behind our back.
 */
#include "calls.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/http.h>

#include "answer.h"
#include "log.h"
#include "provider.h"
#include "refuse.h"

struct call {
    struct provider *provider;
    struct call *prev, *next;   /* in provider->calls */
    struct evhttp_request *req; /* NULL once the client has gone */
    struct event due;           /* never added to a call that hangs */
    struct event stirred;       /* something has happened on the connection */
    bool watching;              /* stirred is added */
    enum fault fault;
    struct completion asked;
    struct usage use; /* what it will have used, drawn when it began */
    struct admission admission;
    enum window_answer over; /* counted at the end: why that did not fit, else WINDOW_ADMITTED */
    uint64_t generation;     /* of the provider when it began */
};

static const struct {
    const char *name;
    enum fault fault;
    enum report_failure failure;
} faults[] = {
    {"400", FAULT_400, REPORT_FAULT_400},       {"429", FAULT_429, REPORT_FAULT_429},
    {"500", FAULT_500, REPORT_FAULT_500},       {"503", FAULT_503, REPORT_FAULT_503},
    {"reset", FAULT_RESET, REPORT_FAULT_RESET}, {"truncate", FAULT_TRUNCATE, REPORT_FAULT_TRUNCATE},
    {"hang", FAULT_HANG, REPORT_FAULT_HANG},    {"badjson", FAULT_BADJSON, REPORT_FAULT_BADJSON},
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

bool fault_parse(const char *name, enum fault *fault)
{
    if (name == NULL) {
        *fault = FAULT_NONE;
        return true;
    }
    for (size_t i = 0; i < FAULTS; i++) {
        if (strcmp(name, faults[i].name) == 0) {
            *fault = faults[i].fault;
            return true;
        }
    }
    return false;
}

enum report_failure fault_failure(enum fault fault)
{
    for (size_t i = 0; i < FAULTS; i++) {
        if (faults[i].fault == fault) {
            return faults[i].failure;
        }
    }
    return REPORT_BAD_REQUEST;
}

/* ---- The end of a call ---- */

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

/* Lowers what was counted at the start to what the call really used. */
static void settle_estimate(struct call *call, int64_t now_us, int64_t actual)
{
    struct provider *p = call->provider;
    const struct admission *admission = &call->admission;
    if (!p->opt->settle) {
        return;
    }
    int64_t back =
        limiter_settle(&p->limiter, now_us, admission->ticket, admission->estimate, actual);
    report_counted(&p->report, admission->at_us, -back);
    peak_settle(&p->report.peak, admission->number, actual);
}

/* Counts at the end what the call really used; false when that does not fit any more. */
static bool count_actual(struct call *call, int64_t now_us, int64_t actual)
{
    struct provider *p = call->provider;
    call->over = limiter_end(&p->limiter, now_us, actual);
    if (call->over != WINDOW_ADMITTED) {
        p->report.refused_at_end++;
        p->report.wasted_tokens += actual;
        return false;
    }
    report_counted(&p->report, now_us, actual);
    peak_admit(&p->report.ends, now_us, actual);
    return true;
}

/* Books what the call used. Calls from before a reset belong to nobody's report. */
static void settle(struct call *call)
{
    struct provider *p = call->provider;
    struct usage *use = &call->use;
    int64_t now_us = provider_now_us();
    if (call->generation != p->generation) {
        return;
    }
    if (call->fault == FAULT_500 || call->fault == FAULT_503) {
        memset(use, 0, sizeof(*use));
    }
    int64_t actual = use->prompt_tokens + use->completion_tokens;
    if (!p->opt->at_end) {
        settle_estimate(call, now_us, actual);
    } else if (!count_actual(call, now_us, actual)) {
        if (call->req == NULL) {
            report_over_limit(&p->report, now_us, false); /* there is nobody to tell it to */
        }
        return;
    }
    report_used(&p->report, now_us, use->prompt_tokens, use->completion_tokens);
    if (call->fault != FAULT_NONE) {
        return; /* reported as such when it began */
    }
    if (call->req == NULL) {
        p->report.failures[REPORT_CLIENT_GONE]++;
    } else {
        p->report.completed++;
    }
}

static void answer_usage(struct call *call)
{
    struct provider *p = call->provider;
    char *json = completion_answer(&call->asked, &call->use, p->next_number, (int64_t)time(NULL));
    if (json == NULL) {
        log_event("error", "no_memory", "what=answer");
        drop_connection(call, true);
        return;
    }
    if (call->fault == FAULT_TRUNCATE) {
        answer_truncated(p, call->req, json);
    } else if (call->fault == FAULT_BADJSON) {
        answer_broken(p, call->req, json);
    } else {
        answer_json(p, call->req, 200, json);
    }
    free(json);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    static const struct answer_error failed = {
        500, "server_error", NULL, NULL, "The call failed, because its x-fault asked for it."};
    static const struct answer_error busy = {
        503, "server_error", NULL, "overloaded",
        "The provider says that it is overloaded, because x-fault asked for it."};
    struct call *call = arg;
    (void)fd;
    (void)what;
    settle(call);
    stop_watching(call);
    if (call->req != NULL && call->over != WINDOW_ADMITTED) {
        refuse_over_limit(call->provider, call->req,
                          call->use.prompt_tokens + call->use.completion_tokens, call->over);
    } else if (call->req != NULL) {
        switch (call->fault) {
        case FAULT_500:
            answer_error(call->provider, call->req, &failed);
            break;
        case FAULT_503:
            answer_error(call->provider, call->req, &busy);
            break;
        case FAULT_RESET:
            drop_connection(call, true);
            break;
        default:
            answer_usage(call);
        }
    }
    call_free(call);
}

static void on_stirred(evutil_socket_t fd, short what, void *arg)
{
    struct call *call = arg;
    struct pollfd now = {.fd = fd, .events = POLLRDHUP};
    (void)what;
    if (poll(&now, 1, 0) < 1) {
        return; /* the next request has come, and may wait */
    }
    drop_connection(call, false);
    if (call->fault == FAULT_HANG) {
        call_free(call);
    }
}

/* ---- The beginning ---- */

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

bool call_begin(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                enum fault fault, const struct admission *admission)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return false;
    }
    call->provider = p;
    call->req = req;
    call->fault = fault;
    call->asked = *asked;
    call->admission = *admission;
    call->generation = p->generation;
    completion_use(asked, &p->random, &call->use);
    evtimer_assign(&call->due, p->base, on_due, call);
    if (fault != FAULT_HANG) {
        int64_t us =
            p->opt->latency_ms * 1000 + p->opt->latency_per_token_us * call->use.completion_tokens;
        struct timeval wait = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
        if (event_add(&call->due, &wait) < 0) {
            free(call);
            return false;
        }
    }
    link_call(call);
    watch(call);
    return true;
}

void calls_drop(struct provider *p)
{
    for (struct call *call = p->calls, *next; call; call = next) {
        next = call->next;
        call_free(call);
    }
}
