/*
 * evhttp fills in Content-Length where none is set; answer_truncated() sets one that is too large and asks for the
 * connection to be closed, which is all that a broken answer takes.
 *
 * A client that left while its answer was under way makes the write fail, upon which evhttp closes the connection and
 * frees the request; nobody here holds it any more by then.
 */
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "completion.h"
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

static void add_number(struct evkeyvalq *headers, const char *name, int64_t n)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, n);
    evhttp_add_header(headers, name, digits);
}

void answer_add_wait(struct evhttp_request *req, int64_t wait_us)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    add_number(headers, "Retry-After", wait_us / 1000000 + (wait_us % 1000000 != 0));
    add_number(headers, "retry-after-ms", wait_us / 1000 + (wait_us % 1000 != 0));
}

static void add_standing_headers(struct provider *p, struct evhttp_request *req)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct window_view view;
    char value[64];
    limiter_look(&p->limiter, provider_now_us(), &view);
    evhttp_add_header(headers, "Content-Type", "application/json");
    snprintf(value, sizeof(value), "req_strict%010" PRIu64, p->next_number++);
    evhttp_add_header(headers, "x-request-id", value);
    add_number(headers, "x-ratelimit-limit-requests", p->opt->rpm);
    add_number(headers, "x-ratelimit-remaining-requests", view.requests_left);
    evhttp_add_header(headers, "x-ratelimit-reset-requests",
                      answer_duration(value, sizeof(value), view.requests_reset_us));
    add_number(headers, "x-ratelimit-limit-tokens", p->opt->tpm);
    add_number(headers, "x-ratelimit-remaining-tokens", view.tokens_left);
    evhttp_add_header(headers, "x-ratelimit-reset-tokens",
                      answer_duration(value, sizeof(value), view.tokens_reset_us));
}

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static void send_bytes(struct provider *p, struct evhttp_request *req, int status, const char *s,
                       size_t len)
{
    add_standing_headers(p, req);
    evbuffer_add(evhttp_request_get_output_buffer(req), s, len);
    evhttp_send_reply(req, status, reason(status), NULL);
}

void answer_json(struct provider *p, struct evhttp_request *req, int status, const char *json)
{
    send_bytes(p, req, status, json, strlen(json));
}

void answer_error(struct provider *p, struct evhttp_request *req, const struct answer_error *error)
{
    char *json = completion_error(error->message, error->type, error->param, error->code);
    answer_json(p, req, error->status, json ? json : "{}");
    free(json);
}

void answer_truncated(struct provider *p, struct evhttp_request *req, const char *json)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    add_number(headers, "Content-Length", (int64_t)strlen(json));
    evhttp_add_header(headers, "Connection", "close");
    send_bytes(p, req, 200, json, strlen(json) / 2);
}

void answer_broken(struct provider *p, struct evhttp_request *req, const char *json)
{
    send_bytes(p, req, 200, json, strlen(json) / 2);
}
