/*
 * The call itself: ask, POST, read what was used, report.
 *
 * Normal path: parse the body for its estimate, acquire (sitting out denials as far as the caller allows), POST, read the
 * usage out of a 2xx, report it.
 *
 * How it fails, and how the reservation is settled then, so that what the provider may have counted stays charged:
 *   - denied: nothing is reserved, nothing is sent
 *   - never sent (no connection, TLS, no memory): cancelled
 *   - an HTTP error: the request counts, its tokens do not; the status and the wait go along, so that the pool can pause
 *   - sent, but no answer or half of one: partial, without amounts
 *   - a 2xx that does not say what it used: the estimate stands
 * A report that does not get through does not make an answered call fail: the reservation expires with its charge.
 */
#include "handle.h"

#include "clock.h"
#include "http.h"
#include "provider.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALL_TIMEOUT_MS     3600000
#define DEFAULT_CALL_TIMEOUT_MS 120000
#define MAX_KEY_BYTES           1024
#define MAX_URL_BYTES           2048
#define SETTLE_MARGIN_MS                                                                           \
    5000 /* a reservation outlives its call by this, so that the report is not late */

/* One call's state, from the options to the settlement. */
struct call {
    ration *r;
    const char *pool;
    const char *tenant;
    const struct provider *provider;
    struct ration_call_options options;
    char url[MAX_URL_BYTES];
    char key_header[MAX_KEY_BYTES + 64]; /* "": no key */
};

void ration_call_options_init(struct ration_call_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
    options->timeout_ms = DEFAULT_CALL_TIMEOUT_MS;
    ration_acquire_options_init(&options->acquire);
}

void ration_response_free(struct ration_response *response)
{
    if (!response)
        return;
    free(response->body);
    response->body = NULL;
    response->body_bytes = 0;
}

/* ---- Preparing ---- */

/* A base URL may end in "/", or in the "/v1" that other clients want there. */
static int make_url(struct call *call)
{
    const char *base = call->options.url ? call->options.url : call->provider->url;
    const char *path = call->provider->path;
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    if (len >= 3 && memcmp(base + len - 3, "/v1", 3) == 0 && strncmp(path, "/v1/", 4) == 0)
        path += 3;
    int n = len < sizeof(call->url)
                ? snprintf(call->url, sizeof(call->url), "%.*s%s", (int)len, base, path)
                : INT_MAX;
    if (n >= (int)sizeof(call->url) || strpbrk(call->url, " \r\n") ||
        (strncmp(base, "http://", 7) != 0 && strncmp(base, "https://", 8) != 0))
        return handle_fail(call->r, RATION_EINVALID,
                           "url must be http:// or https://, and at most %d bytes",
                           MAX_URL_BYTES - 64);
    return 0;
}

static int make_key_header(struct call *call)
{
    const char *key = call->options.api_key;
    if (!key)
        key = getenv(call->provider->key_variable);
    if (!key || !key[0])
        return 0;
    if (strnlen(key, MAX_KEY_BYTES + 1) > MAX_KEY_BYTES || strpbrk(key, "\r\n"))
        return handle_fail(call->r, RATION_EINVALID,
                           "api_key has a line break, or more than %d bytes", MAX_KEY_BYTES);
    snprintf(call->key_header, sizeof(call->key_header), "%s%s", call->provider->key_header, key);
    return 0;
}

static bool begins_with_null(const struct ration_call_options *options)
{
    size_t i = 0;
    while (i < options->body_bytes && strchr(" \t\r\n", options->body[i]))
        i++;
    return i < options->body_bytes && options->body[i] == 'n';
}

