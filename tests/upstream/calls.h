/*
 * Calls in flight: admitted by the limits, waiting for the time that their answer takes.
 */
#ifndef UPSTREAM_CALLS_H
#define UPSTREAM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "completion.h"
#include "report.h"

struct evhttp_request;
struct provider;

/* What a request may ask for in its header x-fault. */
enum fault {
    FAULT_NONE,
    FAULT_400,   /* refused before the limits are asked */
    FAULT_429,   /* likewise, without a limit having been exceeded */
    FAULT_500,   /* admitted, fails when its time has come, and has used nothing */
    FAULT_503,   /* likewise */
    FAULT_RESET, /* the call is made and counted; instead of the answer the connection is reset */
    FAULT_TRUNCATE, /* counted; half the answer, then the connection is closed */
    FAULT_HANG,     /* counted by its estimate; no answer ever */
    FAULT_BADJSON,  /* counted; 200 with half a JSON object */
};

/* False when there is no such fault. NULL is FAULT_NONE. */
bool fault_parse(const char *name, enum fault *fault);

/* What the report calls it. */
enum report_failure fault_failure(enum fault fault);

/* What the limits and the peaks know a call by. */
struct admission {
    int64_t at_us;
    int64_t estimate;
    uint64_t ticket; /* of limiter_admit() */
    uint64_t number; /* of peak_admit() */
};

/* Takes over an admitted request; it is answered from a timer, never from within this function. False without memory: the
 * request is still the caller's. */
bool call_begin(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                enum fault fault, const struct admission *admission);

/* Drops all calls without an answer. */
void calls_drop(struct provider *p);

#endif
