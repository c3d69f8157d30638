/*
 * The end of a call, as the limits, the peaks and the report count it. Calls from before a reset
 * are not counted.
 */
#include "call.h"

#include <inttypes.h>
#include <string.h>

#include "provider.h"

/* Lowers what was counted at the start to what the call really used. */
static void settle_estimate(struct call *call, int64_t now_us, int64_t actual)
{
    struct provider *p = call->provider;
    const struct admission *admission = &call->admission;
    if (!p->opt->settle) {
        return;
    }
    int64_t back =
        limiter_settle(&p->limiter, now_us, admission->ticket, admission->estimate, actual);
    report_counted(&p->report, admission->at_us, -back);
    peak_settle(&p->report.peak, admission->number, actual);
}

/* Counts at the end what the call really used; false if that no longer fits. */
static bool count_actual(struct call *call, int64_t now_us, int64_t actual)
{
    struct provider *p = call->provider;
    call->over = limiter_end(&p->limiter, now_us, actual);
    if (call->over != WINDOW_ADMITTED) {
        p->report.refused_at_end++;
        p->report.wasted_tokens += actual;
        return false;
    }
    report_counted(&p->report, now_us, actual);
    peak_admit(&p->report.ends, now_us, actual);
    return true;
}

void call_settle(struct call *call)
{
    struct provider *p = call->provider;
    struct usage *use = &call->use;
    int64_t now_us = provider_now_us();
    if (call->settled || call->generation != p->generation) {
        return;
    }
    call->settled = true;
    if (call->fault.kind == FAULT_ERROR) {
        memset(use, 0, sizeof(*use));
    }
    int64_t actual = use->prompt_tokens + use->completion_tokens;
    if (!p->opt->at_end) {
        settle_estimate(call, now_us, actual);
    } else if (!count_actual(call, now_us, actual)) {
        if (call->req == NULL || call->begun) {
            report_over_limit(&p->report, now_us, false); /* too late to answer with a status */
        }
        return;
    }
    report_used(&p->report, now_us, use->prompt_tokens, use->completion_tokens);
    if (call->fault.kind != FAULT_NONE) {
        return; /* reported as that fault when it began */
    }
    if (call->req == NULL) {
        p->report.failures[REPORT_CLIENT_GONE]++;
    } else {
        p->report.completed++;
    }
}

void call_over_error(const struct call *call, struct answer_error *error)
{
    struct provider *p = call->provider;
    int64_t tokens = call->use.prompt_tokens + call->use.completion_tokens;
    *error =
        (struct answer_error){.status = 429,
                              .type = "tokens",
                              .code = "rate_limit_exceeded",
                              .message = "Over the limit of tokens per window when the call ended.",
                              .wait_us = limiter_wait_us(&p->limiter, provider_now_us(), tokens)};
}
