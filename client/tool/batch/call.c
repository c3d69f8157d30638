/*
 * One request of a batch: asked for, sent, settled.
 *
 * Normal path: the request is prepared, a reservation is asked for under an id of our own, the
 * exchange goes into the multi handle, its result into the journal, and then what it used is
 * reported. The journal comes first: a result in it is never called for again, while a lost report
 * only leaves the estimate charged.
 *
 * How it fails:
 *   - denied by a limit: the queue is held until the time that the limit names
 *   - denied for ever, because it costs more than a limit can hold: that is its result
 *   - denied because an operator or an exhausted quota closed the pool: the run stops, unless the
 *     pool opens by itself within the user's patience
 *   - no server answers: asked again under the same id, more and more slowly, until the user's
 *     patience ends
 *   - the provider fails: as struct ration_retry says; the last failure is the result
 *   - 401, or a quota that is used up: the run stops and these stay undone, because all others
 *     would meet the same
 *   - the report is not acknowledged: it is sent again once a server answers; until then the
 *     reservation keeps its charge
 *   - broken off by the user: settled as partial, and undone
 */
#include "tool/batch/result.h"
#include "tool/batch/run.h"
#include "tool/say.h"

#include "call/retry.h"
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CIRCUIT_WAIT_MS 5000

void batch_call_free(struct batch_call *call)
{
    batch_call_forget_body(call);
    upstream_free(call->up);
    call->up = NULL;
}

/* ---- Results ---- */

static void finish(struct batch_run *run, struct batch_call *call, const struct batch_done *done,
                   const struct batch_outcome *outcome)
{
    size_t bytes = 0;
    char *json = batch_result_line(run->input, call->index, call->custom_id, outcome, &bytes);
    if (!json)
        say("out of memory for a result");
    if (!json || !batch_journal_add(run->journal, done, json, bytes))
        batch_run_stop(run, BATCH_TROUBLE);
    free(json);
}

static uint32_t line_of(const struct batch_run *run, const struct batch_call *call)
{
    return run->input->lines[call->index].number;
}

/* ---- Asking ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void end_denied(struct batch_run *run, struct batch_call *call, const char *limited_by)
{
    char why[RATION_MAX_ID_BYTES + 64];
    snprintf(why, sizeof(why), "denied by %s: it is more than the limit can ever hold", limited_by);
    struct batch_done done = {.index = call->index, .class = BATCH_DENIED, .tries = call->tries};
    struct batch_outcome outcome = {.class = BATCH_DENIED, .request_id = "", .why = why};
    run->counts.tries_of[BATCH_DENIED]++;
    finish(run, call, &done, &outcome);
    batch_call_forget_body(call);
    batch_run_release(run, call);
}

static void on_denied(struct batch_run *run, struct batch_call *call,
                      const struct ration_grant *grant, int64_t now_ms)
{
    const char *by = grant->limited_by;
    const char *closed = strstr(by, " closed:");
    call->id[0] = '\0';
    batch_progress_log(&run->progress, "ration", "denied", line_of(run, call), 0,
                       grant->retry_after_ms, by);
    if (closed && (grant->retry_after_ms <= 0 ||
                   (double)grant->retry_after_ms > run->options->patience_s * 1000)) {
        batch_queue_on_closed(run, closed + strlen(" closed:"), grant->retry_after_ms);
        return;
    }
    if (grant->retry_after_ms == RATION_RETRY_NEVER) {
        end_denied(run, call, by);
        return;
    }
    run->counts.denials++;
    /* A probe's report, from any host, closes a circuit long before the time that it names. */
    int64_t wait_ms = grant->retry_after_ms;
    if (ends_with(by, " circuit") && wait_ms > MAX_CIRCUIT_WAIT_MS)
        wait_ms = MAX_CIRCUIT_WAIT_MS;
    batch_queue_hold(run, now_ms, wait_ms, by, !closed && !ends_with(by, " paused"));
    if (run->held_since_ms == 0)
        run->held_since_ms = now_ms;
}

static bool send_call(struct batch_run *run, struct batch_call *call, int64_t now_ms)
{
    size_t n_headers = 0;
    bool ready = batch_call_headers(run, call, &n_headers);
    if (!call->up)
        call->up = upstream_new();
    struct upstream_request request = {
        .profile = run->profile,
        .url = call->url,
        .key = run->key.key,
        .body = call->body,
        .body_bytes = call->body_bytes,
        .most_output = call->most_output,
        .elsewhere = call->elsewhere,
        .timeout_ms = (uint32_t)run->options->call_timeout_ms,
        .headers = call->headers,
        .n_headers = n_headers,
        .arg = call,
    };
    if (!ready || !call->up || upstream_begin(call->up, &request) < 0 ||
        curl_multi_add_handle(run->multi, upstream_easy(call->up)) != CURLM_OK) {
        say("out of memory for a call");
        ration_cancel(run->r, call->id, NULL);
        batch_run_stop(run, BATCH_TROUBLE);
        return false;
    }
    call->state = CALL_SENT;
    call->tries++;
    call->renew_ms = now_ms + run->options->ttl_ms / 2;
    run->in_flight++;
    run->counts.calls++;
    return true;
}

