/*
 * The call itself: acquire, POST, wait and try again as far as allowed, read the usage, report.
 *
 * Normal path: prepare the call (options.c), acquire, sitting out denials as far as the caller
 * allows, run the exchange (exchange.c, upstream.c), settle it (settlement.c). While the exchange
 * runs, the reservation is renewed each time half of its life is over, so that its life can be
 * short: a client that dies frees its slot soon.
 *
 * How it fails: each try that was granted is settled before anything else happens, by the table in
 * settlement.h. Then retry.c says whether there is another, and when (only a server that refuses to
 * be asked for a stream's usage gets the call again at once, without the question). A retry is a
 * new reservation with an id of its own, and the limits may deny it for a while, most of all
 * because the failure that was just reported has paused the pool for everybody. Such a denial is
 * part of the retry's wait.
 *
 * A call does not wait for the server to acknowledge its report (unacknowledged.c): it has its
 * answer. A report that does not get through does not make an answered call fail: the reservation
 * expires with its charge.
 */
#include "call/call.h"

#include "clock.h"
#include "call/exchange.h"
#include "call/retry.h"
#include "call/settlement.h"
#include "profile/sigv4.h"
#include "settle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

#define LONGEST_RENEWAL_MS 1000 /* how long a server may keep a stream waiting for its renewal */
#define NO_TICK_MS         60000

void ration_response_free(struct ration_response *response)
{
    if (!response)
        return;
    free(response->body);
    response->body = NULL;
    response->body_bytes = 0;
}

static void sit_out(int64_t wait_ms, struct ration_response *out)
{
    clock_wait_until(clock_ms() + wait_ms);
    out->waited_ms += (uint64_t)wait_ms;
}

/* ---- Asking ---- */

/* Asks until the call is granted, or the wait would end after give_up_ms. An id of the caller's own
 * is for the first reservation: a retry is another one. */
static int acquire_patiently(struct call *call, int64_t give_up_ms, struct ration_response *out)
{
    struct ration_acquire_options options = call->options.acquire;
    if (out->tries > 0)
        options.id = NULL;
    for (;;) {
        int64_t left_ms = call->deadline_ms - clock_ms();
        if (options.wait_ms > left_ms)
            options.wait_ms = left_ms > 0 ? (uint32_t)left_ms : 0;
        int err = ration_acquire(call->r, call->pool, call->tenant, &call->options.estimate,
                                 &options, &out->grant);
        if (err < 0 || out->grant.granted)
            return err;
        int64_t now_ms = clock_ms();
        int64_t wait_ms = out->grant.retry_after_ms > 0 ? out->grant.retry_after_ms : 1;
        if (out->grant.retry_after_ms == RATION_RETRY_NEVER || wait_ms > give_up_ms - now_ms) {
            out->retry_after_ms =
                out->grant.retry_after_ms == RATION_RETRY_NEVER ? 0 : out->grant.retry_after_ms;
            return handle_fail(call->r, RATION_EDENIED, "denied by %s", out->grant.limited_by);
        }
        sit_out(wait_ms, out);
    }
}

/* ---- Renewing ---- */

struct renewal {
    struct call *call;
    const char *id;
    int64_t at_ms; /* when the next is due; 0: no more */
};

/* A renewal that does not get through is tried again half-way to the end of the reservation's life,
 * and so on. */
static int64_t renew(void *arg)
{
    struct renewal *renewal = arg;
    ration *r = renewal->call->r;
    uint32_t ttl_ms = renewal->call->options.acquire.ttl_ms;
    int64_t now_ms = clock_ms();
    if (renewal->at_ms == 0)
        return NO_TICK_MS;
    if (now_ms < renewal->at_ms)
        return renewal->at_ms - now_ms;

    char kept[SERVERS_ERRMSG_BYTES];
    struct ration_grant grant;
    uint32_t timeout_ms = r->timeout_ms;
    memcpy(kept, r->errmsg, sizeof(kept));
    r->timeout_ms = (uint32_t)clock_earlier(timeout_ms, LONGEST_RENEWAL_MS);
    int err = ration_renew(r, renewal->id, ttl_ms, NULL, &grant);
    r->timeout_ms = timeout_ms;
    memcpy(r->errmsg, kept, sizeof(kept));
    if (err == RATION_ENOSUCH) {
        renewal->at_ms = 0;
        return NO_TICK_MS;
    }
    int64_t pause_ms = err < 0 ? ttl_ms / 8 : ttl_ms / 2;
    renewal->at_ms = clock_ms() + (pause_ms > 0 ? pause_ms : 1);
    return pause_ms;
}

