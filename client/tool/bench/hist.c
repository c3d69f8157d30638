/*
 * Bucket numbers: values below 256 have a bucket each. Above, the position of the highest bit is
 * the octave and the 7 bits below it the bucket in it, so a value's bits give the number without a
 * search.
 */
#include "tool/bench/hist.h"

#include <math.h>

#define LARGEST ((UINT64_C(1) << BENCH_HIST_MAX_BITS) - 1)

static size_t bucket_of(uint64_t value)
{
    if (value < 2 * BENCH_HIST_HALF)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - BENCH_HIST_HALF_BITS;
    return (size_t)shift * BENCH_HIST_HALF + (size_t)(value >> shift);
}

static uint64_t first_of(size_t bucket)
{
    if (bucket < 2 * BENCH_HIST_HALF)
        return bucket;
    unsigned shift = (unsigned)(bucket / BENCH_HIST_HALF) - 1;
    return (uint64_t)(BENCH_HIST_HALF + bucket % BENCH_HIST_HALF) << shift;
}

void bench_hist_add(struct bench_hist *hist, int64_t us)
{
    uint64_t value = us < 0 ? 0 : (uint64_t)us;
    value = value > LARGEST ? LARGEST : value;
    hist->at[bucket_of(value)]++;
    hist->min = hist->total == 0 || value < hist->min ? value : hist->min;
    hist->max = value > hist->max ? value : hist->max;
    hist->sum += (double)value;
    hist->total++;
}

uint64_t bench_hist_percentile(const struct bench_hist *hist, double percent)
{
    uint64_t rank = (uint64_t)ceil((double)hist->total * percent / 100.0);
    uint64_t seen = 0;
    rank = rank < 1 ? 1 : rank;
    for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
        seen += hist->at[i];
        if (seen >= rank) {
            uint64_t last = first_of(i + 1) - 1;
            return last < hist->max ? last : hist->max;
        }
    }
    return hist->max;
}

uint64_t bench_hist_between(const struct bench_hist *hist, uint64_t from, uint64_t to)
{
    uint64_t n = 0;
    for (size_t i = 0; i < BENCH_HIST_BUCKETS && first_of(i) < to; i++)
        n += first_of(i) >= from ? hist->at[i] : 0;
    return n;
}
