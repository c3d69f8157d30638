/*
 * The provider's own limits: at most so many requests and so many tokens in ANY span of time.
 *
 * A span is half open: a call admitted at t is counted in every span (now - span, now] that
 * contains t, and has left exactly when now = t + span. Times are microseconds of one clock that
 * does not step back; a time earlier than the last one seen is taken as the last one.
 *
 * Pure: no clock, no I/O, one thread. Nothing of Ration is used here, because this is what judges
 * Ration.
 */
#ifndef UPSTREAM_WINDOW_H
#define UPSTREAM_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/* The most an owner may configure; sums of this many tokens are far from the end of an int64_t. */
#define WINDOW_MAX_REQUESTS 10000000
#define WINDOW_MAX_TOKENS   1000000000000

struct window_grant {
    int64_t at_us;
    int64_t tokens; /* the estimate; after window_settle() the actual */
};

/* What has left the span is dropped on the next call, so both queues hold max_requests entries at
 * the most. Their memory grows by doubling, up to that, and is kept until window_close(). */
struct window {
    int64_t max_requests;
    int64_t max_tokens;
    int64_t span_us;
    int64_t now_us;
    int64_t *
        requests; /* a ring of when each counted request came, the refused ones too if the owner counts those */
    size_t request_head, request_count, request_room;
    struct window_grant *grants; /* a ring of admitted calls, oldest first */
    size_t grant_head, grant_count, grant_room;
    uint64_t first_ticket; /* of grants[grant_head]; tickets count up and are never reused */
    int64_t tokens;        /* sum over grants */
};

enum window_answer {
    WINDOW_ADMITTED,
    WINDOW_FULL_REQUESTS,
    WINDOW_FULL_TOKENS,
    WINDOW_TOO_LARGE, /* more tokens than the limit: no wait will help */
    WINDOW_NO_MEMORY,
};

/* Seen by a client that reads the headers. */
struct window_view {
    int64_t requests_left, tokens_left;
    int64_t requests_reset_us,
        tokens_reset_us; /* until everything counted so far has left; 0 when nothing is counted */
};

/* Limits of 1 to WINDOW_MAX_*, span of at least 1. Allocates nothing; window_close() may follow at
 * any time. */
void window_init(struct window *w, int64_t max_requests, int64_t max_tokens, int64_t span_us);
void window_close(struct window *w);

/* Forgets everything counted. Tickets given before are void: settling them changes nothing. */
void window_clear(struct window *w);

/* Admits and counts one request of this many tokens (0 or more), or counts nothing at all.
 * *ticket, set only when admitted, is for window_settle(). */
enum window_answer window_admit(struct window *w, int64_t now_us, int64_t tokens, uint64_t *ticket);

/* Corrects an admitted call to what it really used, at the time when it was admitted, and returns
 * how many tokens that gives back. Never upwards: more than was counted at the start is taken as
 * what was counted. A call that has left the span is past correcting. */
int64_t window_settle(struct window *w, int64_t now_us, uint64_t ticket, int64_t tokens);

/* Counts a request that was not admitted. Only the newest max_requests of them matter, the older
 * are forgotten. */
enum window_answer window_count_refused(struct window *w, int64_t now_us);

/* Microseconds until this many tokens would be admitted if nothing else came; 0 now, -1 never. */
int64_t window_wait_us(struct window *w, int64_t now_us, int64_t tokens);

void window_look(struct window *w, int64_t now_us, struct window_view *view);

#endif
