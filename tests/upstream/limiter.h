/*
 * The provider's limits, in whichever way it keeps them:
 *
 *     rolling   at most the limit in ANY span (window.c)
 *     bucket    a bucket of the whole limit that refills evenly (bucket.c)
 *     minute    windows of the calendar, each of which starts from nothing (minute.c)
 *
 * and counts tokens either at the start of a call, by its estimate, or at its end, by what it
 * really took:
 *
 *     start   limiter_admit() counts the estimate, limiter_settle() lowers it to the actual
 *     end     limiter_admit() lets a call in while anything at all is left, and counts no tokens; limiter_end() counts the
 *             actual, or nothing when that would go over the limit, which is the call's 429
 *
 * Requests are counted at the start in either case. Pure: no clock, no I/O, one thread.
 */
#ifndef UPSTREAM_LIMITER_H
#define UPSTREAM_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "minute.h"
#include "window.h"

enum limiter_mode { LIMITER_ROLLING, LIMITER_BUCKET, LIMITER_MINUTE };

struct limiter_config {
    enum limiter_mode mode;
    bool at_end; /* tokens are counted when a call ends */
    int64_t max_requests, max_tokens, span_us;
    int64_t epoch_offset_us; /* for minute: see minute.h */
};

struct limiter {
    struct limiter_config config;
    struct window window; /* rolling: of requests, and of tokens where they count at the start */
    struct window ends;   /* rolling: of tokens where they count at the end */
    struct bucket request_bucket, token_bucket;
    struct minute request_minute, token_minute;
};

void limiter_init(struct limiter *l, const struct limiter_config *config);
void limiter_close(struct limiter *l);

/* Forgets everything counted. Tickets given before are void. */
void limiter_clear(struct limiter *l);

/* Admits a call or counts nothing at all. *ticket, set only when admitted, is for limiter_settle().
 * WINDOW_TOO_LARGE only where the estimate counts. */
enum window_answer limiter_admit(struct limiter *l, int64_t now_us, int64_t estimate,
                                 uint64_t *ticket);

/* Counted at the start: a call that was admitted at this estimate has ended, having used so much.
 * Returns how many tokens that gives back: none where the window that it counts in has gone by. */
int64_t limiter_settle(struct limiter *l, int64_t now_us, uint64_t ticket, int64_t estimate,
                       int64_t actual);

/* Counted at the end: counts what the call used, or answers why that does not fit, having counted
 * nothing. */
enum window_answer limiter_end(struct limiter *l, int64_t now_us, int64_t actual);

/* Counts a request that was not admitted. */
void limiter_count_refused(struct limiter *l, int64_t now_us);

/* Microseconds until a call of this many tokens would pass if nothing else came; 0 now, -1 never.
 * Where tokens count at the end, 1 is asked for what a call needs to get in. */
int64_t limiter_wait_us(struct limiter *l, int64_t now_us, int64_t tokens);

void limiter_look(struct limiter *l, int64_t now_us, struct window_view *view);

#endif
