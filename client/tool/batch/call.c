/*
 * One request of a batch: read, asked for, sent, settled.
 *
 * Normal path: the line is read again, its estimate made by the provider's profile, a reservation asked for under an id of our
 * own, the exchange put into the multi handle, its result written to the journal, and then what it used is reported. The
 * journal comes first: a result that is there is never called again, while a report that is lost leaves the estimate charged.
 *
 * How it fails:
 *   - denied by a limit: the queue is held until the time that the limit names
 *   - denied for ever, because it costs more than a limit can hold: that is its result
 *   - denied because an operator or an exhausted quota closed the pool: the run stops, unless it opens by itself within the
 *     user's patience
 *   - no server answers: asked again under the same id, more and more slowly, until the user's patience ends
 *   - the provider fails: as the table of struct ration_retry says; the last failure is its result
 *   - 401, or a quota that is used up: the run stops and these stay undone, because all the others would meet the same
 *   - no server can be told what was used: told when there is one again; until then the reservation keeps its charge
 *   - broken off by the user: settled as partial, and undone
 */
#include "tool/batch/run.h"

#include "profile/json_text.h"
#include "call/retry.h"
#include "tool/batch/check.h"
#include "tool/batch/result.h"
#include "tool/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_SILENT_WAIT_MS 100
#define MAX_SILENT_WAIT_MS   10000
#define MAX_CIRCUIT_WAIT_MS  5000
#define ASK_AGAIN_MS         20 /* a settlement does not let the queue ask more often */

/* ---- Reading ---- */

static void forget_body(struct batch_call *call)
{
    sigv4_free(&call->signature);
    free(call->body);
    free(call->custom_id);
    call->body = NULL;
    call->custom_id = NULL;
}

/* Takes the place of `text` where something was changed in it. */
static bool take_over(int changed, char **text, size_t *n, char *made, size_t made_n)
{
    if (changed > 0) {
        free(*text);
        *text = made;
        *n = made_n;
    }
    return changed >= 0;
}

/* The bytes that are sent are the caller's own, cut out of the line, in which as little as can be is changed. */
static bool make_body(const struct batch_run *run, struct batch_call *call,
                      const struct batch_request *request, const char *line, bool whole)
{
    size_t at = 0;
    size_t n = strlen(line);
    char *made = NULL;
    size_t made_n = 0;
    const char *member = batch_form_body(request->format);
    if (member && !json_text_find(line, n, member, &at, &n))
        return false;
    call->body = strndup(line + at, n);
    call->body_bytes = n;
    if (!call->body)
        return false;
    int changed = whole ? json_text_set(call->body, n, "stream", "false", true, &made, &made_n) : 0;
    if (!take_over(changed, &call->body, &call->body_bytes, made, made_n))
        return false;
    changed =
        profile_make_body(run->profile, call->body, call->body_bytes, false, false, &made, &made_n);
    return take_over(changed, &call->body, &call->body_bytes, made, made_n);
}

bool batch_call_prepare(struct batch_run *run, struct batch_call *call)
{
    struct batch_request request;
    struct batch_sending sending;
    char why[PROFILE_WHY_BYTES] = "";
    char *line = NULL;
    call->id[0] = '\0';
    if (!batch_input_read(run->input, call->index, &request, &line)) {
        batch_run_stop(run, BATCH_TROUBLE);
        return false;
    }
    bool ok = batch_read_body(run->options, run->profile, request.body, &sending, why) == 0;
    if (ok) {
        call->estimate = (struct ration_amounts){0};
        profile_estimate(run->profile, &sending.read, &call->estimate);
        call->most_output = sending.read.most_output;
        call->elsewhere = sending.read.elsewhere;
        memcpy(call->url, sending.url, sizeof(call->url));
        call->custom_id = request.custom_id ? strdup(request.custom_id) : NULL;
        ok = make_body(run, call, &request, line, sending.whole) &&
             (call->custom_id || !request.custom_id);
    }
    if (!ok) {
        fprintf(stderr, "ration: %s line %u: %s\n", run->input->name,
                run->input->lines[call->index].number, why[0] ? why : "out of memory");
        batch_run_stop(run, BATCH_TROUBLE);
        forget_body(call);
    }
    json_object_put(request.root);
    free(line);
    return ok;
}