/* ---- One try ---- */

static void copy_usage(const struct profile_usage *from, struct ration_usage *to)
{
    *to = (struct ration_usage){
        .input_tokens = from->input,
        .output_tokens = from->output,
        .total_tokens = from->total,
        .cached_input_tokens = from->cached,
        .cache_write_tokens = from->cache_writes,
        .reasoning_tokens = from->reasoning,
        .audio_tokens = from->audio,
    };
    memcpy(to->service_tier, from->tier, sizeof(to->service_tier));
}

/* Settles, and leaves the message as it is: why the call failed matters more to the caller than why
 * a report did not get through. */
static void settle(struct call *call, const struct upstream_answer *answer,
                   struct ration_response *out)
{
    char kept[SERVERS_ERRMSG_BYTES];
    struct settlement s;
    settlement_of(call->profile, answer, &call->options.estimate, &s);
    memcpy(kept, call->r->errmsg, sizeof(kept));
    settlement_post(call->r, out->grant.id, &s);
    memcpy(call->r->errmsg, kept, sizeof(kept));
    out->used = s.used;
    out->used_known = answer->usage.known;
    out->usage_doubted = s.doubted;
    copy_usage(&answer->usage, &out->usage);
}

/* A stream without a time-out of its own runs on, unless the caller has limited the whole call. */
static uint32_t exchange_timeout_ms(const struct call *call)
{
    int64_t left_ms = call->deadline_ms - clock_ms();
    if (call->timeout_ms == 0 && call->options.retry.deadline_ms == 0)
        return 0;
    if (left_ms < 1)
        return 1;
    return (uint32_t)(call->timeout_ms ? clock_earlier(call->timeout_ms, left_ms) : left_ms);
}

/* The caller's headers, and the signature of this try. */
struct header_lines {
    const char *at[PROFILE_MAX_HEADERS + SIGV4_MAX_LINES];
    size_t n;
    struct sigv4_headers signature;
};

static int make_headers(const struct call *call, struct header_lines *lines)
{
    const struct ration_call_options *o = &call->options;
    for (lines->n = 0; lines->n < o->n_headers; lines->n++)
        lines->at[lines->n] = o->headers[lines->n];
    int err = profile_sign(call->profile, &call->key, call->url,
                           profile_find_header(o->headers, o->n_headers, "Content-Type"),
                           call->body, call->body_bytes, time(NULL), &lines->signature);
    for (size_t i = 0; i < lines->signature.n; i++)
        lines->at[lines->n++] = lines->signature.line[i];
    return err;
}

/* Makes one exchange, settles it, and puts it into `out`. Errors: RATION_ENOMEM; then nothing was
 * sent. */
static int try_once(struct call *call, struct upstream_answer *answer, struct ration_response *out)
{
    const struct ration_call_options *o = &call->options;
    struct renewal renewal = {
        .call = call, .id = out->grant.id, .at_ms = clock_ms() + o->acquire.ttl_ms / 2};
    struct header_lines lines;
    assert(out->grant.granted && out->grant.id[0]); /* nothing is sent without a reservation */
    int err = make_headers(call, &lines);
    struct upstream_request request = {
        .profile = call->profile,
        .url = call->url,
        .key = call->key.key,
        .body = call->body,
        .body_bytes = call->body_bytes,
        .streamed = call->streamed,
        .timeout_ms = exchange_timeout_ms(call),
        .idle_ms = call->streamed ? o->idle_timeout_ms : 0,
        .most_output = call->most_output,
        .elsewhere = call->elsewhere,
        .headers = lines.at,
        .n_headers = lines.n,
        .stream = o->stream,
        .stream_arg = o->stream_arg,
    };
    ration_response_free(out);
    if (err == 0)
        err = exchange_run(call->r->exchange, &request, renew, &renewal, answer);
    sigv4_free(&lines.signature);
    if (err < 0) {
        settle_post_cancel(call->r, out->grant.id, false);
        return handle_fail(call->r, err, "out of memory for the request");
    }
    settle(call, answer, out);
    out->tries++;
    out->http_status = answer->status;
    out->outcome = (int)answer->outcome;
    out->body = answer->body;
    out->body_bytes = answer->body_bytes;
    out->upstream_us = answer->took_us;
    out->retry_after_ms = answer->hints.waits ? answer->hints.retry_after_ms : 0;
    answer->body = NULL;
    return 0;
}

/* ---- Trying again ---- */

