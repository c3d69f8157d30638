/*
 * Chance for `ration bench`: which tenant asks, and when a Poisson process has its next arrival.
 * The same seed gives the same run.
 */
#ifndef RATION_TOOL_BENCH_DRAW_H
#define RATION_TOOL_BENCH_DRAW_H

#include <stdint.h>

struct bench_draw {
    uint64_t state;    /* of the generator */
    uint32_t n;        /* tenants */
    double exponent;   /* 0: all of them equally often */
    double area_first; /* Zipf: from where to where under the curve a point is drawn */
    double area_last;
    double sure; /* a draw that is so close above its rank needs no second look */
};

/* n >= 1; exponent >= 0: rank k is drawn in proportion to 1 / k^exponent. */
void bench_draw_init(struct bench_draw *draw, uint64_t seed, uint32_t n, double exponent);

/* 0 to n - 1; 0 is the one that is drawn most. Takes the same time for ten tenants and ten million. */
uint32_t bench_draw_tenant(struct bench_draw *draw);

/* Exponentially distributed with mean 1. */
double bench_draw_gap(struct bench_draw *draw);

#endif
