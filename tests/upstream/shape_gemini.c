/*
 * Gemini's generateContent. Documented at
 *
 *     https://ai.google.dev/api/generate-content                              request, answer, UsageMetadata, streaming
 *     https://ai.google.dev/gemini-api/docs/troubleshooting                   errors and their status words
 *     https://ai.google.dev/gemini-api/docs/rate-limits                       limits; there are no headers that tell them
 *     https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto    QuotaFailure, RetryInfo
 *     https://protobuf.dev/reference/protobuf/google.protobuf/#duration       retryDelay: "37s", "1.5s"
 *
 * Events of a stream end with CR LF here, as that API's do; a reader of events takes either.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "jo.h"
#include "read.h"

/* ---- Requests ---- */

static bool authorized(struct evhttp_request *req)
{
    return shape_has_header(req, "x-goog-api-key") || shape_has_query(req, "key", NULL) ||
           shape_has_bearer(req);
}

static int read_contents(struct json_object *root, int64_t *characters, struct complaint *bad)
{
    struct json_object *contents;
    struct json_object *parts;
    if (!json_object_object_get_ex(root, "contents", &contents) ||
        !json_object_is_type(contents, json_type_array) || json_object_array_length(contents) < 1) {
        return read_complain(bad, "contents", "contents must be an array of at least one content");
    }
    for (size_t i = 0; i < json_object_array_length(contents); i++) {
        if (!json_object_object_get_ex(json_object_array_get_idx(contents, i), "parts", &parts) ||
            !json_object_is_type(parts, json_type_array)) {
            return read_complain(bad, "contents", "each content must be an object with parts");
        }
        if (read_content(parts, "contents", characters, bad) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_config(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *config;
    if (!json_object_object_get_ex(root, "generationConfig", &config) || config == NULL) {
        return 0;
    }
    if (!json_object_is_type(config, json_type_object) ||
        !read_whole(config, "maxOutputTokens", false, 1, COMPLETION_MAX_TOKENS, &c->max_output) ||
        !read_whole(config, "candidateCount", false, 1, COMPLETION_MAX_CHOICES, &c->choices)) {
        return read_complain(bad, "generationConfig",
                             "maxOutputTokens must be a whole number from 1 to 1000000000, "
                             "candidateCount one from 1 to 128");
    }
    return 0;
}

static int read_body(struct json_object *root, struct completion *c, int64_t *characters,
                     struct complaint *bad)
{
    struct json_object *system;
    struct json_object *parts = NULL;
    if (json_object_object_get_ex(root, "systemInstruction", &system)) {
        json_object_object_get_ex(system, "parts", &parts);
        if (read_content(parts, "systemInstruction", characters, bad) < 0) {
            return -1;
        }
    }
    if (read_contents(root, characters, bad) < 0) {
        return -1;
    }
    return read_config(root, c, bad);
}

/* Without alt=sse the stream would be one JSON array that grows. */
static const char *objection(struct evhttp_request *req)
{
    struct completion asked;
    shape_of(req, &asked);
    return !asked.stream || shape_has_query(req, "alt", "sse")
               ? NULL
               : "This provider streams only server-sent events: add ?alt=sse to the path.";
}

/* ---- Headers: none ---- */

static void limits(struct evkeyvalq *headers, const struct limits_now *now)
{
    (void)headers;
    (void)now;
}

static void add_wait(struct evkeyvalq *headers, int64_t wait_us)
{
    (void)headers;
    (void)wait_us;
}

/* ---- Errors ---- */

static const char *status_word(int status)
{
    switch (status) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 500:
        return "INTERNAL";
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return status > 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT";
    }
}

static struct json_object *detail(const char *type)
{
    char url[80];
    snprintf(url, sizeof(url), "type.googleapis.com/google.rpc.%s", type);
    return jo_put_string(json_object_new_object(), "@type", url);
}

static struct json_object *quota_failure(const struct answer_error *error)
{
    bool tokens = error->type && strcmp(error->type, "tokens") == 0;
    struct json_object *violation = json_object_new_object();
    jo_put_string(violation, "quotaMetric",
                  tokens ? "generativelanguage.googleapis.com/"
                           "generate_content_paid_tier_input_token_count"
                         : "generativelanguage.googleapis.com/generate_requests_per_model");
    jo_put_string(violation, "quotaId",
                  tokens ? "GenerateContentPaidTierInputTokensPerModelPerMinute"
                         : "GenerateRequestsPerMinutePerProjectPerModel");
    return jo_put(detail("QuotaFailure"), "violations", jo_list(violation));
}

/* A protobuf duration: seconds, with a fraction only where there is one. */
static void duration(char *out, size_t size, int64_t us)
{
    int64_t ms = us / 1000 + (us % 1000 != 0);
    if (ms % 1000 == 0) {
        snprintf(out, size, "%" PRId64 "s", ms / 1000);
    } else {
        snprintf(out, size, "%" PRId64 ".%03" PRId64 "s", ms / 1000, ms % 1000);
    }
}

static struct json_object *error_root(const struct answer_error *error)
{
    char delay[32];
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "code", error->status);
    jo_put_string(o, "message", error->message);
    jo_put_string(o, "status", status_word(error->status));
    if (error->status == 429) {
        struct json_object *details = jo_list(quota_failure(error));
        const char *told = error->retry_delay;
        if (told == NULL && error->wait_us > 0) {
            duration(delay, sizeof(delay), error->wait_us);
            told = delay;
        }
        if (told) {
            json_object_array_add(details, jo_put_string(detail("RetryInfo"), "retryDelay", told));
        }
        jo_put(o, "details", details);
    }
    return jo_put(json_object_new_object(), "error", o);
}

static char *error_body(const struct answer_error *error)
{
    return jo_render(error_root(error));
}

static void event(struct evbuffer *out, struct json_object *data)
{
    char *json = jo_render(data);
    evbuffer_add_printf(out, "data: %s\r\n\r\n", json ? json : "{}");
    free(json);
}

static void stream_error(struct evbuffer *out, const struct answer_error *error)
{
    event(out, error_root(error));
}

/* ---- Answers ---- */

/* Thoughts are told apart from the candidates; what is said of a stream's piece is what was used up to it. */
static struct json_object *usage(const struct usage *use, int64_t output)
{
    int64_t thoughts = use->reasoning_tokens < output ? use->reasoning_tokens : output;
    struct json_object *o = json_object_new_object();
    jo_put_int(o, "promptTokenCount", use->prompt_tokens);
    if (use->cached_tokens > 0) {
        jo_put_int(o, "cachedContentTokenCount", use->cached_tokens);
    }
    jo_put_int(o, "candidatesTokenCount", output - thoughts);
    if (thoughts > 0) {
        jo_put_int(o, "thoughtsTokenCount", thoughts);
    }
    return jo_put_int(o, "totalTokenCount", use->prompt_tokens + output);
}

static struct json_object *root(const struct reply *r, const char *text, bool done, int64_t output)
{
    char id[48];
    const char *reason = completion_was_cut(r->asked, r->use) ? "MAX_TOKENS" : "STOP";
    struct json_object *candidates = json_object_new_array();
    for (int64_t i = 0; i < r->asked->choices; i++) {
        struct json_object *part = jo_put_string(json_object_new_object(), "text", text);
        struct json_object *content = jo_put(json_object_new_object(), "parts", jo_list(part));
        struct json_object *candidate = json_object_new_object();
        jo_put(candidate, "content", jo_put_string(content, "role", "model"));
        if (done) {
            jo_put_string(candidate, "finishReason", reason);
        }
        json_object_array_add(candidates, jo_put_int(candidate, "index", i));
    }
    struct json_object *o = jo_put(json_object_new_object(), "candidates", candidates);
    if (r->with_usage) {
        jo_put(o, "usageMetadata", usage(r->use, output));
    }
    jo_put_string(o, "modelVersion", r->asked->model);
    snprintf(id, sizeof(id), "strict%010" PRIu64, r->number);
    return jo_put_string(o, "responseId", id);
}

static char *answer(const struct reply *r)
{
    return jo_render(root(r, SHAPE_TEXT, true, r->use->completion_tokens));
}

static void stream(struct evbuffer *out, const struct reply *r, enum stream_step step)
{
    int64_t all = r->use->completion_tokens;
    switch (step) {
    case STREAM_BEGIN:
        break;
    case STREAM_PIECE:
        event(out, root(r, SHAPE_PIECE, false, all * (r->piece + 1) / r->pieces));
        break;
    case STREAM_END:
        event(out, root(r, "", true, all));
        break;
    }
}

const struct shape shape_gemini = {
    .name = "gemini",
    .no_key = "There is no API key: send the header `x-goog-api-key: KEY`; any key will do.",
    .authorized = authorized,
    .objection = objection,
    .read = read_body,
    .limits = limits,
    .wait = add_wait,
    .answer = answer,
    .error = error_body,
    .stream = stream,
    .stream_error = stream_error,
};