/* Without random numbers from the system the hosts come back together; no reason to fail. */
static double random_share(void)
{
    uint32_t random = UINT32_MAX / 2;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = UINT32_MAX / 2;
    return random / ((double)UINT32_MAX + 1);
}

static void plan_retry(struct call *call, const struct upstream_answer *answer,
                       const struct ration_response *out, struct retry_plan *plan)
{
    const struct retry_case c = {
        .outcome = (int)answer->outcome,
        .tries = out->tries,
        .wait_named = answer->hints.waits,
        .named_ms = answer->hints.retry_after_ms,
        .should_retry = answer->hints.should_retry,
        .left_ms = call->deadline_ms - clock_ms(),
        .cannot_be_undone = answer->delivered,
        .random = random_share(),
    };
    retry_decide(&call->options.retry, &c, plan);
    if (!plan->again && call->options.fail_fast && plan->wait_ms > 0)
        plan->why = "the call was to fail fast";
}

static void describe(const struct call *call, const struct upstream_answer *answer, char *out,
                     size_t size)
{
    const char *how = "did not answer";
    if (!answer->sent && answer->status == 0)
        how = "was not reached";
    else if (answer->status != 0 && answer->status / 100 != 2)
        how = "answered with an error";
    else if (answer->error_status != 0 || answer->outcome == PROFILE_FAILED)
        how = "gave no answer";
    else if (answer->status != 0)
        how = "gave an answer that was cut short";
    /* Without the query, which may have a key in it. */
    int shown = (int)strcspn(call->url, "?");
    snprintf(out, size, "%.*s %s: %.200s", shown < 200 ? shown : 200, call->url, how, answer->why);
}

static int give_up(struct call *call, const struct upstream_answer *answer,
                   const struct retry_plan *plan, struct ration_response *out)
{
    char what[440];
    describe(call, answer, what, sizeof(what));
    if (plan->wait_ms > 0)
        out->retry_after_ms = plan->wait_ms;
    return handle_fail(call->r, RATION_EUPSTREAM, "%s (tries: %u; %s)", what, out->tries,
                       plan->why);
}

/* Waits for the next try and its reservation. If that is denied, the call fails with the error that
 * led to the retry. */
static int wait_for_retry(struct call *call, const struct upstream_answer *answer,
                          const struct retry_plan *plan, struct ration_response *out)
{
    char what[440];
    sit_out(plan->wait_ms, out);
    int err = acquire_patiently(call, call->deadline_ms, out);
    if (err != RATION_EDENIED)
        return err;
    describe(call, answer, what, sizeof(what));
    return handle_fail(call->r, RATION_EUPSTREAM, "%.300s; trying again was denied by %.100s", what,
                       out->grant.limited_by);
}

/* The server refuses to be asked for usage, which is not the caller's fault: makes the same call
 * once more, at once, without asking. */
static int ask_without_usage(struct call *call, const struct upstream_answer *answer,
                             struct ration_response *out)
{
    const struct retry_plan at_once = {.again = true};
    int err = call_stop_asking(call);
    return err < 0 ? err : wait_for_retry(call, answer, &at_once, out);
}

static int run(struct call *call, struct ration_response *out)
{
    int err = acquire_patiently(call, clock_ms() + call->options.max_wait_ms, out);
    while (err == 0) {
        struct upstream_answer answer = {.status = 0};
        struct retry_plan plan;
        err = try_once(call, &answer, out);
        if (err < 0)
            return err;
        if (answer.aborted)
            return handle_fail(call->r, RATION_EABORTED, "the caller ended the stream");
        if (answer.outcome == PROFILE_ANSWERED)
            return RATION_OK;
        if (answer.outcome == PROFILE_REFUSED && call->asks_usage && !answer.delivered &&
            profile_refuses_usage(call->profile, out->http_status, out->body)) {
            err = ask_without_usage(call, &answer, out);
            continue;
        }
        plan_retry(call, &answer, out, &plan);
        if (!plan.again)
            return give_up(call, &answer, &plan, out);
        err = wait_for_retry(call, &answer, &plan, out);
    }
    return err;
}

int ration_call(ration *r, const char *pool, const char *tenant,
                const struct ration_call_options *options, struct ration_response *out)
{
    struct call call = {.r = r, .pool = pool, .tenant = tenant};
    memset(out, 0, sizeof(*out));
    handle_begin(r);
    int err = call_prepare(&call, options);
    if (err == 0)
        err = run(&call, out);
    call_close(&call);
    return err;
}
