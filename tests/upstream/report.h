/*
 * What the strict provider saw, as one JSON object: GET /report, and the last line on stdout when
 * it stops. README.md in this folder says what each field means.
 */
#ifndef UPSTREAM_REPORT_H
#define UPSTREAM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "peak.h"
#include "series.h"

/* Why a call got no useful answer, other than the provider's own limits. */
#define REPORT_FAILURES(X)                                                                         \
    X(BAD_REQUEST, "bad_request")                                                                  \
    X(UNAUTHORIZED, "unauthorized")                                                                \
    X(TOO_LARGE_BODY, "too_large_body")                                                            \
    X(OVERLOADED, "overloaded")                                                                    \
    X(FAULT_400, "fault_400")                                                                      \
    X(FAULT_401, "fault_401")                                                                      \
    X(FAULT_402, "fault_402")                                                                      \
    X(FAULT_403, "fault_403")                                                                      \
    X(FAULT_404, "fault_404")                                                                      \
    X(FAULT_408, "fault_408")                                                                      \
    X(FAULT_409, "fault_409")                                                                      \
    X(FAULT_422, "fault_422")                                                                      \
    X(FAULT_425, "fault_425")                                                                      \
    X(FAULT_429, "fault_429")                                                                      \
    X(FAULT_QUOTA, "fault_quota")                                                                  \
    X(FAULT_498, "fault_498")                                                                      \
    X(FAULT_500, "fault_500")                                                                      \
    X(FAULT_502, "fault_502")                                                                      \
    X(FAULT_503, "fault_503")                                                                      \
    X(FAULT_504, "fault_504")                                                                      \
    X(FAULT_529, "fault_529")                                                                      \
    X(FAULT_RESET_BODY, "fault_reset_body")                                                        \
    X(FAULT_STALL, "fault_stall")                                                                  \
    X(FAULT_NOUSAGE, "fault_nousage")                                                              \
    X(FAULT_RESET, "fault_reset")                                                                  \
    X(FAULT_TRUNCATE, "fault_truncate")                                                            \
    X(FAULT_HANG, "fault_hang")                                                                    \
    X(FAULT_BADJSON, "fault_badjson")                                                              \
    X(FAULT_FORM, "fault_form")                                                                    \
    X(CLIENT_GONE, "client_gone")

enum report_failure {
#define REPORT_ENUM(upper, name) REPORT_##upper,
    REPORT_FAILURES(REPORT_ENUM)
#undef REPORT_ENUM
        REPORT_FAILURE_COUNT
};

struct report {
    uint64_t requests;         /* every POST to an API's path, whatever became of it */
    uint64_t granted;          /* passed both limits */
    uint64_t completed;        /* answered 200 with usage, to a client that was still there */
    uint64_t refused_requests; /* 429 because of the requests limit */
    uint64_t refused_tokens;   /* 429 because of the tokens limit */
    uint64_t failures[REPORT_FAILURE_COUNT];
    int64_t estimated_tokens; /* of granted calls, when they started */
    int64_t counted_tokens;   /* as the limit counted: estimates, less what settling gave back */
    int64_t input_tokens;     /* actual, of calls that ended */
    int64_t output_tokens;
    uint64_t in_flight, max_in_flight;
    int64_t first_us, last_us; /* of the first and last request; both 0 before there was one */
    uint64_t
        refused_at_end; /* of refused_tokens: calls that were made but were over when they ended */
    int64_t wasted_tokens; /* used by those; neither counted nor part of input and output */
    struct peak peak;      /* of what counts at the start: requests, and tokens if they do */
    struct peak ends;      /* of tokens that count at the end; else unused */
    struct series series;
};

/* What the report compares its counts with. */
struct report_limits {
    int64_t rpm, tpm, window_us;
    const char *mode, *count; /* static words */
    bool settle, count_failed;
    int64_t epoch_offset_us; /* add to a monotonic time to get the time since 1970 */
};

void report_init(struct report *r, int64_t window_us, int64_t epoch_offset_us);
void report_close(struct report *r);

/* Forgets everything seen. Calls in flight stay in flight; the owner makes sure that their end is
 * not counted. */
void report_clear(struct report *r);

/* A request came in. */
void report_arrival(struct report *r, int64_t now_us);

/* A call passed the limits; tokens is its estimate. */
void report_granted(struct report *r, int64_t now_us, int64_t tokens);

/* The limits counted this many tokens for a call, or gave them back (less than 0), in the second in
 * which the call was counted. */
void report_counted(struct report *r, int64_t at_us, int64_t tokens);

/* A call ended, having really used this much. */
void report_used(struct report *r, int64_t now_us, int64_t input, int64_t output);

/* The limits refused a call with 429. */
void report_over_limit(struct report *r, int64_t now_us, bool by_requests);

/* One line of JSON, for the caller to free(); NULL without memory. */
char *report_json(const struct report *r, const struct report_limits *limits);

#endif