void batch_call_ask(struct batch_run *run, struct batch_call *call)
{
    struct ration_acquire_options options;
    struct ration_grant grant = {0};
    ration_acquire_options_init(&options);
    options.priority = (int32_t)run->options->priority;
    options.ttl_ms = (uint32_t)run->options->ttl_ms;
    options.learned = run->options->learned;
    int err = 0;
    if (!call->id[0])
        err = id_make(&run->ids, clock_ms(), run->options->pool, run->options->tenant, call->id);
    options.id = call->id;
    if (err == 0)
        err = ration_acquire(run->r, run->options->pool, run->options->tenant, &call->estimate,
                             &options, &grant);
    int64_t now_ms = clock_ms();
    run->asked_ms = now_ms;
    if (err == RATION_ENOSUCH) {
        /* Granted, but the answer was lost, and it has expired since: ask for another. */
        call->id[0] = '\0';
        return;
    }
    if (err < 0) {
        batch_queue_on_silence(run, err, now_ms);
        return;
    }
    run->silent_since_ms = 0;
    if (!grant.granted) {
        on_denied(run, call, &grant, now_ms);
        return;
    }
    if (run->held_since_ms > 0)
        run->counts.waited_ms += now_ms - run->held_since_ms;
    run->held_since_ms = 0;
    run->hold_until_ms = 0;
    run->held_by[0] = '\0';
    run->asking = NULL;
    memcpy(call->id, grant.id, sizeof(call->id));
    if (!send_call(run, call, now_ms))
        batch_run_release(run, call);
}

/* ---- Ending ---- */

