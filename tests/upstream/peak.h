/*
 * The most that was really admitted in any span, over the whole run: the strict provider's check
 * upon itself.
 *
 * It is told only what was admitted and what became of it, and keeps its own books: it shares no
 * state and no code with window.c, so that a mistake there shows here as a peak above the limit.
 *
 * As counted: a call counts its estimate until it is settled, and the actual from then on, as the
 * limit does. A peak is never lowered by a later settlement, because the span was that full when it
 * was looked at.
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
    uint64_t shifted; /* how many calls were ever moved off the front of the array */
    int64_t tokens;   /* sum of calls[first..last) */
    int64_t max_requests;
    int64_t max_tokens;
    bool incomplete; /* a call could not be kept for want of memory: the peaks are lower bounds */
};

void peak_init(struct peak *p, int64_t span_us);
void peak_close(struct peak *p);
void peak_clear(struct peak *p);

/* Records an admitted call. The number is for peak_settle(); 0 when there was no memory. */
uint64_t peak_admit(struct peak *p, int64_t at_us, int64_t tokens);

/* The call ended having used so much. Numbers that are unknown or have left the span are passed
 * over. */
void peak_settle(struct peak *p, uint64_t number, int64_t tokens);

#endif
