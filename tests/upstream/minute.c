/*
 * The window of a moment is its time since 1970 divided by the span; when the window changes, what
 * was used is forgotten.
 */
#include "minute.h"

#include <assert.h>
#include <string.h>

void minute_init(struct minute *m, int64_t limit, int64_t span_us, int64_t epoch_offset_us)
{
    assert(limit >= 1 && span_us >= 1);
    memset(m, 0, sizeof(*m));
    m->limit = limit;
    m->span_us = span_us;
    m->epoch_offset_us = epoch_offset_us;
}

void minute_clear(struct minute *m)
{
    m->used = 0;
}

static void turn(struct minute *m, int64_t now_us)
{
    int64_t window = (now_us + m->epoch_offset_us) / m->span_us;
    if (window > m->window) {
        m->window = window;
        m->used = 0;
    }
}

int64_t minute_left(struct minute *m, int64_t now_us)
{
    turn(m, now_us);
    return m->used < m->limit ? m->limit - m->used : 0;
}

int64_t minute_take(struct minute *m, int64_t now_us, int64_t n)
{
    assert(n >= 0);
    turn(m, now_us);
    m->used += n;
    return m->window;
}

int64_t minute_put(struct minute *m, int64_t now_us, int64_t window, int64_t n)
{
    assert(n >= 0);
    turn(m, now_us);
    if (window != m->window) {
        return 0;
    }
    int64_t back = n < m->used ? n : m->used;
    m->used -= back;
    return back;
}

int64_t minute_ends_us(struct minute *m, int64_t now_us)
{
    turn(m, now_us);
    int64_t left_us = (m->window + 1) * m->span_us - (now_us + m->epoch_offset_us);
    /* A clock that stepped back counts as standing still. */
    return left_us < m->span_us ? left_us : m->span_us;
}

int64_t minute_wait_us(struct minute *m, int64_t now_us, int64_t n)
{
    if (n > m->limit) {
        return -1;
    }
    return n <= minute_left(m, now_us) ? 0 : minute_ends_us(m, now_us);
}