static int make_estimate(struct call *call)
{
    ration *r = call->r;
    json_tokener *tokener = json_tokener_new_ex(64);
    if (!tokener)
        return handle_fail(r, RATION_ENOMEM, "out of memory for the body");
    json_object *request =
        json_tokener_parse_ex(tokener, call->options.body, (int)call->options.body_bytes);
    enum json_tokener_error parsed = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    /* Without memory json-c gives NULL and calls it success, as it does for the literal null. */
    if (parsed == json_tokener_success && !request && !begins_with_null(&call->options))
        return handle_fail(r, RATION_ENOMEM, "out of memory for the body");
    if (parsed != json_tokener_success || !json_object_is_type(request, json_type_object)) {
        json_object_put(request);
        return handle_fail(r, RATION_EINVALID, "the body is not a JSON object: %s",
                           parsed == json_tokener_success ? "it is another value"
                                                          : json_tokener_error_desc(parsed));
    }
    const char *why = "";
    int err = call->provider->estimate(request, &call->options.estimate, &why);
    json_object_put(request);
    return err < 0 ? handle_fail(r, err, "%s", why) : 0;
}

/* Takes the options over, as many of them as the caller's version of the struct has. */
static int take_options(struct call *call, const struct ration_call_options *options)
{
    ration *r = call->r;
    const size_t first_size = offsetof(struct ration_call_options, max_wait_ms) + sizeof(uint32_t);
    ration_call_options_init(&call->options);
    if (!options || options->size < first_size)
        return handle_fail(r, RATION_EINVALID, "start from ration_call_options_init()");
    memcpy(&call->options, options,
           options->size < sizeof(call->options) ? options->size : sizeof(call->options));
    struct ration_call_options *o = &call->options;
    if (!o->body)
        return handle_fail(r, RATION_EINVALID, "there is no body");
    if (o->body_bytes == 0)
        o->body_bytes = strlen(o->body);
    if (o->body_bytes == 0 || o->body_bytes > HTTP_MAX_ANSWER_BYTES)
        return handle_fail(r, RATION_EINVALID, "the body must have 1 byte - 64 MiB");
    if (o->timeout_ms < 1 || o->timeout_ms > MAX_CALL_TIMEOUT_MS)
        return handle_fail(r, RATION_EINVALID, "timeout_ms is %u; it must be 1 - %d", o->timeout_ms,
                           MAX_CALL_TIMEOUT_MS);
    if (o->acquire.dry_run)
        return handle_fail(r, RATION_EINVALID, "a dry run cannot be called: use ration_acquire()");
    if (o->acquire.ttl_ms == 0) {
        uint32_t longest = RATION_MAX_TTL_MS - SETTLE_MARGIN_MS;
        o->acquire.ttl_ms = (o->timeout_ms < longest ? o->timeout_ms : longest) + SETTLE_MARGIN_MS;
    }
    call->provider = provider_find(o->provider);
    if (!call->provider)
        return handle_fail(r, RATION_EINVALID,
                           "there is no profile of that provider; there is: openai");
    return 0;
}

static int prepare(struct call *call, const struct ration_call_options *options)
{
    ration *r = call->r;
    int err = take_options(call, options);
    if (err == 0)
        err = make_url(call);
    if (err == 0)
        err = make_key_header(call);
    if (err == 0)
        err = make_estimate(call);
    if (err == 0 && !r->http) {
        r->http = http_new();
        if (!r->http)
            err = handle_fail(r, RATION_ENOMEM, "libcurl could not be set up");
    }
    return err;
}

/* ---- Asking ---- */

static int acquire_patiently(struct call *call, struct ration_grant *grant)
{
    int64_t give_up_ms = clock_ms() + call->options.max_wait_ms;
    for (;;) {
        int err = ration_acquire(call->r, call->pool, call->tenant, &call->options.estimate,
                                 &call->options.acquire, grant);
        if (err < 0 || grant->granted)
            return err;
        int64_t now_ms = clock_ms();
        int64_t wait_ms = grant->retry_after_ms > 0 ? grant->retry_after_ms : 1;
        if (grant->retry_after_ms == RATION_RETRY_NEVER || wait_ms > give_up_ms - now_ms)
            return handle_fail(call->r, RATION_EDENIED, "denied by %s", grant->limited_by);
        clock_wait_until(now_ms + wait_ms);
    }
}

/* ---- Settling ---- */

/*
 * Settles without disturbing what the caller is told: the message of the call's own failure is worth more than that of a
 * report which did not get through.
 */
