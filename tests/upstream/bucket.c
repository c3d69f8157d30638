/*
 * The bucket is filled lazily, when somebody looks: level += capacity for each microsecond that has
 * passed, up to the brim. The longest possible time, 2^64, times the largest limit, below 2^40,
 * fits easily in 128 bits.
 */
#include "bucket.h"

#include <assert.h>
#include <string.h>

static bucket_level brim(const struct bucket *b)
{
    return (bucket_level)b->capacity * b->span_us;
}

void bucket_init(struct bucket *b, int64_t capacity, int64_t span_us)
{
    assert(capacity >= 1 && span_us >= 1);
    memset(b, 0, sizeof(*b));
    b->capacity = capacity;
    b->span_us = span_us;
    b->now_us = INT64_MIN;
    b->level = brim(b);
}

void bucket_clear(struct bucket *b)
{
    b->level = brim(b);
}

static void add(struct bucket *b, bucket_level units)
{
    bucket_level room = brim(b) - b->level;
    b->level += units < room ? units : room;
}

static void fill(struct bucket *b, int64_t now_us)
{
    if (now_us <= b->now_us) {
        return;
    }
    add(b, ((bucket_level)now_us - b->now_us) * b->capacity);
    b->now_us = now_us;
}

int64_t bucket_left(struct bucket *b, int64_t now_us)
{
    fill(b, now_us);
    return (int64_t)(b->level / b->span_us);
}

void bucket_take(struct bucket *b, int64_t now_us, int64_t n)
{
    assert(n >= 0);
    fill(b, now_us);
    bucket_level units = (bucket_level)n * b->span_us;
    b->level -= units < b->level ? units : b->level;
}

void bucket_put(struct bucket *b, int64_t now_us, int64_t n)
{
    assert(n >= 0);
    fill(b, now_us);
    add(b, (bucket_level)n * b->span_us);
}

int64_t bucket_wait_us(struct bucket *b, int64_t now_us, int64_t n)
{
    fill(b, now_us);
    if (n > b->capacity) {
        return -1;
    }
    bucket_level missing = (bucket_level)n * b->span_us - b->level;
    if (missing <= 0) {
        return 0;
    }
    return (int64_t)((missing + b->capacity - 1) / b->capacity);
}
