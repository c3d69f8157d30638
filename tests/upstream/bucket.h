/*
 * A token bucket that starts full, holds one window's whole limit, and fills evenly: the limit in
 * one span. The provider's limit where it was started with --mode bucket; one for the requests, one
 * for the tokens.
 *
 * Exact: the level is kept in units of 1 / span_us of a token, so that each microsecond adds a
 * whole number of them. Times are microseconds of one clock; a time earlier than the last one seen
 * is taken as the last one. Pure, one thread.
 */
#ifndef UPSTREAM_BUCKET_H
#define UPSTREAM_BUCKET_H

#include <stdint.h>

/* The most a limit (WINDOW_MAX_TOKENS) times the longest span comes to is past the end of an
 * int64_t. */
__extension__ typedef __int128 bucket_level;

struct bucket {
    int64_t capacity; /* and what one span refills */
    int64_t span_us;
    int64_t now_us;
    bucket_level level; /* times span_us; from 0 to capacity * span_us */
};

/* Capacity and span of at least 1. Nothing to close. */
void bucket_init(struct bucket *b, int64_t capacity, int64_t span_us);

/* Full again. */
void bucket_clear(struct bucket *b);

/* Whole tokens that are in it. */
int64_t bucket_left(struct bucket *b, int64_t now_us);

/* Takes n of at least 0; what is not there is not taken: the level stops at 0. */
void bucket_take(struct bucket *b, int64_t now_us, int64_t n);

/* Puts n back; what would run over is lost. */
void bucket_put(struct bucket *b, int64_t now_us, int64_t n);

/* Microseconds until n are there if nobody else takes any; 0 now, -1 never. */
int64_t bucket_wait_us(struct bucket *b, int64_t now_us, int64_t n);

#endif
