/* This process's own clock: milliseconds that only ever go forward. For ages and deadlines, never
 * for decisions: those follow the store's clock alone. */
#ifndef RATIOND_CLOCK_H
#define RATIOND_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
