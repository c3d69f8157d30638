/*
 * A counter that starts from zero in each window of the calendar: consecutive windows of span_us
 * since 1970, so that one of 60 s is a wall-clock minute. With --mode minute there is one for
 * requests and one for tokens.
 *
 * Times are microseconds of a clock; adding epoch_offset_us gives the time since 1970. A time
 * before the latest so far counts as the latest. Pure, one thread.
 */
#ifndef UPSTREAM_MINUTE_H
#define UPSTREAM_MINUTE_H

#include <stdint.h>

struct minute {
    int64_t limit;
    int64_t span_us;
    int64_t epoch_offset_us;
    int64_t window; /* number since 1970 of the window that `used` belongs to */
    int64_t used;
};

/* Limit and span of at least 1. Nothing to close. */
void minute_init(struct minute *m, int64_t limit, int64_t span_us, int64_t epoch_offset_us);

/* Nothing used. */
void minute_clear(struct minute *m);

/* What the current window has left; 0 if more than the limit was counted. */
int64_t minute_left(struct minute *m, int64_t now_us);

/* Counts n, at least 0, in the current window and returns that window's number. */
int64_t minute_take(struct minute *m, int64_t now_us, int64_t n);

/* Takes n back out of that window and returns how much that was: nothing if the window has
 * ended. */
int64_t minute_put(struct minute *m, int64_t now_us, int64_t window, int64_t n);

/* Microseconds until n would fit if nothing else came: 0 now, -1 never, else the time to the next
 * window. */
int64_t minute_wait_us(struct minute *m, int64_t now_us, int64_t n);

/* Microseconds until the next window. */
int64_t minute_ends_us(struct minute *m, int64_t now_us);

#endif
