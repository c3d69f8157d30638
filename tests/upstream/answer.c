/*
 * evhttp fills in Content-Length unless it is set; answer_truncated() sets one that is too large
 * and asks for the connection to be closed, which is all that a broken answer takes.
 *
 * If a client leaves while its answer is being sent, the write fails and evhttp closes the
 * connection and frees the request; nothing here refers to it any more by then.
 */
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "form.h"
#include "gzip.h"
#include "provider.h"

const char *answer_duration(char *out, size_t size, int64_t us)
{
    int64_t ms = us / 1000 + (us % 1000 != 0);
    if (ms == 0) {
        snprintf(out, size, "0s");
        return out;
    }
    if (ms < 1000) {
        snprintf(out, size, "%" PRId64 "ms", ms);
        return out;
    }
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60, seconds = ms / 1000 % 60;
    char fraction[8] = "";
    if (ms % 1000) {
        snprintf(fraction, sizeof(fraction), ".%03d", (int)(ms % 1000));
        for (size_t end = strlen(fraction); fraction[end - 1] == '0'; end--) {
            fraction[end - 1] = '\0';
        }
    }
    if (hours > 0) {
        snprintf(out, size, "%" PRId64 "h%" PRId64 "m%" PRId64 "%ss", hours, minutes, seconds,
                 fraction);
    } else if (minutes > 0) {
        snprintf(out, size, "%" PRId64 "m%" PRId64 "%ss", minutes, seconds, fraction);
    } else {
        snprintf(out, size, "%" PRId64 "%ss", seconds, fraction);
    }
    return out;
}

static const struct shape *shape_for(struct evhttp_request *req)
{
    return shape_near(req);
}

/* error is NULL unless the answer is one. */
static void add_limits(struct provider *p, struct evhttp_request *req,
                       const struct answer_error *error)
{
    struct limits_now now = {.rpm = p->opt->rpm,
                             .tpm = p->opt->tpm,
                             .wall_us = provider_now_us() + p->limits.epoch_offset_us,
                             .number = p->next_number++};
    limiter_look(&p->limiter, provider_now_us(), &now.view);
    if (error && error->reset_us > 0) {
        now.view.requests_left = 0;
        now.view.requests_reset_us = error->reset_us;
    }
    shape_for(req)->limits(evhttp_request_get_output_headers(req), &now);
}

static void add_type(struct evhttp_request *req, const char *type)
{
    evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
}

static const char *reason(int status)
{
    switch (status) {
    case 204:
        return "No Content";
    case 402:
        return "Payment Required";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 415:
        return "Unsupported Media Type";
    case 425:
        return "Too Early";
    case 498:
        return "Capacity Exceeded";
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 529:
        return "Overloaded";
    case 500:
        return "Internal Server Error";
    default:
        return NULL; /* libevent's own text */
    }
}

/* Whether to compress an answer: as the form says, else if --gzip is on and the client accepts it.
 */
static bool is_packed(struct provider *p, struct evhttp_request *req, struct json_object *form)
{
    const char *accepted = shape_header(req, "Accept-Encoding");
    bool asked = accepted && strstr(accepted, "gzip");
    const char *how = form_text(form, "gzip");
    if (how) {
        return asked || strcmp(how, "always") == 0;
    }
    bool word_for_word = form_has(form, "body") || form_has(form, "hex");
    return p->opt->gzip && asked && !word_for_word;
}

static void say_packed(struct evhttp_request *req, struct gzip *gz, bool on)
{
    gz->on = on;
    if (on) {
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Encoding", "gzip");
    }
}

static void send_whole(struct provider *p, struct evhttp_request *req, int status,
                       struct json_object *form)
{
    struct gzip gz = {0};
    say_packed(req, &gz, is_packed(p, req, form));
    gzip_part(&gz, evhttp_request_get_output_buffer(req), true);
    form_headers(form, evhttp_request_get_output_headers(req));
    evhttp_send_reply(req, status, reason(status), NULL);
}

static void send_bytes(struct provider *p, struct evhttp_request *req, int status,
                       const struct answer_error *error, const char *s, size_t len)
{
    add_type(req, "application/json");
    add_limits(p, req, error);
    evbuffer_add(evhttp_request_get_output_buffer(req), s, len);
    send_whole(p, req, status, NULL);
}

void answer_json(struct provider *p, struct evhttp_request *req, int status, const char *json)
{
    send_bytes(p, req, status, NULL, json, strlen(json));
}

void answer_error(struct provider *p, struct evhttp_request *req, const struct answer_error *error)
{
    const struct shape *shape = shape_for(req);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    if (error->wait_us > 0) {
        shape->wait(headers, error->wait_us);
    }
    if (shape->error_headers) {
        shape->error_headers(headers, error);
    }
    char *json = shape->error(error);
    send_bytes(p, req, error->status, error, json ? json : "{}", json ? strlen(json) : 2);
    free(json);
}

void answer_form(struct provider *p, struct evhttp_request *req, struct json_object *form,
                 const struct form_facts *facts)
{
    add_type(req, "application/json");
    add_limits(p, req, NULL);
    form_body(form, facts, evhttp_request_get_output_buffer(req));
    send_whole(p, req, form_status(form), form);
}

void answer_patched(struct provider *p, struct evhttp_request *req, struct json_object *form,
                    const struct form_facts *facts, const char *json)
{
    struct evbuffer *out = evhttp_request_get_output_buffer(req);
    const char *before = form_text(form, "before");
    add_type(req, "application/json");
    add_limits(p, req, NULL);
    evbuffer_add(out, json, strlen(json));
    form_patch(form, facts, out);
    if (before) {
        evbuffer_prepend(out, before, strlen(before));
    }
    send_whole(p, req, form_status(form), form);
}

static void announce(struct evhttp_request *req, size_t len)
{
    shape_add_number(evhttp_request_get_output_headers(req), "Content-Length", (int64_t)len);
}

void answer_truncated(struct provider *p, struct evhttp_request *req, const char *json)
{
    announce(req, strlen(json));
    evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
    send_bytes(p, req, 200, NULL, json, strlen(json) / 2);
}

void answer_broken(struct provider *p, struct evhttp_request *req, const char *json)
{
    send_bytes(p, req, 200, NULL, json, strlen(json) / 2);
}

void answer_half(struct provider *p, struct evhttp_request *req, const char *json)
{
    struct evbuffer *half = evbuffer_new();
    announce(req, strlen(json));
    add_type(req, "application/json");
    add_limits(p, req, NULL);
    evhttp_send_reply_start(req, 200, reason(200));
    if (half) {
        evbuffer_add(half, json, strlen(json) / 2);
        evhttp_send_reply_chunk(req, half);
        evbuffer_free(half);
    }
}

void answer_stream(struct provider *p, struct evhttp_request *req, struct json_object *form,
                   struct gzip *gz)
{
    const char *type = shape_for(req)->stream_type;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    int status = form ? form_status(form) : 200;
    add_type(req, type ? type : "text/event-stream; charset=utf-8");
    evhttp_add_header(headers, "Cache-Control", "no-cache");
    add_limits(p, req, NULL);
    say_packed(req, gz, is_packed(p, req, form));
    form_headers(form, headers);
    evhttp_send_reply_start(req, status, reason(status));
}
