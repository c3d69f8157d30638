/* The table is in settlement.h. Only the exchange with the server can fail here, and then the
 * reservation expires with its charge, which is the safe side. */
#include "call/settlement.h"

#include "settle.h"

#include <assert.h>

#define WINDOW_TOKENS 2000000 /* no model reads or writes more in one call */
#define TENFOLD       10      /* of what a request says; a provider that reports more is wrong */
#define LEAST_OUTPUT  1000    /* always possible: some servers ignore a very small maximum */
#define LEAST_INPUT   100000  /* likewise: servers put text of their own before every prompt */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- What can be ---- */

static bool bound(int64_t *n, int64_t most)
{
    if (*n <= most)
        return false;
    *n = most;
    return true;
}

/* A provider that reports 10^12 tokens would put a tenant into debt for weeks. A request cannot
 * have more input than ten tokens for each of its bytes or, if it refers to something elsewhere,
 * than the model's window; nor more output than ten times the maximum that it set. */
static bool bound_usage(const struct upstream_answer *answer, struct profile_usage *usage)
{
    int64_t by_bytes = larger((int64_t)answer->request_bytes * TENFOLD, LEAST_INPUT);
    int64_t most_input =
        (answer->elsewhere ? larger(WINDOW_TOKENS, by_bytes) : by_bytes) + usage->more_input;
    int64_t most_output = WINDOW_TOKENS;
    if (answer->most_output > 0 && answer->most_output < WINDOW_TOKENS / TENFOLD)
        most_output = larger(answer->most_output * TENFOLD, LEAST_OUTPUT) + usage->more_output;
    bool bounded = bound(&usage->input, most_input);
    bounded |= bound(&usage->output, most_output);
    bounded |= bound(&usage->total, most_input + most_output);
    bound(&usage->cached, usage->input);
    bound(&usage->cache_writes, usage->input - usage->cached);
    return bounded;
}

/* ---- What is charged ---- */

/* The request counts, nothing else does. Dollars are given back only if they were reserved. */
static void charge_nothing(const struct ration_amounts *estimate, struct settlement *out)
{
    out->has_used = true;
    out->used.tokens = out->used.input_tokens = out->used.output_tokens = RATION_ZERO;
    if (estimate->usd_millionths != 0)
        out->used.usd_millionths = RATION_ZERO;
}

/* If only one part was reported, or only a total, the rest stays as estimated. */
static void charge_reported(const struct profile *profile, struct profile_usage *usage,
                            const struct ration_amounts *estimate, struct settlement *out)
{
    int64_t weight = profile_output_weight(profile);
    if (usage->total == 0)
        return;
    out->has_used = true;
    if (!usage->input_known && !usage->output_known) {
        out->used.tokens = profile_stated(usage->total);
        return;
    }
    if (usage->known) {
        profile_count(profile, usage, &out->used);
        return;
    }
    if (usage->input_known) {
        usage->output = larger(estimate->output_tokens, 0);
        profile_count(profile, usage, &out->used);
        out->used.output_tokens = estimate->output_tokens;
    } else {
        out->used.input_tokens = estimate->input_tokens;
        out->used.output_tokens = profile_stated(usage->output);
        out->used.tokens =
            profile_stated(larger(larger(estimate->input_tokens, 0) + usage->output * weight,
                                  larger(estimate->tokens, 0)));
    }
}

/* As far as it is known. The start of a stream may have reported the input; if not, PARTIAL charges
 * its estimate. The output is what the end reported or, before that, what was generated so far,
 * whichever is more. A total without parts is the minimum of both together. */
static void charge_part(const struct profile *profile, const struct upstream_answer *answer,
                        struct profile_usage *usage, struct settlement *out)
{
    int64_t generated = profile_tokens_of(answer->generated);
    out->report.partial = 1;
    if (!answer->complete || usage->output == 0)
        usage->output = larger(usage->output, generated);
    out->has_used = usage->input > 0 || usage->output > 0 || usage->total > 0;
    if (usage->input > 0) {
        profile_count(profile, usage, &out->used);
        return;
    }
    if (usage->output > 0)
        out->used.output_tokens = profile_stated(usage->output);
    if (usage->total > usage->output)
        out->used.tokens = profile_stated(usage->total);
}

static void report_error(const struct upstream_answer *answer, struct settlement *out)
{
    if (answer->error_status != 0)
        out->report.http_status = answer->error_status;
    if (answer->hints.waits)
        out->report.retry_after_ms = answer->hints.retry_after_ms;
    if (answer->outcome == PROFILE_EXHAUSTED && answer->reason[0])
        out->report.exhausted = answer->reason;
}

/* An error under a status of 200 whose code says that the request was refused before anything came
 * of it. */
static bool is_refusal(const struct upstream_answer *answer)
{
    return answer->error_status != 0 && answer->outcome != PROFILE_FAILED &&
           answer->generated == 0 && answer->usage.total == 0;
}

static void settle_sent(const struct profile *profile, const struct upstream_answer *answer,
                        const struct ration_amounts *estimate, struct settlement *out)
{
    struct profile_usage usage = answer->usage;
    out->doubted = bound_usage(answer, &usage);
    bool total_alone = usage.total > 0 && !usage.input_known && !usage.output_known;
    if (answer->error_status != 0)
        report_error(answer, out);
    if (answer->streamed && !(answer->complete && (usage.known || total_alone)))
        charge_part(profile, answer, &usage, out);
    else
        charge_reported(profile, &usage, estimate, out);
    out->report.failed = !answer->complete && !answer->aborted && !answer->no_memory;
}

void settlement_of(const struct profile *profile, const struct upstream_answer *answer,
                   const struct ration_amounts *estimate, struct settlement *out)
{
    *out = (struct settlement){.cancel = false};
    if (!answer->sent && answer->status == 0) {
        out->cancel = true;
        out->report.failed = answer->outcome == PROFILE_UNREACHED;
        return;
    }
    out->report.http_status = answer->status;
    out->report.limits = answer->hints.limits;
    out->report.n_limits = answer->hints.n_limits;
    if ((answer->status != 0 && answer->status / 100 != 2) || is_refusal(answer)) {
        charge_nothing(estimate, out);
        report_error(answer, out);
    } else {
        settle_sent(profile, answer, estimate, out);
    }
    /* An amount is unstated, RATION_ZERO, or above zero: the server would refuse anything else, and
     * the estimate would be charged. */
    assert(out->used.tokens >= RATION_ZERO && out->used.input_tokens >= RATION_ZERO &&
           out->used.output_tokens >= RATION_ZERO);
}

/* ---- Sending ---- */

int settlement_send(ration *r, const char *id, const struct settlement *s,
                    enum ration_settled *settled)
{
    if (s->cancel)
        return s->report.failed ? ration_cancel_failed(r, id, settled)
                                : ration_cancel(r, id, settled);
    return ration_report(r, id, s->has_used ? &s->used : NULL, &s->report, settled);
}

int settlement_post(ration *r, const char *id, const struct settlement *s)
{
    if (s->cancel)
        return settle_post_cancel(r, id, s->report.failed);
    return settle_post_report(r, id, s->has_used ? &s->used : NULL, &s->report);
}
