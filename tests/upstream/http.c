/*
 * A call is checked in the order that a provider would use: who asks, what for, and whether it fits
 * the limits. The first check that fails decides the answer; only a call that passes all of them is
 * counted.
 *
 *     route > method > key > headers > type > room for one more > fault > size > body > faults that
 *     are client errors > limiter > calls.c
 *
 * Bodies up to twice the allowed size are read and refused with an error in the API's shape; beyond
 * that evhttp itself answers 413 and closes, so that memory is always bounded.
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
#include "sigv4.h"

#define MAX_HEADER_BYTES 65536
#define MOST_BODY        (128 * MIB) /* unless --max-body sets one */
#define IDLE_TIMEOUT_S   300         /* of a connection that sends nothing, or half a request */

#define ALL_METHODS                                                                                \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |     \
     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH)

/* ---- Calls ----------------------------------------------------------------------------------- */

static void refuse_with(struct provider *p, struct evhttp_request *req, enum report_failure failure,
                        int status, const char *code, const char *message)
{
    struct answer_error error = {.status = status, .code = code, .message = message};
    refuse(p, req, failure, &error);
}

static bool check_key(struct provider *p, struct evhttp_request *req, const struct shape *shape,
                      struct complaint *bad)
{
    if (shape->keys == 0) {
        return true;
    }
    if ((shape->keys & KEY_SIGV4) && sigv4_is_there(req)) {
        const char *why = sigv4_check(req, p->opt->aws_secret);
        return why == NULL || complain(bad, REFUSAL_BAD_KEY, NULL, why, NULL) == 0;
    }
    enum key_state state = shape_key(req, shape->keys, p->opt->key);
    return state == KEY_GOOD || complain(bad, state == KEY_WRONG ? REFUSAL_BAD_KEY : REFUSAL_NO_KEY,
                                         NULL, NULL, NULL) == 0;
}

/* `application/json`, with or without parameters. */
static bool check_type(struct evhttp_request *req, const struct shape *shape, struct complaint *bad)
{
    static const char json[] = "application/json", form[] = "application/x-www-form-urlencoded";
    const char *type = shape_header(req, "Content-Type");
    size_t len = type ? strcspn(type, "; \t") : 0;
    if (shape->any_type || (len == sizeof(json) - 1 && strncasecmp(type, json, len) == 0)) {
        return true;
    }
    bool is_form = len == 0 || strncasecmp(type, form, len) == 0;
    complain(bad, is_form ? REFUSAL_FORM : REFUSAL_CONTENT_TYPE, "body", json, type ? type : "");
    return false;
}

static bool check_caller(struct provider *p, struct evhttp_request *req, struct completion *asked)
{
    const struct shape *shape = asked->shape;
    struct complaint bad = {.table = shape->refusals};
    if (!check_key(p, req, shape, &bad)) {
        refuse_complaint(p, req, REPORT_UNAUTHORIZED, &bad);
        return false;
    }
    if ((shape->objection && shape->objection(req, asked, &bad) < 0) ||
        !check_type(req, shape, &bad)) {
        refuse_complaint(p, req, REPORT_BAD_REQUEST, &bad);
        return false;
    }
    if (p->report.in_flight >= (uint64_t)p->opt->max_in_flight) {
        refuse_with(p, req, REPORT_OVERLOADED, 503, "overloaded",
                    "Too many calls wait for their answer; --max-in-flight is how many may.");
        return false;
    }
    return true;
}

static bool find_fault(struct provider *p, struct evhttp_request *req, struct fault *fault)
{
    const char *name = evhttp_find_header(evhttp_request_get_input_headers(req), "x-fault");
    if (faults_next(&p->faults, name, fault)) {
        return true;
    }
    refuse_with(p, req, REPORT_BAD_REQUEST, 400, NULL, fault_names);
    return false;
}

/* The fault that applies to this call, if any. */
static bool settle_fault(struct provider *p, struct evhttp_request *req,
                         const struct completion *asked, struct fault *fault)
{
    if (fault_settle(fault, asked)) {
        return true;
    }
    refuse_with(p, req, REPORT_BAD_REQUEST, 400, NULL,
                "x-fault: there is such a form, but not in this shape");
    return false;
}

static bool read_body(struct provider *p, struct evhttp_request *req, struct completion *asked)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(in);
    struct complaint bad = {.table = asked->shape->refusals};
    int64_t most = p->opt->max_body > 0 ? p->opt->max_body : asked->shape->max_body;
    if ((int64_t)len > most) {
        char bytes[24];
        snprintf(bytes, sizeof(bytes), "%" PRId64, most);
        complain(&bad, REFUSAL_BODY, NULL, bytes, NULL);
        refuse_complaint(p, req, REPORT_TOO_LARGE_BODY, &bad);
        return false;
    }
    const char *body = len ? (const char *)evbuffer_pullup(in, -1) : "";
    if (completion_parse(asked, body, len, &bad) < 0) {
        refuse_complaint(p, req, REPORT_BAD_REQUEST, &bad);
        return false;
    }
    evbuffer_drain(in, len); /* else it would stay in memory while the call waits */
    return true;
}

