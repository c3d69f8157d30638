/*
 * The provider's own limits: at most max_requests and max_tokens in ANY span of time.
 *
 * A span is half open: a call admitted at t counts in every span (now - span, now] that contains t,
 * and has left exactly when now = t + span. Times are microseconds of one clock that does not step
 * back; a time before the latest so far counts as the latest.
 *
 * Pure: no clock, no I/O, one thread. It uses nothing of Ration, because it is what judges Ration.
 */
#ifndef UPSTREAM_WINDOW_H
#define UPSTREAM_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/* The most an owner may configure; sums of tokens stay far below the maximum of an int64_t. */
#define WINDOW_MAX_REQUESTS 10000000
#define WINDOW_MAX_TOKENS   1000000000000

struct window_grant {
    int64_t at_us;
    int64_t tokens; /* the estimate; after window_settle() the actual */
};

/* What has left the span is dropped on the next call, so both queues hold at most max_requests
 * entries. Their memory grows by doubling, up to that, and is kept until window_close(). */
struct window {
    int64_t max_requests;
    int64_t max_tokens;
    int64_t span_us;
    int64_t now_us;
    int64_t *requests; /* ring of arrival times, with refused requests if the owner counts those */
    size_t request_head, request_count, request_room;
    struct window_grant *grants; /* ring of admitted calls, oldest first */
    size_t grant_head, grant_count, grant_room;
    uint64_t first_ticket; /* of grants[grant_head]; tickets count up and are never reused */
    int64_t tokens;        /* sum over grants */
};

enum window_answer {
    WINDOW_ADMITTED,
    WINDOW_FULL_REQUESTS,
    WINDOW_FULL_TOKENS,
    WINDOW_TOO_LARGE, /* more tokens than the limit: waiting does not help */
    WINDOW_NO_MEMORY,
};

/* What the headers show to a client. */
struct window_view {
    int64_t requests_left, tokens_left;
    int64_t requests_reset_us,
        tokens_reset_us; /* until everything counted so far has left; 0 if nothing is counted */
};

/* Limits from 1 to WINDOW_MAX_*, span at least 1. Allocates nothing; window_close() may follow at
 * any time. */
void window_init(struct window *w, int64_t max_requests, int64_t max_tokens, int64_t span_us);
void window_close(struct window *w);

/* Forgets everything counted. Earlier tickets become void: settling them changes nothing. */
void window_clear(struct window *w);

/* Admits and counts one request of this many tokens (0 or more), or counts nothing. *ticket, set
 * only on admission, is for window_settle(). */
enum window_answer window_admit(struct window *w, int64_t now_us, int64_t tokens, uint64_t *ticket);

/* Corrects an admitted call to what it really used, in the place where it was admitted, and returns
 * how many tokens that gives back. Never upwards: usage above the estimate counts as the estimate.
 * A call that has left the span is no longer corrected. */
int64_t window_settle(struct window *w, int64_t now_us, uint64_t ticket, int64_t tokens);

/* Counts a request that was not admitted. Only the newest max_requests matter; older ones are
 * forgotten. */
enum window_answer window_count_refused(struct window *w, int64_t now_us);

/* Microseconds until this many tokens would be admitted if nothing else came; 0 now, -1 never. */
int64_t window_wait_us(struct window *w, int64_t now_us, int64_t tokens);

void window_look(struct window *w, int64_t now_us, struct window_view *view);

#endif