static void read_request_id(CURL *easy, char *out, size_t size)
{
    static const char *const names[] = {"x-request-id", "request-id", "apim-request-id"};
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !out[0]; i++) {
        struct curl_header *header;
        if (curl_easy_header(easy, names[i], 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
            snprintf(out, size, "%s", header->value);
    }
}

/* True if it is to be tried again. */
static bool try_again(struct batch_run *run, struct batch_call *call,
                      const struct upstream_answer *answer, int64_t now_ms)
{
    struct retry_case c = {
        .outcome = (int)answer->outcome,
        .tries = call->tries,
        .wait_named = answer->hints.waits,
        .named_ms = answer->hints.retry_after_ms,
        .should_retry = answer->hints.should_retry,
        .left_ms = INT64_MAX / 4,
        .random = erand48(run->random),
    };
    struct retry_plan plan;
    retry_decide(&run->retry, &c, &plan);
    const char *words = answer->why;
    if (answer->outcome != PROFILE_REFUSED)
        batch_progress_log(&run->progress, "provider", batch_class_words[answer->outcome],
                           line_of(run, call), answer->status, plan.wait_ms, words);
    /* All of this host's calls meet the same limit. */
    if (answer->outcome == PROFILE_LIMITED && answer->hints.waits &&
        now_ms + answer->hints.retry_after_ms > run->hold_until_ms)
        batch_queue_hold(run, now_ms, answer->hints.retry_after_ms, "the provider (429)", false);
    if (!plan.again)
        return false;
    run->counts.retries_of[answer->outcome]++;
    call->due_ms = now_ms + plan.wait_ms;
    return true;
}

/* Whether all other requests would meet the same failure, so that going on is of no use. */
static bool stops_all(struct batch_run *run, const struct upstream_answer *answer)
{
    const char *remedy = NULL;
    enum batch_stop stop = BATCH_NO_QUOTA;
    if (answer->outcome == PROFILE_EXHAUSTED)
        remedy = "no wait will help: raise the quota or the spend limit, then open the pool";
    if (answer->outcome == PROFILE_REFUSED &&
        (answer->status == 401 || answer->error_status == 401)) {
        stop = BATCH_UNAUTHORIZED;
        remedy = "put the provider's key into the environment; --key-variable says which variable";
    }
    if (remedy && run->stop == BATCH_GOING) {
        batch_progress_pause(&run->progress);
        say("%s\nration: %s", answer->why, remedy);
        if (answer->outcome == PROFILE_EXHAUSTED && answer->hints.waits) {
            char until[80];
            batch_queue_moment(answer->hints.retry_after_ms, until, sizeof(until));
            say("it ends by itself at %s", until);
        }
    }
    if (remedy)
        batch_run_stop(run, stop);
    return remedy != NULL;
}

static void keep_result(struct batch_run *run, struct batch_call *call,
                        const struct upstream_answer *answer, const char *request_id)
{
    struct batch_done done = {
        .index = call->index,
        .class = (enum batch_class)answer->outcome,
        .tries = call->tries,
        .input_tokens = answer->usage.input,
        .output_tokens = answer->usage.output,
    };
    struct batch_outcome outcome = {
        .class = done.class,
        .status = answer->status,
        .request_id = request_id,
        .body = answer->body,
        .body_bytes = answer->body_bytes,
        .why = answer->why,
    };
    finish(run, call, &done, &outcome);
}

/* Where a settled call goes: to the idle ones, or to those that wait for another try. */
static void leave(struct batch_run *run, struct batch_call *call, bool retry)
{
    if (!retry) {
        batch_run_release(run, call);
        return;
    }
    call->state = CALL_PARKED;
    run->parked++;
}

static bool settle(struct batch_run *run, struct batch_call *call,
                   const struct settlement *settlement)
{
    int64_t now_ms = clock_ms();
    if (batch_queue_is_silent(run, now_ms))
        return false;
    int err = settlement_send(run->r, call->id, settlement, NULL);
    now_ms = clock_ms();
    if (batch_queue_may_pass(err)) {
        batch_queue_on_silence(run, err, now_ms);
        return false;
    }
    /* A server would refuse it again: the reservation expires and keeps its charge. */
    if (err < 0)
        run->counts.server_errors++;
    run->silent_since_ms = 0;
    batch_queue_loosen(run, now_ms);
    return true;
}

bool batch_call_settle_again(struct batch_run *run, struct batch_call *call)
{
    if (!settle(run, call, &call->settlement))
        return false;
    run->unacknowledged--;
    leave(run, call, call->retry);
    return true;
}

static void settle_or_keep(struct batch_run *run, struct batch_call *call,
                           const struct upstream_answer *answer, bool retry)
{
    struct settlement settlement;
    settlement_of(run->profile, answer, &call->estimate, &settlement);
    if (settlement.doubted) {
        batch_progress_pause(&run->progress);
        say("%s line %u: the provider says that %lld tokens were used, which is more than "
            "possible; %lld are charged",
            run->input->name, line_of(run, call), (long long)answer->usage.total,
            (long long)settlement.used.tokens);
    }
    if (settle(run, call, &settlement)) {
        leave(run, call, retry);
        return;
    }
    call->settlement = settlement;
    if (settlement.report.exhausted)
        call->settlement.report.retry_after_ms = 0; /* it said how long to close the pool */
    call->settlement.report.exhausted = NULL;
    call->settlement.report.limits = NULL;
    call->settlement.report.n_limits = 0;
    call->retry = retry;
    call->state = CALL_UNACKNOWLEDGED;
    run->unacknowledged++;
}

void batch_call_end(struct batch_run *run, struct batch_call *call, CURLcode code)
{
    struct upstream_answer answer = {0};
    char request_id[128];
    CURL *easy = upstream_easy(call->up);
    bool broken_off = code == CURLE_ABORTED_BY_CALLBACK;
    read_request_id(easy, request_id, sizeof(request_id));
    curl_multi_remove_handle(run->multi, easy);
    upstream_end(call->up, code, &answer);
    run->in_flight--;
    run->counts.input_tokens += answer.usage.input;
    run->counts.output_tokens += answer.usage.output;
    run->counts.cached_tokens += answer.usage.cached;
    bool retry = false;
    if (answer.no_memory) {
        say("out of memory for an answer");
        batch_run_stop(run, BATCH_TROUBLE);
    } else if (!broken_off) {
        run->counts.tries_of[answer.outcome]++;
        if (answer.outcome == PROFILE_ANSWERED)
            keep_result(run, call, &answer, request_id);
        else if (!stops_all(run, &answer)) {
            retry = try_again(run, call, &answer, clock_ms());
            if (!retry)
                keep_result(run, call, &answer, request_id);
        }
    }
    settle_or_keep(run, call, &answer, retry);
    upstream_answer_free(&answer);
    batch_call_forget_body(call);
}

void batch_call_abort(struct batch_run *run, struct batch_call *call)
{
    batch_call_end(run, call, CURLE_ABORTED_BY_CALLBACK);
}

void batch_call_renew(struct batch_run *run, struct batch_call *call)
{
    struct ration_grant grant;
    int err = ration_renew(run->r, call->id, (uint32_t)run->options->ttl_ms, NULL, &grant);
    int64_t now_ms = clock_ms();
    if (err < 0)
        run->counts.server_errors++;
    /* A reservation that is gone cannot be renewed; after another error it is tried again before
     * its end. */
    if (err == RATION_ENOSUCH)
        call->renew_ms = INT64_MAX;
    else
        call->renew_ms = now_ms + (err < 0 ? run->options->ttl_ms / 8 : run->options->ttl_ms / 2);
}
