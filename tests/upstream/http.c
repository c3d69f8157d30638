/*
 * A call is checked in the order in which a provider would: who asks, what it asks, whether it fits the limits. The first
 * "no" is the answer; only a call that passes all of it is counted.
 *
 *     route > authorization > x-fault > room for one more > body > x-fault 400, 429 > limiter > calls.c
 *
 * Bodies up to twice --max-body are read and refused with an error in the API's shape; beyond that evhttp itself answers
 * 413 and closes, so that memory has a bound in any case.
 */
#include "http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "answer.h"
#include "calls.h"
#include "completion.h"
#include "log.h"
#include "provider.h"
#include "refuse.h"

#define MAX_HEADER_BYTES 65536
#define IDLE_TIMEOUT_S   300 /* of a connection that sends nothing, or half a request */

#define ALL_METHODS                                                                                \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |     \
     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH)

/* ---- POST /v1/chat/completions ---- */

static bool authorized(struct evhttp_request *req)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), "Authorization");
    return value && strncasecmp(value, "Bearer ", 7) == 0 && value[7 + strspn(value + 7, " ")];
}

static bool check_caller(struct provider *p, struct evhttp_request *req, enum fault *fault)
{
    static const struct answer_error no_key = {
        401, "invalid_request_error", NULL, "invalid_api_key",
        "There is no API key: send the header `Authorization: Bearer KEY`; any key will do."};
    static const struct answer_error no_room = {
        503, "server_error", NULL, "overloaded",
        "Too many calls wait for their answer; --max-in-flight is how many may."};
    if (!authorized(req)) {
        refuse(p, req, REPORT_UNAUTHORIZED, &no_key);
        return false;
    }
    const char *name = evhttp_find_header(evhttp_request_get_input_headers(req), "x-fault");
    if (!fault_parse(name, fault)) {
        refuse_malformed(
            p, req, "x-fault must be one of 400, 429, 500, 503, reset, truncate, hang, badjson",
            NULL);
        return false;
    }
    if (p->report.in_flight >= (uint64_t)p->opt->max_in_flight) {
        refuse(p, req, REPORT_OVERLOADED, &no_room);
        return false;
    }
    return true;
}

static bool read_body(struct provider *p, struct evhttp_request *req, struct completion *asked)
{
    static const struct answer_error too_large = {
        413, "invalid_request_error", NULL, NULL,
        "The body is larger than --max-body; metadata.input_tokens can stand for a long prompt."};
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(in);
    const char *why;
    const char *param;
    if (len > (size_t)p->opt->max_body) {
        refuse(p, req, REPORT_TOO_LARGE_BODY, &too_large);
        return false;
    }
    const char *body = len ? (const char *)evbuffer_pullup(in, -1) : "";
    if (completion_parse(asked, body, len, &why, &param) < 0) {
        refuse_malformed(p, req, why, param);
        return false;
    }
    evbuffer_drain(in, len); /* it would be kept for as long as the call waits */
    return true;
}

/* The faults that happen instead of asking the limits. */
static bool early_fault(struct provider *p, struct evhttp_request *req, enum fault fault)
{
    static const struct answer_error bad = {400, "invalid_request_error", NULL, NULL,
                                            "Refused, because x-fault asked for it."};
    static const struct answer_error limited = {
        429, "requests", NULL, "rate_limit_exceeded",
        "Refused as over a limit, because x-fault asked for it. Try again in 1s."};
    if (fault == FAULT_400) {
        refuse(p, req, REPORT_FAULT_400, &bad);
        return true;
    }
    if (fault == FAULT_429) {
        answer_add_wait(req, 1000000);
        refuse(p, req, REPORT_FAULT_429, &limited);
        return true;
    }
    return false;
}

static void out_of_memory(struct provider *p, struct evhttp_request *req)
{
    static const struct answer_error error = {500, "server_error", NULL, NULL,
                                              "The provider has run out of memory."};
    log_event("error", "no_memory", "what=call");
    refuse(p, req, REPORT_OVERLOADED, &error);
}

