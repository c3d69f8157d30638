/*
 * Calls in flight: admitted by the limits, waiting until their answer is due.
 */
#ifndef UPSTREAM_CALLS_H
#define UPSTREAM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "completion.h"
#include "fault.h"

struct evhttp_request;
struct provider;

/* How the limits and the peaks identify a call. */
struct admission {
    int64_t at_us;
    int64_t estimate;
    uint64_t ticket; /* of limiter_admit() */
    uint64_t number; /* of peak_admit() */
};

/* Takes an admitted request and answers it from a timer, never from within this function. False
 * without memory: the request is still the caller's. */
bool call_begin(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                const struct fault *fault, const struct admission *admission);

/* Drops all calls, unanswered. */
void calls_drop(struct provider *p);

#endif