void batch_call_free(struct batch_call *call)
{
    forget_body(call);
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
        fprintf(stderr, "ration: out of memory for a result\n");
    if (!json || !batch_journal_add(run->journal, done, json, bytes))
        batch_run_stop(run, BATCH_TROUBLE);
    free(json);
}

static uint32_t line_of(const struct batch_run *run, const struct batch_call *call)
{
    return run->input->lines[call->index].number;
}

/* ---- Asking ---- */

static void hold(struct batch_run *run, int64_t now_ms, int64_t wait_ms, const char *by, bool limit)
{
    if (limit && run->held_since_ms == 0)
        run->held_since_ms = now_ms;
    run->hold_until_ms = now_ms + (wait_ms > 0 ? wait_ms : 1);
    run->hold_is_limit = limit;
    snprintf(run->held_by, sizeof(run->held_by), "%s", by);
}

/* Something was given back, so that who was denied may fit now. */
static void loosen(struct batch_run *run, int64_t now_ms)
{
    int64_t soonest_ms = run->asked_ms + ASK_AGAIN_MS;
    if (soonest_ms < now_ms)
        soonest_ms = now_ms;
    if (run->hold_is_limit && run->hold_until_ms > soonest_ms)
        run->hold_until_ms = soonest_ms;
}

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
    forget_body(call);
    batch_run_release(run, call);
}

/* "2026-12-01T00:00:00Z, in 3 d 4 h" */
static void write_moment(int64_t wait_ms, char *out, size_t size)
{
    struct tm tm;
    char left[32];
    char moment[32];
    time_t at = time(NULL) + (time_t)((wait_ms + 999) / 1000);
    format_duration(wait_ms, left, sizeof(left));
    if (!gmtime_r(&at, &tm) || strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        moment[0] = '\0';
    snprintf(out, size, "%s, in %s", moment, left);
}

/* For good, or for longer than anybody would sit here: it stops, also where another host's call has closed the pool. */
static void on_closed(struct batch_run *run, const char *reason, int64_t wait_ms)
{
    char until[80];
    const char *pool = run->options->pool;
    batch_progress_pause(&run->progress);
    if (wait_ms > 0) {
        write_moment(wait_ms, until, sizeof(until));
        fprintf(stderr,
                "ration: the pool %s is closed (%s) until %s; run the same command then, or, when "
                "that is mended, after 'ration pool open %s'\n",
                pool, reason, until, pool);
    } else {
        fprintf(stderr,
                "ration: the pool %s is closed (%s): no wait will help; when that is mended, "
                "'ration pool open %s' opens it\n",
                pool, reason, pool);
    }
    batch_run_stop(run, BATCH_NO_QUOTA);
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
        on_closed(run, closed + strlen(" closed:"), grant->retry_after_ms);
        return;
    }
    if (grant->retry_after_ms == RATION_RETRY_NEVER) {
        end_denied(run, call, by);
        return;
    }
    run->counts.denials++;
    /* A circuit is closed by a probe's report, be it ours or another host's, long before the time that is promised. */
    int64_t wait_ms = grant->retry_after_ms;
    if (ends_with(by, " circuit") && wait_ms > MAX_CIRCUIT_WAIT_MS)
        wait_ms = MAX_CIRCUIT_WAIT_MS;
    hold(run, now_ms, wait_ms, by, !closed && !ends_with(by, " paused"));
    if (run->held_since_ms == 0)
        run->held_since_ms = now_ms;
}

static bool may_pass(int err)
{
    return err == RATION_ECONNECT || err == RATION_ETIMEOUT || err == RATION_EPROTOCOL ||
           err == RATION_EUNAVAILABLE || err == RATION_EBUSY;
}

