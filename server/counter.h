/*
 * Counters that one thread writes and any thread may read. With a single writer a plain load and
 * store suffice, so the path of a request has no locked instruction.
 */
#ifndef RATIOND_COUNTER_H
#define RATIOND_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

static inline void counter_add(counter *counted, uint64_t n)
{
    uint64_t before = atomic_load_explicit(counted, memory_order_relaxed);
    atomic_store_explicit(counted, before + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *counted)
{
    return atomic_load_explicit(counted, memory_order_relaxed);
}

#endif
