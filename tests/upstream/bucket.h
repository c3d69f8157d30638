/*
 * A token bucket that starts full, holds one window's whole limit, and refills evenly, a whole
 * limit in one span. With --mode bucket there is one for requests and one for tokens.
 *
 * Exact: the level is kept in units of 1 / span_us of a token, so that each microsecond adds a
 * whole number of them. Times are microseconds of one clock; a time before the latest so far counts
 * as the latest. Pure, one thread.
 */
#ifndef UPSTREAM_BUCKET_H
#define UPSTREAM_BUCKET_H

#include <stdint.h>

/* The largest limit (WINDOW_MAX_TOKENS) times the longest span overflows an int64_t. */
__extension__ typedef __int128 bucket_level;

struct bucket {
    int64_t capacity; /* also what one span refills */
    int64_t span_us;
    int64_t now_us;
    bucket_level level; /* times span_us; from 0 to capacity * span_us */
};

/* Capacity and span of at least 1. Nothing to close. */
void bucket_init(struct bucket *b, int64_t capacity, int64_t span_us);

/* Full again. */
void bucket_clear(struct bucket *b);

/* How many whole tokens it holds. */
int64_t bucket_left(struct bucket *b, int64_t now_us);

/* Takes n, at least 0; the level stops at 0. */
void bucket_take(struct bucket *b, int64_t now_us, int64_t n);

/* Puts n back; the level stops at the brim. */
void bucket_put(struct bucket *b, int64_t now_us, int64_t n);

/* Microseconds until it holds n if nobody else takes any; 0 now, -1 never. */
int64_t bucket_wait_us(struct bucket *b, int64_t now_us, int64_t n);

#endif