static void on_silence(struct batch_run *run, int err, int64_t now_ms)
{
    run->counts.server_errors++;
    if (run->silent_since_ms == 0) {
        run->silent_since_ms = now_ms;
        run->silent_wait_ms = FIRST_SILENT_WAIT_MS;
    }
    if (run->stop == BATCH_GOING && (!may_pass(err) || (double)(now_ms - run->silent_since_ms) >
                                                           run->options->patience_s * 1000)) {
        batch_progress_pause(&run->progress);
        tool_fail(run->options->tool, run->r, err);
        batch_run_stop(run, BATCH_SERVER);
        return;
    }
    hold(run, now_ms, run->silent_wait_ms, ration_strerror(err), false);
    run->silent_wait_ms *= 2;
    if (run->silent_wait_ms > MAX_SILENT_WAIT_MS)
        run->silent_wait_ms = MAX_SILENT_WAIT_MS;
}

/* The user's own, and those that sign this try. */
static bool make_headers(const struct batch_run *run, struct batch_call *call, size_t *n)
{
    const struct option_list *own = &run->options->headers;
    const char *type = profile_find_header(own->at, own->n, "Content-Type");
    memcpy(call->headers, own->at, own->n * sizeof(own->at[0]));
    *n = own->n;
    if (profile_sign(run->profile, &run->key, call->url, type, call->body, call->body_bytes,
                     time(NULL), &call->signature) < 0)
        return false;
    for (size_t i = 0; i < call->signature.n; i++)
        call->headers[(*n)++] = call->signature.line[i];
    return true;
}

