/*
 * The retry table.
 *
 * A wait that the provider names wins if it is longer than the computed one: waiting less only
 * makes more 429s. So it gets no jitter and no maximum; if it ends after the call's deadline,
 * waiting is pointless. If it is shorter, the computed one stands: some providers say 0, or a
 * moment in the past, with every error, and all tries would be over in milliseconds. Exponential
 * waits get jitter, so that hosts which were refused together do not come back together; linear
 * ones are spread by the time-outs and connections themselves.
 *
 * If the provider says whether to try again, that is obeyed. But a quota that is used up is never
 * asked again, and a class that the caller has switched off stays off.
 */
#include "call/retry.h"

#include <assert.h>
#include <string.h>

#define MAX_TRIES       100
#define MAX_WAIT_MS     3600000
#define MAX_DEADLINE_MS 86400000
#define MAX_MULTIPLIER  10

_Static_assert(RATION_ANSWERED == (int)PROFILE_ANSWERED && RATION_LIMITED == (int)PROFILE_LIMITED &&
                   RATION_EXHAUSTED == (int)PROFILE_EXHAUSTED &&
                   RATION_OVERLOADED == (int)PROFILE_OVERLOADED &&
                   RATION_FAILED == (int)PROFILE_FAILED &&
                   RATION_TIMED_OUT == (int)PROFILE_TIMED_OUT &&
                   RATION_UNREACHED == (int)PROFILE_UNREACHED &&
                   RATION_REFUSED == (int)PROFILE_REFUSED,
               "the classes of a profile are the outcomes of a try");

const char *ration_outcome_name(int outcome)
{
    switch (outcome) {
#define OUTCOME_NAME(upper, name)                                                                  \
    case RATION_##upper:                                                                           \
        return name;
        RATION_OUTCOMES(OUTCOME_NAME)
#undef OUTCOME_NAME
    default:
        return "unknown";
    }
}

void ration_retry_init(struct ration_retry *retry)
{
    *retry = (struct ration_retry){
        .tries = 5,
        .min_ms = 1000,
        .max_ms = 60000,
        .multiplier = 2,
        .jitter = 0.25,
        .timed_out_ms = 5000,
        .unreached_ms = 3000,
        .classes = RATION_RETRIED,
    };
}

const char *retry_check(const struct ration_retry *retry)
{
    if (retry->tries < 1 || retry->tries > MAX_TRIES)
        return "retry.tries must be 1 - 100";
    if (retry->min_ms < 1 || retry->min_ms > MAX_WAIT_MS)
        return "retry.min_ms must be 1 - 3600000";
    if (retry->max_ms < retry->min_ms || retry->max_ms > MAX_WAIT_MS)
        return "retry.max_ms must be min_ms - 3600000";
    if (!(retry->multiplier >= 1 && retry->multiplier <= MAX_MULTIPLIER)) /* so that NaN fails */
        return "retry.multiplier must be 1 - 10";
    if (!(retry->jitter >= 0 && retry->jitter <= 1))
        return "retry.jitter must be 0 - 1";
    if (retry->timed_out_ms > MAX_WAIT_MS || retry->unreached_ms > MAX_WAIT_MS)
        return "retry.timed_out_ms and retry.unreached_ms must be 0 - 3600000";
    if (retry->deadline_ms > MAX_DEADLINE_MS)
        return "retry.deadline_ms must be 0 - 86400000";
    return NULL;
}

static bool is_failure(int outcome)
{
    return outcome > RATION_ANSWERED && outcome <= RATION_REFUSED;
}

/* NULL, or why there is no other try, whatever the waits, tries and deadline. */
static const char *why_never(const struct retry_case *c)
{
    if (!is_failure(c->outcome) || c->outcome == RATION_EXHAUSTED)
        return "no wait will help";
    if (c->should_retry == PROFILE_DO_NOT_RETRY)
        return "the provider says not to try again";
    if (c->outcome == RATION_REFUSED && c->should_retry != PROFILE_DO_RETRY)
        return "no wait will help";
    return NULL;
}

/* Callers cannot ask for refusals to be retried; one gets here only if the provider says so. */
static bool is_wanted(const struct ration_retry *retry, int outcome)
{
    return outcome == RATION_REFUSED || retry->classes & 1u << outcome;
}

static int64_t exponential(const struct ration_retry *retry, const struct retry_case *c)
{
    double wait = retry->min_ms;
    for (uint32_t i = 1; i < c->tries && wait < retry->max_ms; i++)
        wait *= retry->multiplier;
    if (wait > retry->max_ms)
        wait = retry->max_ms;
    return (int64_t)(wait * (1 + retry->jitter * (2 * c->random - 1)) + 0.5);
}

static int64_t computed(const struct ration_retry *retry, const struct retry_case *c)
{
    if (c->outcome == RATION_TIMED_OUT)
        return (int64_t)retry->timed_out_ms * c->tries;
    if (c->outcome == RATION_UNREACHED)
        return (int64_t)retry->unreached_ms * c->tries;
    return exponential(retry, c);
}

void retry_decide(const struct ration_retry *retry, const struct retry_case *c,
                  struct retry_plan *plan)
{
    assert(c->tries > 0 && c->random >= 0 && c->random < 1);
    memset(plan, 0, sizeof(*plan));
    int64_t named_ms = c->wait_named && c->named_ms > 0 ? c->named_ms : 0;
    plan->why = why_never(c);
    if (plan->why) {
        if (c->should_retry == PROFILE_DO_NOT_RETRY && c->outcome != RATION_EXHAUSTED)
            plan->wait_ms = named_ms;
        return;
    }
    int64_t computed_ms = computed(retry, c);
    plan->wait_ms = computed_ms > named_ms ? computed_ms : named_ms;
    if (!is_wanted(retry, c->outcome))
        plan->why = "this kind of failure is not retried";
    else if (c->cannot_be_undone)
        plan->why = "part of the answer was already passed on";
    else if (c->tries >= retry->tries)
        plan->why = "the tries are used up";
    else if (plan->wait_ms >= c->left_ms)
        plan->why = "the wait does not fit into the deadline";
    else
        plan->again = true;
    if (!plan->again && named_ms > 0)
        plan->wait_ms = named_ms;
}
