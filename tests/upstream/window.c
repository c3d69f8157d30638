/*
 * Rolling windows, kept exactly: one entry per call, none rounded into slots.
 *
 * There are two queues because they forget differently. A refused request may count against the
 * requests but never against the tokens, and refused ones are unbounded; but whether one more
 * request fits depends only on the newest max_requests, so a full request queue may drop its
 * oldest. The queue of grants never has to: a grant needs a free place among the requests, so at
 * most max_requests grants are ever inside one span.
 *
 *     window_admit     drop what has left > compare both sums with the limits > add to both queues
 *     window_settle    find the grant by its ticket (its place is ticket - first_ticket) > lower it
 *
 * If memory runs out, nothing is counted and the caller learns it, so the sums always match the
 * queues.
 */
#include "window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64

void window_init(struct window *w, int64_t max_requests, int64_t max_tokens, int64_t span_us)
{
    assert(max_requests >= 1 && max_requests <= WINDOW_MAX_REQUESTS);
    assert(max_tokens >= 1 && max_tokens <= WINDOW_MAX_TOKENS);
    assert(span_us >= 1);
    memset(w, 0, sizeof(*w));
    w->max_requests = max_requests;
    w->max_tokens = max_tokens;
    w->span_us = span_us;
    w->now_us = INT64_MIN;
    w->first_ticket = 1;
}

void window_close(struct window *w)
{
    free(w->requests);
    free(w->grants);
    memset(w, 0, sizeof(*w));
}

void window_clear(struct window *w)
{
    w->first_ticket += w->grant_count;
    w->request_head = w->request_count = 0;
    w->grant_head = w->grant_count = 0;
    w->tokens = 0;
}

static size_t place(size_t head, size_t i, size_t room)
{
    size_t at = head + i;
    return at < room ? at : at - room;
}

static struct window_grant *grant_at(const struct window *w, size_t i)
{
    return &w->grants[place(w->grant_head, i, w->grant_room)];
}

static int64_t request_at(const struct window *w, size_t i)
{
    return w->requests[place(w->request_head, i, w->request_room)];
}

/* Copies the queue into a new block with twice the room, where it starts at 0; the caller then
 * frees the old block. NULL without memory, with the old block untouched. */
static void *unrolled(const void *ring, size_t head, size_t count, size_t room, size_t bigger,
                      size_t size)
{
    char *fresh = malloc(bigger * size);
    if (fresh && count > 0) {
        size_t first = count < room - head ? count : room - head;
        memcpy(fresh, (const char *)ring + head * size, first * size);
        memcpy(fresh + first * size, ring, (count - first) * size);
    }
    return fresh;
}

static size_t next_room(size_t room, int64_t most)
{
    size_t bigger = room ? room * 2 : FIRST_ROOM;
    return bigger < (size_t)most ? bigger : (size_t)most;
}

static int have_room_for_request(struct window *w)
{
    if (w->request_count < w->request_room) {
        return 1;
    }
    size_t bigger = next_room(w->request_room, w->max_requests);
    int64_t *fresh = unrolled(w->requests, w->request_head, w->request_count, w->request_room,
                              bigger, sizeof(*fresh));
    if (!fresh) {
        return 0;
    }
    free(w->requests);
    w->requests = fresh;
    w->request_head = 0;
    w->request_room = bigger;
    return 1;
}

static int have_room_for_grant(struct window *w)
{
    if (w->grant_count < w->grant_room) {
        return 1;
    }
    size_t bigger = next_room(w->grant_room, w->max_requests);
    struct window_grant *fresh =
        unrolled(w->grants, w->grant_head, w->grant_count, w->grant_room, bigger, sizeof(*fresh));
    if (!fresh) {
        return 0;
    }
    free(w->grants);
    w->grants = fresh;
    w->grant_head = 0;
    w->grant_room = bigger;
    return 1;
}

static void drop_oldest_request(struct window *w)
{
    w->request_head = place(w->request_head, 1, w->request_room);
    w->request_count--;
}

