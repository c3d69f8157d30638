/*
 * Calls in flight: admitted by the limits, waiting for the time that their answer takes.
 */
#ifndef UPSTREAM_CALLS_H
#define UPSTREAM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "completion.h"
#include "fault.h"

struct evhttp_request;
struct provider;

/* What the limits and the peaks know a call by. */
struct admission {
    int64_t at_us;
    int64_t estimate;
    uint64_t ticket; /* of limiter_admit() */
    uint64_t number; /* of peak_admit() */
};

/* Takes over an admitted request; it is answered from a timer, never from within this function.
 * False without memory: the request is still the caller's. */
bool call_begin(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                const struct fault *fault, const struct admission *admission);

/* Drops all calls without an answer. */
void calls_drop(struct provider *p);

#endif
