/*
 * The most that was really admitted in any span of the whole run: the strict provider's check on
 * itself.
 *
 * It learns only what was admitted and what became of it, and keeps its own count: it shares
 * neither state nor code with window.c, so that a mistake there shows here as a peak above the
 * limit.
 *
 * Like the limit, it counts a call by its estimate until it is settled and by the actual from then
 * on. A later settlement never lowers a peak, because the span was that full at the time.
 */
#ifndef UPSTREAM_PEAK_H
#define UPSTREAM_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peak_call {
    int64_t at_us;
    int64_t tokens;
};

struct peak {
    int64_t span_us;
    struct peak_call *calls; /* in order of admission; calls[first..last) are inside the span */
    size_t first, last, room;
    uint64_t shifted; /* how many calls were ever removed from the front of the array */
    int64_t tokens;   /* sum of calls[first..last) */
    int64_t max_requests;
    int64_t max_tokens;
    bool incomplete; /* memory ran out for a call: the peaks are lower bounds */
};

void peak_init(struct peak *p, int64_t span_us);
void peak_close(struct peak *p);
void peak_clear(struct peak *p);

/* Records an admitted call. Returns a number for peak_settle(); 0 without memory. */
uint64_t peak_admit(struct peak *p, int64_t at_us, int64_t tokens);

/* The call ended, having used this many tokens. Ignores calls that are unknown or have left the
 * span. */
void peak_settle(struct peak *p, uint64_t number, int64_t tokens);

#endif