static bool send_call(struct batch_run *run, struct batch_call *call, int64_t now_ms)
{
    size_t n_headers = 0;
    bool ready = make_headers(run, call, &n_headers);
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
        fprintf(stderr, "ration: out of memory for a call\n");
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
        err =
            id_make(&run->ids, batch_now_ms(), run->options->pool, run->options->tenant, call->id);
    options.id = call->id;
    if (err == 0)
        err = ration_acquire(run->r, run->options->pool, run->options->tenant, &call->estimate,
                             &options, &grant);
    int64_t now_ms = batch_now_ms();
    run->asked_ms = now_ms;
    if (err == RATION_ENOSUCH) {
        /* Granted, but the answer was lost, and it has expired since: ask for another. */
        call->id[0] = '\0';
        return;
    }
    if (err < 0) {
        on_silence(run, err, now_ms);
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

/* True where it is parked for another try. */
static bool try_again(struct batch_run *run, struct batch_call *call,
                      const struct upstream_answer *answer, int64_t now_ms)
{
    struct retry_case c = {
        .outcome = (int)answer->outcome,
        .tries = call->tries,
        .told = answer->hints.waits,
        .told_ms = answer->hints.retry_after_ms,
        .should_retry = answer->hints.should_retry,
        .left_ms = INT64_MAX / 4,
        .random = erand48(run->random),
    };
    struct retry_plan plan;
    retry_decide(&run->retry, &c, &plan);
    const char *words = answer->why;
    if (answer->outcome != PROFILE_REFUSED)
        batch_progress_log(&run->progress, "provider",
                           batch_class_word((enum batch_class)answer->outcome), line_of(run, call),
                           answer->status, plan.wait_ms, words);
    /* All of this host's calls meet the same limit. */
    if (answer->outcome == PROFILE_LIMITED && answer->hints.waits &&
        now_ms + answer->hints.retry_after_ms > run->hold_until_ms)
        hold(run, now_ms, answer->hints.retry_after_ms, "the provider (429)", false);
    if (!plan.again)
        return false;
    run->counts.retries_of[answer->outcome]++;
    call->due_ms = now_ms + plan.wait_ms;
    return true;
}

/* What all other requests would meet too, so that going on is of no use. */
static bool stops_all(struct batch_run *run, const struct upstream_answer *answer)
{
    const char *remedy = NULL;
    enum batch_stop stop = BATCH_NO_QUOTA;
    if (answer->outcome == PROFILE_EXHAUSTED)
        remedy = "no wait will help: raise the quota or the spend limit, and open the pool";
    if (answer->outcome == PROFILE_REFUSED &&
        (answer->status == 401 || answer->error_status == 401)) {
        stop = BATCH_UNAUTHORIZED;
        remedy = "put the provider's key into the environment; --key-variable names the variable";
    }
    if (remedy && run->stop == BATCH_GOING) {
        batch_progress_pause(&run->progress);
        fprintf(stderr, "ration: %s\nration: %s\n", answer->why, remedy);
        if (answer->outcome == PROFILE_EXHAUSTED && answer->hints.waits) {
            char until[80];
            write_moment(answer->hints.retry_after_ms, until, sizeof(until));
            fprintf(stderr, "ration: by itself that ends at %s\n", until);
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

/* What came of it, once it is settled. */
static void leave(struct batch_run *run, struct batch_call *call, bool again)
{
    if (!again) {
        batch_run_release(run, call);
        return;
    }
    call->state = CALL_PARKED;
    run->parked++;
}

/* While no server answers, each attempt would only block the loop until its deadline. */
static bool is_silent(const struct batch_run *run, int64_t now_ms)
{
    return run->silent_since_ms > 0 && now_ms < run->hold_until_ms;
}

static bool settle(struct batch_run *run, struct batch_call *call,
                   const struct settlement *settlement)
{
    int64_t now_ms = batch_now_ms();
    if (is_silent(run, now_ms))
        return false;
    int err = settlement_send(run->r, call->id, settlement, NULL);
    now_ms = batch_now_ms();
    if (may_pass(err)) {
        on_silence(run, err, now_ms);
        return false;
    }
    /* What a server refuses it would refuse again: the reservation expires with its charge. */
    if (err < 0)
        run->counts.server_errors++;
    run->silent_since_ms = 0;
    loosen(run, now_ms);
    return true;
}

bool batch_call_settle_owed(struct batch_run *run, struct batch_call *call)
{
    if (!settle(run, call, &call->owed))
        return false;
    run->owing--;
    leave(run, call, call->again);
    return true;
}

static void settle_or_owe(struct batch_run *run, struct batch_call *call,
                          const struct upstream_answer *answer, bool again)
{
    struct settlement settlement;
    settlement_of(run->profile, answer, &call->estimate, &settlement);
    if (settlement.doubted) {
        batch_progress_pause(&run->progress);
        fprintf(stderr,
                "ration: %s line %u: the provider says that %lld tokens were used, which is more "
                "than can be; charged are %lld\n",
                run->input->name, line_of(run, call), (long long)answer->usage.total,
                (long long)settlement.used.tokens);
    }
    if (settle(run, call, &settlement)) {
        leave(run, call, again);
        return;
    }
    call->owed = settlement;
    if (settlement.report.exhausted)
        call->owed.report.retry_after_ms = 0; /* it was how long the pool is to be closed */
    call->owed.report.exhausted = NULL;
    call->owed.report.seen = NULL;
    call->owed.report.n_seen = 0;
    call->again = again;
    call->state = CALL_OWING;
    run->owing++;
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
    bool again = false;
    if (answer.no_memory) {
        fprintf(stderr, "ration: out of memory for an answer\n");
        batch_run_stop(run, BATCH_TROUBLE);
    } else if (!broken_off) {
        run->counts.tries_of[answer.outcome]++;
        if (answer.outcome == PROFILE_ANSWERED)
            keep_result(run, call, &answer, request_id);
        else if (!stops_all(run, &answer)) {
            again = try_again(run, call, &answer, batch_now_ms());
            if (!again)
                keep_result(run, call, &answer, request_id);
        }
    }
    settle_or_owe(run, call, &answer, again);
    upstream_answer_free(&answer);
    forget_body(call);
}

void batch_call_abort(struct batch_run *run, struct batch_call *call)
{
    batch_call_end(run, call, CURLE_ABORTED_BY_CALLBACK);
}

void batch_call_renew(struct batch_run *run, struct batch_call *call)
{
    struct ration_grant grant;
    int err = ration_renew(run->r, call->id, (uint32_t)run->options->ttl_ms, NULL, &grant);
    int64_t now_ms = batch_now_ms();
    if (err < 0)
        run->counts.server_errors++;
    /* One that is gone cannot be renewed; where no answer came, another try comes before its end. */
    if (err == RATION_ENOSUCH)
        call->renew_ms = INT64_MAX;
    else
        call->renew_ms = now_ms + (err < 0 ? run->options->ttl_ms / 8 : run->options->ttl_ms / 2);
}
