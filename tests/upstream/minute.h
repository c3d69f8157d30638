/*
 * A counter that starts from nothing in each window of the calendar: windows of span_us one after
 * the other since 1970, so that one of 60 s is a minute as a clock on the wall shows it. The
 * provider's limit where it was started with --mode minute; one for the requests, one for the
 * tokens.
 *
 * Times are microseconds of a clock to which epoch_offset_us is added to get the time since 1970; a
 * time earlier than the last one seen is taken as the last one. Pure, one thread.
 */
#ifndef UPSTREAM_MINUTE_H
#define UPSTREAM_MINUTE_H

#include <stdint.h>

struct minute {
    int64_t limit;
    int64_t span_us;
    int64_t epoch_offset_us;
    int64_t window; /* since 1970, the one that `used` is of */
    int64_t used;
};

/* Limit and span of at least 1. Nothing to close. */
void minute_init(struct minute *m, int64_t limit, int64_t span_us, int64_t epoch_offset_us);

/* Nothing used. */
void minute_clear(struct minute *m);

/* What the window of now has left; 0 where more than the limit was counted. */
int64_t minute_left(struct minute *m, int64_t now_us);

/* Counts n of at least 0 in the window of now, and returns the number of that window. */
int64_t minute_take(struct minute *m, int64_t now_us, int64_t n);

/* Takes n back out of that window, and returns how much that was: nothing where the window has
 * ended. */
int64_t minute_put(struct minute *m, int64_t now_us, int64_t window, int64_t n);

/* Microseconds until n would fit if nothing else came: 0 now, -1 never, else until the next window.
 */
int64_t minute_wait_us(struct minute *m, int64_t now_us, int64_t n);

/* Microseconds until the next window. */
int64_t minute_ends_us(struct minute *m, int64_t now_us);

#endif
