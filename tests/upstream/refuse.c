/*
 * A refusal counts nothing, or a request with --count-failed. The wait in a 429 holds if nobody
 * else takes what becomes free; a call that could never fit gets none.
 */
#include "refuse.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"
#include "provider.h"

void refuse_count(struct provider *p, enum report_failure failure)
{
    p->report.failures[failure]++;
    if (p->opt->count_failed && failure != REPORT_UNAUTHORIZED) {
        limiter_count_refused(&p->limiter, provider_now_us());
    }
}

void refuse(struct provider *p, struct evhttp_request *req, enum report_failure failure,
            const struct answer_error *error)
{
    refuse_count(p, failure);
    if (p->opt->verbose) {
        char why[256];
        log_event("info", "refused", "status=%d why=%s", error->status,
                  log_quote(why, sizeof(why), error->message));
    }
    answer_error(p, req, error);
}

void refuse_complaint(struct provider *p, struct evhttp_request *req, enum report_failure failure,
                      const struct complaint *bad)
{
    struct answer_error error = {.status = bad->status,
                                 .type = bad->type,
                                 .param = bad->param[0] ? bad->param : NULL,
                                 .code = bad->code,
                                 .message = bad->why};
    refuse(p, req, failure, &error);
}

static void say_wait(struct provider *p, int64_t tokens, bool by_requests, int64_t wait_us,
                     char *message, size_t size)
{
    struct window_view view;
    char wait[32];
    if (wait_us < 0) {
        snprintf(message, size,
                 "This call takes %" PRId64 " tokens, more than the limit of %" PRId64
                 " per window allows at any time; make the prompt or max_tokens smaller.",
                 tokens, p->opt->tpm);
        return;
    }
    limiter_look(&p->limiter, provider_now_us(), &view);
    int64_t limit = by_requests ? p->opt->rpm : p->opt->tpm;
    snprintf(message, size,
             "Over the limit of %s per window: limit %" PRId64 ", counted %" PRId64
             ", this call %" PRId64 ". Try again in %s.",
             by_requests ? "requests" : "tokens", limit,
             limit - (by_requests ? view.requests_left : view.tokens_left),
             by_requests ? (int64_t)1 : tokens, answer_duration(wait, sizeof(wait), wait_us));
}

void refuse_over_limit(struct provider *p, struct evhttp_request *req, int64_t tokens,
                       enum window_answer why)
{
    bool by_requests = why == WINDOW_FULL_REQUESTS;
    int64_t now_us = provider_now_us();
    char message[256];
    if (p->opt->count_failed) {
        limiter_count_refused(&p->limiter, now_us);
    }
    int64_t wait_us = limiter_wait_us(&p->limiter, now_us, tokens);
    say_wait(p, tokens, by_requests, wait_us, message, sizeof(message));
    report_over_limit(&p->report, now_us, by_requests);
    if (p->opt->verbose) {
        log_event("info", "over_limit", "type=%s tokens=%" PRId64 " wait_ms=%" PRId64,
                  by_requests ? "requests" : "tokens", tokens,
                  wait_us < 0 ? -1 : (wait_us + 999) / 1000);
    }
    struct answer_error error = {.status = 429,
                                 .type = by_requests ? "requests" : "tokens",
                                 .code = "rate_limit_exceeded",
                                 .message = message,
                                 .wait_us = wait_us == 0 ? 1 : wait_us};
    answer_error(p, req, &error);
}
