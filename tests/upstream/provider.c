/*
 * Sets up the provider's state and tears it down. The order matters only in one point: calls hold
 * requests of the HTTP server, so provider_close() comes before the server is freed.
 */
#include "provider.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "calls.h"
#include "form.h"
#include "log.h"

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t provider_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

static const char *const mode_names[] = {
    [LIMITER_ROLLING] = "rolling", [LIMITER_BUCKET] = "bucket", [LIMITER_MINUTE] = "minute"};

int provider_init(struct provider *p, const struct options *opt, struct event_base *base)
{
    int64_t window_us = opt->window_ms * 1000;
    memset(p, 0, sizeof(*p));
    p->opt = opt;
    p->base = base;
    p->random = (uint64_t)opt->seed;
    p->next_number = 1;
    if (forms_open() < 0) {
        return -1;
    }
    if (faults_init(&p->faults, opt->fault, (uint64_t)opt->seed) < 0 ||
        (opt->lengths && lengths_read(&p->lengths, opt->lengths) < 0)) {
        forms_close();
        return -1;
    }
    int64_t epoch_offset_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
    limiter_init(&p->limiter, &(struct limiter_config){.mode = (enum limiter_mode)opt->mode,
                                                       .at_end = opt->at_end,
                                                       .max_requests = opt->rpm,
                                                       .max_tokens = opt->tpm,
                                                       .span_us = window_us,
                                                       .epoch_offset_us = epoch_offset_us});
    report_init(&p->report, window_us, epoch_offset_us);
    p->limits = (struct report_limits){
        .rpm = opt->rpm,
        .tpm = opt->tpm,
        .window_us = window_us,
        .mode = mode_names[opt->mode],
        .count = opt->at_end ? "end" : "start",
        .settle = opt->settle,
        .count_failed = opt->count_failed,
        .epoch_offset_us = epoch_offset_us,
    };
    return 0;
}

void provider_close(struct provider *p)
{
    calls_drop(p);
    limiter_close(&p->limiter);
    report_close(&p->report);
    lengths_close(&p->lengths);
    faults_close(&p->faults);
    forms_close();
}

void provider_reset(struct provider *p)
{
    p->generation++;
    p->random = (uint64_t)p->opt->seed;
    limiter_clear(&p->limiter);
    faults_clear(&p->faults);
    report_clear(&p->report);
    log_event("info", "reset", "in_flight=%" PRIu64, p->report.in_flight);
}
