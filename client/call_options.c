/*
 * From the options of ration_call() to a call that can be made: takes over as many of the options as the caller's version of
 * the struct has, checks them, finds the profile, parses the body once, and reads from it the URL, the estimate, and
 * whether a stream is wanted.
 *
 * What is refused here costs nothing: the server has not been asked yet. A body that only the provider will not like is
 * the provider's to refuse.
 */
#include "call.h"

#include "clock.h"
#include "drive.h"
#include "retry.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALL_TIMEOUT_MS     3600000
#define DEFAULT_CALL_TIMEOUT_MS 120000
#define WAITS_MS                300000 /* what the default deadline leaves for waits of retries */
#define MAX_KEY_BYTES           1024
#define MAX_JSON_DEPTH          64
#define SETTLE_MARGIN_MS                                                                           \
    5000 /* a reservation outlives its call by this, so that the report is not late */

void ration_call_options_init(struct ration_call_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
    options->timeout_ms = DEFAULT_CALL_TIMEOUT_MS;
    ration_acquire_options_init(&options->acquire);
    ration_retry_init(&options->retry);
}

/* ---- Options ---- */

static int take_options(struct call *call, const struct ration_call_options *options)
{
    const size_t first_size = offsetof(struct ration_call_options, max_wait_ms) + sizeof(uint32_t);
    ration_call_options_init(&call->options);
    if (!options || options->size < first_size)
        return handle_fail(call->r, RATION_EINVALID, "start from ration_call_options_init()");
    memcpy(&call->options, options,
           options->size < sizeof(call->options) ? options->size : sizeof(call->options));
    return 0;
}

static int check_options(struct call *call)
{
    ration *r = call->r;
    struct ration_call_options *o = &call->options;
    if (!o->body)
        return handle_fail(r, RATION_EINVALID, "there is no body");
    if (o->body_bytes == 0)
        o->body_bytes = strlen(o->body);
    if (o->body_bytes == 0 || o->body_bytes > UPSTREAM_MAX_ANSWER_BYTES)
        return handle_fail(r, RATION_EINVALID, "the body must have 1 byte - 64 MiB");
    if (o->timeout_ms < 1 || o->timeout_ms > MAX_CALL_TIMEOUT_MS)
        return handle_fail(r, RATION_EINVALID, "timeout_ms is %u; it must be 1 - %d", o->timeout_ms,
                           MAX_CALL_TIMEOUT_MS);
    if (o->acquire.dry_run)
        return handle_fail(r, RATION_EINVALID, "a dry run cannot be called: use ration_acquire()");
    const char *wrong = retry_check(&o->retry);
    return wrong ? handle_fail(r, RATION_EINVALID, "%s", wrong) : 0;
}

/* What follows from other options where it is not stated. */
static void fill_in(struct call *call)
{
    struct ration_call_options *o = &call->options;
    if (o->acquire.ttl_ms == 0) {
        uint32_t longest = RATION_DEFAULT_TTL_MS;
        uint32_t whole = o->timeout_ms + SETTLE_MARGIN_MS;
        o->acquire.ttl_ms = whole < longest ? whole : longest;
    }
    if (o->fail_fast) {
        o->max_wait_ms = 0;
        o->acquire.wait_ms = 0;
        o->retry.classes = 0;
    }
    int64_t whole_ms = o->retry.deadline_ms ? (int64_t)o->retry.deadline_ms
                                            : (int64_t)o->timeout_ms + o->max_wait_ms + WAITS_MS;
    call->deadline_ms = clock_ms() + whole_ms;
}

