/*
 * A histogram of latencies in microseconds, of fixed size: every octave has 128 buckets of the same
 * width, so that values from one microsecond to twelve days are known to 0.8 %, and recording is an
 * addition.
 */
#ifndef RATION_TOOL_BENCH_HIST_H
#define RATION_TOOL_BENCH_HIST_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_HIST_HALF_BITS 7 /* an octave has 1 << 7 buckets */
#define BENCH_HIST_HALF      ((size_t)1 << BENCH_HIST_HALF_BITS)
#define BENCH_HIST_MAX_BITS  40 /* bits of a value; larger ones count as the largest */
#define BENCH_HIST_BUCKETS   ((BENCH_HIST_MAX_BITS - BENCH_HIST_HALF_BITS + 1) * BENCH_HIST_HALF)

struct bench_hist {
    uint64_t total;
    uint64_t max; /* exact, as is min; both 0 if nothing was recorded */
    uint64_t min;
    double sum;
    uint64_t at[BENCH_HIST_BUCKETS];
};

/* A negative value, which a clock never gives, counts as 0. */
void bench_hist_add(struct bench_hist *hist, int64_t us);

/* The value that `percent` of the recorded ones do not exceed, rounded up to the end of its bucket;
 * 0 when empty. */
uint64_t bench_hist_percentile(const struct bench_hist *hist, double percent);

/* How many are at least `from` and less than `to`, by the beginning of their bucket. */
uint64_t bench_hist_between(const struct bench_hist *hist, uint64_t from, uint64_t to);

#endif