static void out_of_memory(struct provider *p, struct evhttp_request *req)
{
    log_event("error", "no_memory", "what=call");
    refuse_with(p, req, REPORT_OVERLOADED, 500, NULL, "The provider has run out of memory.");
}

static void admit(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                  const struct fault *fault)
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
        log_event("info", "granted", "shape=%s model=%s tokens=%" PRId64 " fault=%d",
                  asked->shape->name, log_quote(model, sizeof(model), asked->model), tokens,
                  (int)fault->kind);
    }
    if (fault->kind != FAULT_NONE) {
        p->report.failures[fault->failure]++;
    }
    if (!call_begin(p, req, asked, fault, &admission)) {
        out_of_memory(p, req); /* what was counted stays counted: strict rather than generous */
    }
}

static void on_call(struct provider *p, struct evhttp_request *req, struct completion *asked)
{
    struct fault fault;
    report_arrival(&p->report, provider_now_us());
    if (!check_caller(p, req, asked) || !find_fault(p, req, &fault) || !read_body(p, req, asked) ||
        !settle_fault(p, req, asked, &fault)) {
        return;
    }
    if (fault_is_early(&fault)) {
        fault_answer(p, req, asked, &fault);
    } else {
        admit(p, req, asked, &fault);
    }
}

/* ---- The rest -------------------------------------------------------------------------------- */

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

static void on_faults(struct provider *p, struct evhttp_request *req)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(in);
    const char *why =
        faults_queue(&p->faults, len ? (const char *)evbuffer_pullup(in, -1) : "", len);
    struct answer_error error = {.status = 400, .param = "fault", .message = why};
    if (why) {
        answer_error(p, req, &error);
    } else {
        answer_json(p, req, 200, "{\"status\":\"queued\"}");
    }
}

static void on_faults_clear(struct provider *p, struct evhttp_request *req)
{
    faults_clear(&p->faults);
    answer_json(p, req, 200, "{\"status\":\"cleared\"}");
}

static const struct {
    const char *path;
    enum evhttp_cmd_type method;
    void (*handle)(struct provider *p, struct evhttp_request *req);
} routes[] = {
    {"/report", EVHTTP_REQ_GET, on_report},   {"/reset", EVHTTP_REQ_POST, on_reset},
    {"/faults", EVHTTP_REQ_POST, on_faults},  {"/faults", EVHTTP_REQ_DELETE, on_faults_clear},
    {"/healthz", EVHTTP_REQ_GET, on_healthz},
};

/* In the words of the API that the path seems to belong to. */
static void refuse_path(struct evhttp_request *req, struct provider *p, enum refusal kind)
{
    static const struct {
        enum evhttp_cmd_type type;
        const char *name;
    } methods[] = {{EVHTTP_REQ_GET, "GET"},        {EVHTTP_REQ_POST, "POST"},
                   {EVHTTP_REQ_PUT, "PUT"},        {EVHTTP_REQ_DELETE, "DELETE"},
                   {EVHTTP_REQ_HEAD, "HEAD"},      {EVHTTP_REQ_PATCH, "PATCH"},
                   {EVHTTP_REQ_OPTIONS, "OPTIONS"}};
    struct complaint bad = {.table = shape_near(req)->refusals};
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const char *method = "";
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].type == evhttp_request_get_command(req)) {
            method = methods[i].name;
        }
    }
    complain(&bad, kind, path ? path : "", NULL, method);
    struct answer_error error = {
        .status = bad.status, .type = bad.type, .code = bad.code, .message = bad.why};
    answer_error(p, req, &error);
}

static void on_control(struct provider *p, struct evhttp_request *req, const char *path)
{
    bool known = false;
    for (size_t i = 0; path && i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(path, routes[i].path) != 0) {
            continue;
        }
        if (evhttp_request_get_command(req) == routes[i].method) {
            routes[i].handle(p, req);
            return;
        }
        known = true;
    }
    refuse_path(req, p, known ? REFUSAL_METHOD : REFUSAL_PATH);
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct provider *p = arg;
    struct completion asked;
    if (shape_of(req, &asked) == NULL) {
        on_control(p, req, evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req)));
    } else if (evhttp_request_get_command(req) == EVHTTP_REQ_POST) {
        on_call(p, req, &asked);
    } else {
        refuse_path(req, p, REFUSAL_METHOD);
    }
}

struct evhttp *http_new(struct provider *p, struct evconnlistener *listener)
{
    struct evhttp *http = evhttp_new(p->base);
    if (http == NULL) {
        return NULL;
    }
    evhttp_set_allowed_methods(http, ALL_METHODS);
    evhttp_set_max_headers_size(http, MAX_HEADER_BYTES);
    evhttp_set_max_body_size(http, p->opt->max_body ? (ev_ssize_t)p->opt->max_body * 2 : MOST_BODY);
    evhttp_set_default_content_type(http, NULL); /* some answers are meant to have none */
    evhttp_set_timeout(http, IDLE_TIMEOUT_S);
    evhttp_set_gencb(http, on_request, p);
    if (evhttp_bind_listener(http, listener) == NULL) {
        evhttp_free(http);
        return NULL;
    }
    return http;
}
