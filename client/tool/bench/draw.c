/*
 * Zipf by rejection-inversion (Hörmann and Derflinger, 1996), which needs no table: one for a
 * million tenants would push the server out of the caches that it shares with the generator.
 *
 * Below the curve x^-s between k - 1/2 and k + 1/2 lies an area of at least k^-s, since the curve
 * is convex. So a point is drawn evenly from the whole area, its x by inverting the integral, and k
 * by rounding x; it is taken if it is among the last k^-s of its strip, else drawn again. Fewer
 * than one in ten are.
 *
 * The integral is (x^(1-s) - 1) / (1 - s), which is log x if s is 1. Written with expm1() and
 * log1p() it is smooth there.
 */
#include "tool/bench/draw.h"

#include <math.h>

/* splitmix64: a counter, well mixed. */
static uint64_t next_bits(struct bench_draw *draw)
{
    uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Above 0, below or at 1. */
static double next_part(struct bench_draw *draw)
{
    return ((double)(next_bits(draw) >> 11) + 1.0) * 0x1p-53;
}

/* (e^t - 1) / t and log(1 + t) / t, which are 1 at 0. */
static double expm1_part(double t)
{
    return fabs(t) > 1e-8 ? expm1(t) / t : 1.0 + t / 2;
}

static double log1p_part(double t)
{
    return fabs(t) > 1e-8 ? log1p(t) / t : 1.0 - t / 2;
}

static double area(double exponent, double x)
{
    double log_x = log(x);
    return log_x * expm1_part((1.0 - exponent) * log_x);
}

static double area_inverse(double exponent, double a)
{
    double t = a * (1.0 - exponent);
    return exp(a * log1p_part(t < -1.0 ? -1.0 : t)); /* below -1 only by rounding */
}

static double weight(double exponent, double x)
{
    return exp(-exponent * log(x));
}

void bench_draw_init(struct bench_draw *draw, uint64_t seed, uint32_t n, double exponent)
{
    *draw = (struct bench_draw){.state = seed, .n = n, .exponent = exponent};
    if (exponent <= 0 || n < 2)
        return;
    draw->area_first = area(exponent, 1.5) - 1.0;
    draw->area_last = area(exponent, n + 0.5);
    /* Rank 2 takes the smallest share of its strip; what is sure there is sure for all. */
    draw->sure = 2.0 - area_inverse(exponent, area(exponent, 2.5) - weight(exponent, 2.0));
}

static uint32_t draw_zipf(struct bench_draw *draw)
{
    for (;;) {
        double span = draw->area_last - draw->area_first;
        double a = draw->area_last - next_part(draw) * span;
        double x = area_inverse(draw->exponent, a);
        double k = floor(x + 0.5);
        k = k < 1 ? 1 : k > draw->n ? draw->n : k;
        if (k - x <= draw->sure || a >= area(draw->exponent, k + 0.5) - weight(draw->exponent, k))
            return (uint32_t)k - 1;
    }
}

uint32_t bench_draw_tenant(struct bench_draw *draw)
{
    if (draw->n < 2)
        return 0;
    if (draw->exponent > 0)
        return draw_zipf(draw);
    return (uint32_t)(((next_bits(draw) >> 32) * draw->n) >> 32);
}

double bench_draw_gap(struct bench_draw *draw)
{
    return -log(next_part(draw));
}
