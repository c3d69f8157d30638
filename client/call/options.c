/*
 * Turns the options of ration_call() into a call that can be made: copies as many options as the
 * caller's version of the struct has, checks them, finds the profile, parses the body once, and
 * reads from it the URL, the estimate, and whether a stream is wanted. The body's own text is sent,
 * changed only where the profile must.
 *
 * A refusal here costs nothing, since the server has not been asked yet. A body that only the
 * provider objects to is left for the provider to refuse.
 */
#include "call/call.h"

#include "clock.h"
#include "call/exchange.h"
#include "call/retry.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALL_TIMEOUT_MS     3600000
#define DEFAULT_CALL_TIMEOUT_MS 120000
#define WAITS_MS                300000 /* the default deadline's share for the waits of retries */
#define MIN_IDLE_MS             1000
#define SETTLE_MARGIN_MS        5000 /* a reservation outlives its call, so no report is late */

_Static_assert(sizeof(((ration *)NULL)->errmsg) >= PROFILE_WHY_BYTES,
               "profiles write their messages into the handle's");

void ration_call_options_init(struct ration_call_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
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
        return handle_fail(r, RATION_EINVALID, "the call has no body");
    if (o->body_bytes == 0)
        o->body_bytes = strlen(o->body);
    if (o->body_bytes == 0 || o->body_bytes > UPSTREAM_MAX_ANSWER_BYTES)
        return handle_fail(r, RATION_EINVALID, "the body must have between 1 byte and 64 MiB");
    if (o->timeout_ms > MAX_CALL_TIMEOUT_MS)
        return handle_fail(r, RATION_EINVALID, "timeout_ms is %u; it must be 1 - %d, or 0",
                           o->timeout_ms, MAX_CALL_TIMEOUT_MS);
    if (o->idle_timeout_ms != 0 &&
        (o->idle_timeout_ms < MIN_IDLE_MS || o->idle_timeout_ms > MAX_CALL_TIMEOUT_MS))
        return handle_fail(r, RATION_EINVALID, "idle_timeout_ms is %u; it must be %d - %d, or 0",
                           o->idle_timeout_ms, MIN_IDLE_MS, MAX_CALL_TIMEOUT_MS);
    if (profile_check_headers(o->headers, o->n_headers, r->errmsg) < 0)
        return RATION_EINVALID;
    if (o->acquire.dry_run)
        return handle_fail(r, RATION_EINVALID, "a call cannot be a dry run; use ration_acquire()");
    const char *wrong = retry_check(&o->retry);
    return wrong ? handle_fail(r, RATION_EINVALID, "%s", wrong) : 0;
}

/* Fills in the defaults that follow from other options, or from whether a stream is wanted. Silence
 * ends a stream, not its length: without a time-out of the caller's own it has none. Its tries and
 * waits have a deadline, but a stream that runs may run on. */
static void fill_in(struct call *call)
{
    struct ration_call_options *o = &call->options;
    int64_t usual_ms = o->timeout_ms ? o->timeout_ms : DEFAULT_CALL_TIMEOUT_MS;
    call->timeout_ms = o->timeout_ms || call->streamed ? o->timeout_ms : DEFAULT_CALL_TIMEOUT_MS;
    if (o->idle_timeout_ms == 0)
        o->idle_timeout_ms = DEFAULT_CALL_TIMEOUT_MS;
    if (o->acquire.ttl_ms == 0) {
        int64_t whole_ms = usual_ms + SETTLE_MARGIN_MS;
        o->acquire.ttl_ms =
            whole_ms < RATION_DEFAULT_TTL_MS ? (uint32_t)whole_ms : RATION_DEFAULT_TTL_MS;
    }
    if (o->fail_fast) {
        o->max_wait_ms = 0;
        o->acquire.wait_ms = 0;
        o->retry.classes = 0;
    }
    int64_t whole_ms =
        o->retry.deadline_ms ? (int64_t)o->retry.deadline_ms : usual_ms + o->max_wait_ms + WAITS_MS;
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
        return handle_fail(r, RATION_EINVALID, "no profile is called '%.64s'; there are: %s",
                           call->options.provider, profiles_names(r->profiles));
    return 0;
}

static int find_key(struct call *call)
{
    const struct ration_call_options *o = &call->options;
    const struct profile_caller caller = {.key = o->api_key,
                                          .base = o->url,
                                          .query = o->query,
                                          .headers = o->headers,
                                          .n_headers = o->n_headers};
    return profile_find_key(call->profile, &caller, &call->key, call->r->errmsg);
}

/* ---- What servers refuse to be asked ---- */

/* FNV-1a: the URLs that a handle remembers need no memory of their own. */
static uint64_t hash_of(const char *url)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *url; url++)
        hash = (hash ^ (unsigned char)*url) * UINT64_C(0x100000001b3);
    return hash;
}

static bool may_ask(const struct call *call)
{
    const ration *r = call->r;
    uint64_t hash = hash_of(call->url);
    for (size_t i = 0; i < MAX_NO_USAGE_URLS && i < r->n_no_usage; i++) {
        if (r->no_usage[i] == hash)
            return false;
    }
    return true;
}

/* ---- The body ---- */

static int make_body(struct call *call, bool ask)
{
    const struct ration_call_options *o = &call->options;
    char *made = NULL;
    size_t made_n = 0;
    int err = profile_make_body(call->profile, o->body, o->body_bytes, call->streamed, ask, &made,
                                &made_n);
    if (err < 0)
        return handle_fail(call->r, RATION_ENOMEM, "out of memory for the body");
    free(call->made);
    call->made = made;
    call->body = made ? made : o->body;
    call->body_bytes = made ? made_n : o->body_bytes;
    call->asks_usage = ask && made;
    return 0;
}

int call_stop_asking(struct call *call)
{
    ration *r = call->r;
    r->no_usage[r->n_no_usage++ % MAX_NO_USAGE_URLS] = hash_of(call->url);
    return make_body(call, false);
}

static int read_body(struct call *call)
{
    ration *r = call->r;
    struct profile_request request = {.streamed = false};
    const struct ration_call_options *o = &call->options;
    int err = profile_parse_body(o->body, o->body_bytes, &call->request, r->errmsg);
    if (err == 0)
        err = profile_read_request(call->profile, call->request, &request, r->errmsg);
    if (err == 0)
        err = profile_url(call->profile, o->url, o->model, o->query, call->request, call->url,
                          sizeof(call->url), r->errmsg);
    if (err < 0)
        return err;
    profile_estimate(call->profile, &request, &call->options.estimate);
    call->streamed = request.streamed;
    call->most_output = request.most_output;
    call->elsewhere = request.elsewhere;
    return make_body(call, may_ask(call));
}

int call_prepare(struct call *call, const struct ration_call_options *options)
{
    ration *r = call->r;
    int err = take_options(call, options);
    if (err == 0)
        err = check_options(call);
    if (err < 0)
        return err;
    err = find_profile(call);
    if (err == 0)
        err = find_key(call);
    if (err == 0)
        err = read_body(call);
    if (err < 0)
        return err;
    fill_in(call);
    if (!r->exchange) {
        r->exchange = exchange_new();
        if (!r->exchange)
            err = handle_fail(r, RATION_ENOMEM, "libcurl failed to start");
    }
    return err;
}

void call_close(struct call *call)
{
    json_object_put(call->request);
    call->request = NULL;
    profile_key_free(&call->key);
    free(call->made);
    call->made = NULL;
}