static void admit(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                  enum fault fault)
{
    int64_t now_us = provider_now_us();
    int64_t tokens = completion_estimate(asked);
    uint64_t ticket;
    enum window_answer answer = limiter_admit(&p->limiter, now_us, tokens, &ticket);
    if (answer == WINDOW_NO_MEMORY) {
        out_of_memory(p, req);
        return;
    }
    if (answer != WINDOW_ADMITTED) {
        refuse_over_limit(p, req, p->opt->at_end ? 1 : tokens, answer);
        return;
    }
    int64_t counted = p->opt->at_end ? 0 : tokens;
    report_granted(&p->report, now_us, tokens);
    report_counted(&p->report, now_us, counted);
    struct admission admission = {now_us, tokens, ticket,
                                  peak_admit(&p->report.peak, now_us, counted)};
    if (p->opt->verbose) {
        char model[COMPLETION_MAX_MODEL + 8];
        log_event("info", "granted", "model=%s tokens=%" PRId64 " fault=%d",
                  log_quote(model, sizeof(model), asked->model), tokens, (int)fault);
    }
    if (fault != FAULT_NONE) {
        p->report.failures[fault_failure(fault)]++;
    }
    if (!call_begin(p, req, asked, fault, &admission)) {
        out_of_memory(p, req); /* what was counted stays so: strict, rather than generous */
    }
}

static void on_completion(struct provider *p, struct evhttp_request *req)
{
    enum fault fault;
    struct completion asked;
    report_arrival(&p->report, provider_now_us());
    if (check_caller(p, req, &fault) && read_body(p, req, &asked) && !early_fault(p, req, fault)) {
        admit(p, req, &asked, fault);
    }
}

/* ---- The rest ---- */

static void on_report(struct provider *p, struct evhttp_request *req)
{
    char *json = report_json(&p->report, &p->limits);
    answer_json(p, req, json ? 200 : 500, json ? json : "{}");
    free(json);
}

static void on_reset(struct provider *p, struct evhttp_request *req)
{
    provider_reset(p);
    answer_json(p, req, 200, "{\"status\":\"reset\"}");
}

static void on_healthz(struct provider *p, struct evhttp_request *req)
{
    answer_json(p, req, 200, "{\"status\":\"ok\"}");
}

static const struct {
    const char *path;
    enum evhttp_cmd_type method;
    const char *wrong_method;
    void (*handle)(struct provider *p, struct evhttp_request *req);
} routes[] = {
    {"/v1/chat/completions", EVHTTP_REQ_POST, "This path takes POST.", on_completion},
    {"/report", EVHTTP_REQ_GET, "This path takes GET.", on_report},
    {"/reset", EVHTTP_REQ_POST, "This path takes POST.", on_reset},
    {"/healthz", EVHTTP_REQ_GET, "This path takes GET.", on_healthz},
};

static void on_request(struct evhttp_request *req, void *arg)
{
    struct provider *p = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (path == NULL || strcmp(path, routes[i].path) != 0) {
            continue;
        }
        if (evhttp_request_get_command(req) == routes[i].method) {
            routes[i].handle(p, req);
            return;
        }
        struct answer_error error = {405, "invalid_request_error", NULL, "method_not_supported",
                                     routes[i].wrong_method};
        answer_error(p, req, &error);
        return;
    }
    static const struct answer_error unknown = {
        404, "invalid_request_error", NULL, "unknown_url",
        "There is no such path here: POST /v1/chat/completions, GET /report, POST /reset, GET "
        "/healthz."};
    answer_error(p, req, &unknown);
}

struct evhttp *http_new(struct provider *p, struct evconnlistener *listener)
{
    struct evhttp *http = evhttp_new(p->base);
    if (http == NULL) {
        return NULL;
    }
    evhttp_set_allowed_methods(http, ALL_METHODS);
    evhttp_set_max_headers_size(http, MAX_HEADER_BYTES);
    evhttp_set_max_body_size(http, (ev_ssize_t)p->opt->max_body * 2);
    evhttp_set_timeout(http, IDLE_TIMEOUT_S);
    evhttp_set_gencb(http, on_request, p);
    if (evhttp_bind_listener(http, listener) == NULL) {
        evhttp_free(http);
        return NULL;
    }
    return http;
}
