/*
 * The provider's limits, kept in one of three ways:
 *
 *     rolling   at most the limit in ANY span (window.c)
 *     bucket    a bucket of the whole limit that refills evenly (bucket.c)
 *     minute    windows of the calendar, each of which starts from nothing (minute.c)
 *
 * Tokens count either at the start of a call, by its estimate, or at its end, by its actual usage:
 *
 *     start   limiter_admit() counts the estimate, limiter_settle() lowers it to the actual
 *     end     limiter_admit() admits a call while anything is left, and counts no tokens;
 *             limiter_end() counts the actual, or nothing if that goes over the limit: a 429
 *
 * Requests always count at the start. Pure: no clock, no I/O, one thread.
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
    struct window window; /* rolling: requests, and tokens if they count at the start */
    struct window ends;   /* rolling: tokens if they count at the end */
    struct bucket request_bucket, token_bucket;
    struct minute request_minute, token_minute;
};

void limiter_init(struct limiter *l, const struct limiter_config *config);
void limiter_close(struct limiter *l);

/* Forgets everything counted; earlier tickets become void. */
void limiter_clear(struct limiter *l);

/* Admits and counts a call, or counts nothing. *ticket, set only on admission, is for
 * limiter_settle(). WINDOW_TOO_LARGE only if the estimate counts. */
enum window_answer limiter_admit(struct limiter *l, int64_t now_us, int64_t estimate,
                                 uint64_t *ticket);

/* With tokens counted at the start: a call admitted at this estimate has ended and used `actual`.
 * Returns how many tokens that gives back; none if the call's window has passed. */
int64_t limiter_settle(struct limiter *l, int64_t now_us, uint64_t ticket, int64_t estimate,
                       int64_t actual);

/* With tokens counted at the end: counts what the call used, or counts nothing and says why it does
 * not fit. */
enum window_answer limiter_end(struct limiter *l, int64_t now_us, int64_t actual);

/* Counts a request that was not admitted. */
void limiter_count_refused(struct limiter *l, int64_t now_us);

/* Microseconds until a call of this many tokens would be admitted if nothing else came; 0 now, -1
 * never. If tokens count at the end, ask with 1, which is all that admission needs. */
int64_t limiter_wait_us(struct limiter *l, int64_t now_us, int64_t tokens);

void limiter_look(struct limiter *l, int64_t now_us, struct window_view *view);

#endif