/* ---- The profile ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int read_profiles(ration *r, const char *file)
{
    char why[PROFILE_WHY_BYTES] = "";
    struct profiles *profiles = NULL;
    char *kept = file ? strdup(file) : NULL;
    if (file && !kept)
        return handle_fail(r, RATION_ENOMEM, "out of memory for the profiles");
    int err = profiles_open(file, &profiles, why);
    if (err < 0) {
        free(kept);
        return handle_fail(r, err, "profiles: %s", why[0] ? why : ration_strerror(err));
    }
    profiles_close(r->profiles);
    free(r->profiles_file);
    r->profiles = profiles;
    r->profiles_file = kept;
    return 0;
}

static int find_profile(struct call *call)
{
    ration *r = call->r;
    const char *file = call->options.profiles;
    if (!file)
        file = getenv("RATION_PROFILES");
    if (file && !file[0])
        file = NULL;
    if (!r->profiles || !same(file, r->profiles_file)) {
        int err = read_profiles(r, file);
        if (err < 0)
            return err;
    }
    call->profile = profiles_find(r->profiles, call->options.provider);
    if (!call->profile)
        return handle_fail(r, RATION_EINVALID, "there is no profile of '%.64s'; there are: %s",
                           call->options.provider, profiles_names(r->profiles));
    return 0;
}

static int find_key(struct call *call)
{
    const char *key = call->options.api_key;
    if (!key) {
        const char *variable = profile_key_variable(call->profile);
        key = variable ? getenv(variable) : NULL;
    }
    if (!key || !key[0])
        return 0;
    if (strnlen(key, MAX_KEY_BYTES + 1) > MAX_KEY_BYTES || strpbrk(key, "\r\n"))
        return handle_fail(call->r, RATION_EINVALID,
                           "api_key has a line break, or more than %d bytes", MAX_KEY_BYTES);
    call->key = key;
    return 0;
}

/* ---- The body ---- */

static bool begins_with_null(const struct ration_call_options *options)
{
    size_t i = 0;
    while (i < options->body_bytes && strchr(" \t\r\n", options->body[i]))
        i++;
    return i < options->body_bytes && options->body[i] == 'n';
}

static int parse_body(struct call *call)
{
    ration *r = call->r;
    json_tokener *tokener = json_tokener_new_ex(MAX_JSON_DEPTH);
    if (!tokener)
        return handle_fail(r, RATION_ENOMEM, "out of memory for the body");
    call->request =
        json_tokener_parse_ex(tokener, call->options.body, (int)call->options.body_bytes);
    enum json_tokener_error parsed = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    /* Without memory json-c gives NULL and calls it success, as it does for the literal null. */
    if (parsed == json_tokener_success && !call->request && !begins_with_null(&call->options))
        return handle_fail(r, RATION_ENOMEM, "out of memory for the body");
    if (parsed != json_tokener_success || !json_object_is_type(call->request, json_type_object))
        return handle_fail(r, RATION_EINVALID, "the body is not a JSON object: %s",
                           parsed == json_tokener_success ? "it is another value"
                                                          : json_tokener_error_desc(parsed));
    return 0;
}

/* The body is sent as it came, unless the profile has changed something in it. */
static int read_body(struct call *call)
{
    ration *r = call->r;
    char why[PROFILE_WHY_BYTES] = "";
    struct profile_request request = {.streamed = false};
    const struct ration_call_options *o = &call->options;
    int err = profile_read_request(call->profile, call->request, &request, why);
    if (err == 0)
        err = profile_url(call->profile, o->url, o->model, call->request, call->url,
                          sizeof(call->url), why);
    if (err < 0)
        return handle_fail(r, err, "%s", why);
    profile_estimate(call->profile, &request, &call->options.estimate);
    call->streamed = request.streamed;
    call->body = o->body;
    call->body_bytes = o->body_bytes;
    if (profile_prepare_stream(call->profile, call->request)) {
        call->body = json_object_to_json_string_length(
            call->request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
            &call->body_bytes);
        if (!call->body)
            return handle_fail(r, RATION_ENOMEM, "out of memory for the body");
    }
    return 0;
}

int call_prepare(struct call *call, const struct ration_call_options *options)
{
    ration *r = call->r;
    int err = take_options(call, options);
    if (err == 0)
        err = check_options(call);
    if (err < 0)
        return err;
    fill_in(call);
    err = find_profile(call);
    if (err == 0)
        err = find_key(call);
    if (err == 0)
        err = parse_body(call);
    if (err == 0)
        err = read_body(call);
    if (err == 0 && !r->drive) {
        r->drive = drive_new();
        if (!r->drive)
            err = handle_fail(r, RATION_ENOMEM, "libcurl could not be set up");
    }
    return err;
}

void call_close(struct call *call)
{
    json_object_put(call->request);
    call->request = NULL;
}
