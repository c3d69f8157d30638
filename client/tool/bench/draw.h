/*
 * Random numbers for `ration bench`: which tenant asks, and when a Poisson process has its next
 * arrival. The same seed gives the same run.
 */
#ifndef RATION_TOOL_BENCH_DRAW_H
#define RATION_TOOL_BENCH_DRAW_H

#include <stdint.h>

struct bench_draw {
    uint64_t state;    /* of the generator */
    uint32_t n;        /* tenants */
    double exponent;   /* 0: all of them equally often */
    double area_first; /* Zipf: a point is drawn from area_first to area_last */
    double area_last;
    double sure; /* a draw this close above its rank is taken at once */
};

/* n >= 1; exponent >= 0: rank k is drawn in proportion to 1 / k^exponent. */
void bench_draw_init(struct bench_draw *draw, uint64_t seed, uint32_t n, double exponent);

/* 0 to n - 1; 0 is drawn most often. Takes the same time for ten tenants as for ten million. */
uint32_t bench_draw_tenant(struct bench_draw *draw);

/* Exponentially distributed with mean 1. */
double bench_draw_gap(struct bench_draw *draw);

#endif