static void add_request(struct window *w)
{
    w->requests[place(w->request_head, w->request_count, w->request_room)] = w->now_us;
    w->request_count++;
}

/* Moves the clock forward and drops what has left the span. Amortised constant time: each entry is
 * dropped once. */
static void roll(struct window *w, int64_t now_us)
{
    if (now_us > w->now_us) {
        w->now_us = now_us;
    }
    while (w->request_count > 0 && w->now_us - request_at(w, 0) >= w->span_us) {
        drop_oldest_request(w);
    }
    while (w->grant_count > 0 && w->now_us - grant_at(w, 0)->at_us >= w->span_us) {
        w->tokens -= grant_at(w, 0)->tokens;
        w->grant_head = place(w->grant_head, 1, w->grant_room);
        w->grant_count--;
        w->first_ticket++;
    }
}

enum window_answer window_admit(struct window *w, int64_t now_us, int64_t tokens, uint64_t *ticket)
{
    assert(tokens >= 0);
    roll(w, now_us);
    if (tokens > w->max_tokens) {
        return WINDOW_TOO_LARGE;
    }
    if ((int64_t)w->request_count >= w->max_requests) {
        return WINDOW_FULL_REQUESTS;
    }
    if (tokens > w->max_tokens - w->tokens) {
        return WINDOW_FULL_TOKENS;
    }
    if (!have_room_for_request(w) || !have_room_for_grant(w)) {
        return WINDOW_NO_MEMORY;
    }
    add_request(w);
    *grant_at(w, w->grant_count) = (struct window_grant){.at_us = w->now_us, .tokens = tokens};
    *ticket = w->first_ticket + w->grant_count;
    w->grant_count++;
    w->tokens += tokens;
    return WINDOW_ADMITTED;
}

int64_t window_settle(struct window *w, int64_t now_us, uint64_t ticket, int64_t tokens)
{
    assert(tokens >= 0);
    roll(w, now_us);
    if (ticket < w->first_ticket || ticket - w->first_ticket >= w->grant_count) {
        return 0;
    }
    struct window_grant *grant = grant_at(w, (size_t)(ticket - w->first_ticket));
    if (tokens >= grant->tokens) {
        return 0;
    }
    int64_t back = grant->tokens - tokens;
    grant->tokens = tokens;
    w->tokens -= back;
    return back;
}

enum window_answer window_count_refused(struct window *w, int64_t now_us)
{
    roll(w, now_us);
    if ((int64_t)w->request_count >= w->max_requests) {
        drop_oldest_request(w);
    }
    if (!have_room_for_request(w)) {
        return WINDOW_NO_MEMORY;
    }
    add_request(w);
    return WINDOW_ADMITTED;
}

int64_t window_wait_us(struct window *w, int64_t now_us, int64_t tokens)
{
    roll(w, now_us);
    if (tokens > w->max_tokens) {
        return -1;
    }
    int64_t free_at_us = w->now_us;
    if ((int64_t)w->request_count >= w->max_requests) {
        free_at_us = request_at(w, 0) + w->span_us;
    }
    int64_t too_many = w->tokens + tokens - w->max_tokens;
    for (size_t i = 0; too_many > 0 && i < w->grant_count; i++) {
        too_many -= grant_at(w, i)->tokens;
        if (too_many <= 0 && grant_at(w, i)->at_us + w->span_us > free_at_us) {
            free_at_us = grant_at(w, i)->at_us + w->span_us;
        }
    }
    return free_at_us - w->now_us;
}

void window_look(struct window *w, int64_t now_us, struct window_view *view)
{
    roll(w, now_us);
    view->requests_left = w->max_requests - (int64_t)w->request_count;
    view->tokens_left = w->max_tokens - w->tokens;
    view->requests_reset_us = 0;
    view->tokens_reset_us = 0;
    if (w->request_count > 0) {
        view->requests_reset_us = request_at(w, w->request_count - 1) + w->span_us - w->now_us;
    }
    if (w->grant_count > 0) {
        view->tokens_reset_us = grant_at(w, w->grant_count - 1)->at_us + w->span_us - w->now_us;
    }
}
