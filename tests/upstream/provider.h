/*
 * The state that the parts of the strict provider share. One thread, one event base.
 *
 *     main.c      options, listening, signals
 *     http.c      a request comes in: route, check, ask the limiter
 *     calls.c     an admitted call waits until its answer is due and ends, in one of many ways
 *     answer.c    an answer goes out, with the headers that every answer has
 */
#ifndef UPSTREAM_PROVIDER_H
#define UPSTREAM_PROVIDER_H

#include <stdint.h>

#include "faults.h"
#include "lengths.h"
#include "limiter.h"
#include "options.h"
#include "report.h"

struct call;
struct event_base;

struct provider {
    const struct options *opt;
    struct event_base *base;
    struct limiter limiter;
    struct lengths lengths;
    struct faults faults;
    struct report report;
    struct report_limits limits;
    uint64_t random;      /* state of the generator of lengths */
    uint64_t next_number; /* of calls and of answers, from 1 */
    uint64_t generation;  /* counts POST /reset: calls from before one are not reported after it */
    struct call *calls;   /* all in flight, newest first */
};

/* CLOCK_MONOTONIC in microseconds. */
int64_t provider_now_us(void);

/* 0, or -1 after saying on stderr what is wrong with the options; then there is nothing to
 * close. */
int provider_init(struct provider *p, const struct options *opt, struct event_base *base);

/* Ends the calls in flight, unanswered; afterwards the HTTP server may be freed. */
void provider_close(struct provider *p);

/* POST /reset: as if no request had ever come. */
void provider_reset(struct provider *p);

#endif
