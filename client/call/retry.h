/* Whether to try again, and when. Pure: no clock, no handle; randomness is passed in as a number.
 * The table is in ration.h, at struct ration_retry. */
#ifndef RATION_RETRY_H
#define RATION_RETRY_H

#include <ration/ration.h>

#include "profile/profile.h"

#include <stdbool.h>
#include <stdint.h>

/* NULL, or what is wrong with the options in words, naming the field. */
const char *retry_check(const struct ration_retry *retry);

struct retry_case {
    int outcome;      /* enum ration_outcome, not ANSWERED */
    uint32_t tries;   /* made so far, this one included: 1 for the first */
    bool wait_named;  /* the provider named a wait */
    int64_t named_ms; /* that wait; at least this long, and at least as long as computed */
    enum profile_should_retry should_retry; /* what the provider said about trying again */
    int64_t left_ms;       /* until the call's deadline; a retry must begin before it */
    bool cannot_be_undone; /* the caller has been given a piece of the answer */
    double random;         /* 0 <= random < 1 */
};

struct retry_plan {
    bool again;
    /* Before the next try. If there is none, how long the caller should wait: as the provider says,
     * if it says more than 0, else as computed; 0: no wait will help, or nothing is known. */
    int64_t wait_ms;
    const char *why; /* why there is no next try; lives for ever */
};

void retry_decide(const struct ration_retry *retry, const struct retry_case *c,
                  struct retry_plan *plan);

#endif
