/*
 * A plain array of admitted calls and two indices. On each admission the first index moves past
 * what is older than the span, and the sum of the rest is compared with the largest so far: the
 * fullest span always ends on an admission, so checking only there misses nothing.
 *
 * The sum is updated as calls come, leave and are settled, and recounted each time the array is
 * moved, so that it cannot drift unnoticed for long. Memory follows the calls inside one span.
 */
#include "peak.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256

void peak_init(struct peak *p, int64_t span_us)
{
    memset(p, 0, sizeof(*p));
    p->span_us = span_us;
}

void peak_close(struct peak *p)
{
    free(p->calls);
    memset(p, 0, sizeof(*p));
}

void peak_clear(struct peak *p)
{
    /* Numbers continue from where they were, so that a call from before is unknown afterwards. */
    p->shifted += p->last;
    p->first = p->last = 0;
    p->tokens = 0;
    p->max_requests = p->max_tokens = 0;
    p->incomplete = false;
}

static void move_to_front(struct peak *p)
{
    p->shifted += p->first;
    p->last -= p->first;
    memmove(p->calls, p->calls + p->first, p->last * sizeof(*p->calls));
    p->first = 0;
    p->tokens = 0;
    for (size_t i = 0; i < p->last; i++) {
        p->tokens += p->calls[i].tokens;
    }
}

static bool make_room(struct peak *p)
{
    if (p->last < p->room) {
        return true;
    }
    /* At least half has left: moving the rest costs less than adding what came since the last move.
     */
    if (p->room > 0 && p->first >= p->room / 2) {
        move_to_front(p);
        return true;
    }
    size_t bigger = p->room ? p->room * 2 : FIRST_ROOM;
    struct peak_call *calls = realloc(p->calls, bigger * sizeof(*calls));
    if (!calls) {
        return false;
    }
    p->calls = calls;
    p->room = bigger;
    return true;
}

uint64_t peak_admit(struct peak *p, int64_t at_us, int64_t tokens)
{
    if (!make_room(p)) {
        p->incomplete = true;
        return 0;
    }
    p->calls[p->last] = (struct peak_call){.at_us = at_us, .tokens = tokens};
    p->last++;
    p->tokens += tokens;
    while (p->calls[p->first].at_us <= at_us - p->span_us) {
        p->tokens -= p->calls[p->first].tokens;
        p->first++;
    }
    if ((int64_t)(p->last - p->first) > p->max_requests) {
        p->max_requests = (int64_t)(p->last - p->first);
    }
    if (p->tokens > p->max_tokens) {
        p->max_tokens = p->tokens;
    }
    return p->shifted + p->last;
}

void peak_settle(struct peak *p, uint64_t number, int64_t tokens)
{
    if (number <= p->shifted + p->first || number > p->shifted + p->last) {
        return;
    }
    struct peak_call *call = &p->calls[number - p->shifted - 1];
    p->tokens += tokens - call->tokens;
    call->tokens = tokens;
}