static void report_quietly(struct call *call, const struct ration_response *out,
                           const struct ration_amounts *used, bool partial)
{
    char kept[ERRMSG_BYTES];
    struct ration_report_options options = {
        .http_status = out->http_status,
        .retry_after_ms = out->retry_after_ms,
        .partial = partial,
    };
    memcpy(kept, call->r->errmsg, sizeof(kept));
    ration_report(call->r, out->grant.id, used, &options, NULL);
    memcpy(call->r->errmsg, kept, sizeof(kept));
}

static void cancel_quietly(struct call *call, const char *id)
{
    char kept[ERRMSG_BYTES];
    memcpy(kept, call->r->errmsg, sizeof(kept));
    ration_cancel(call->r, id, NULL);
    memcpy(call->r->errmsg, kept, sizeof(kept));
}

static bool read_answer(const struct call *call, struct ration_response *out)
{
    if (!out->body || out->body_bytes > INT_MAX)
        return false;
    json_tokener *tokener = json_tokener_new_ex(64);
    if (!tokener)
        return false;
    json_object *answer = json_tokener_parse_ex(tokener, out->body, (int)out->body_bytes);
    bool known = json_tokener_get_error(tokener) == json_tokener_success &&
                 call->provider->usage(answer, &out->used);
    json_object_put(answer);
    json_tokener_free(tokener);
    return known;
}

/* The provider answered with an error: the request counts, nothing else does. */
static void settle_refused(struct call *call, struct ration_response *out)
{
    struct ration_amounts none = {
        .tokens = RATION_ZERO, .input_tokens = RATION_ZERO, .output_tokens = RATION_ZERO};
    if (call->options.estimate.usd_millionths != 0)
        none.usd_millionths = RATION_ZERO;
    out->used = none;
    report_quietly(call, out, &none, false);
}

static int settle(struct call *call, const struct http_answer *answer, struct ration_response *out)
{
    ration *r = call->r;
    if (!answer->sent && !answer->complete) {
        handle_fail(r, RATION_EUPSTREAM, "%s was not reached: %s", call->url, answer->why);
        cancel_quietly(call, out->grant.id);
        return RATION_EUPSTREAM;
    }
    if (answer->status != 0 && answer->status / 100 != 2) {
        handle_fail(r, RATION_EUPSTREAM, "%s answered with status %d", call->url, answer->status);
        settle_refused(call, out);
        return RATION_EUPSTREAM;
    }
    if (!answer->complete) {
        handle_fail(r, RATION_EUPSTREAM, "the answer of %s was cut short: %s", call->url,
                    answer->why);
        report_quietly(call, out, NULL, true);
        return RATION_EUPSTREAM;
    }
    out->used_known = read_answer(call, out);
    report_quietly(call, out, out->used_known ? &out->used : NULL, false);
    return RATION_OK;
}

int ration_call(ration *r, const char *pool, const char *tenant,
                const struct ration_call_options *options, struct ration_response *out)
{
    struct call call = {.r = r, .pool = pool, .tenant = tenant};
    memset(out, 0, sizeof(*out));
    handle_begin(r);
    int err = prepare(&call, options);
    if (err == 0)
        err = acquire_patiently(&call, &out->grant);
    if (err < 0) {
        if (err == RATION_EDENIED && out->grant.retry_after_ms > 0)
            out->retry_after_ms = out->grant.retry_after_ms;
        explicit_bzero(call.key_header, sizeof(call.key_header));
        return err;
    }

    struct http_request request = {
        .url = call.url,
        .key_header = call.key_header[0] ? call.key_header : NULL,
        .body = call.options.body,
        .body_bytes = call.options.body_bytes,
        .timeout_ms = call.options.timeout_ms,
    };
    struct http_answer answer = {0};
    err = http_post(r->http, &request, &answer);
    explicit_bzero(call.key_header, sizeof(call.key_header));
    if (err < 0) {
        handle_fail(r, err, "out of memory for the request");
        cancel_quietly(&call, out->grant.id);
        return err;
    }
    out->http_status = answer.status;
    out->body = answer.body;
    out->body_bytes = answer.body_bytes;
    out->retry_after_ms = answer.retry_after_ms;
    out->upstream_us = answer.took_us;
    return settle(&call, &answer, out);
}
