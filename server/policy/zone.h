/*
 * Time zones for calendar limits: when does the day or month that contains an instant begin and
 * end?
 *
 * The instant always comes from the store's clock; nothing here reads a clock. A zone is read from
 * the system's time zone data when the configuration is loaded and is immutable afterwards, so any
 * thread may ask without a lock.
 */
#ifndef RATIOND_ZONE_H
#define RATIOND_ZONE_H

#include <stdint.h>

#include "policy/limit.h"

struct zone;

/* Gives a zone by its IANA name ("UTC", "America/Los_Angeles"), or NULL: no such zone on this
 * system. Main thread only. */
struct zone *zone_new(const char *name);
void zone_free(struct zone *zone);
const char *zone_name(const struct zone *zone);

/*
 * Writes the beginnings of the period that contains now_ms and of the two after it, in milliseconds
 * since 1970 UTC. out[0] <= now_ms < out[1] < out[2]. A midnight that daylight saving skips is the
 * first instant of that day. Works for any instant from 1970 to 2199.
 */
void zone_bounds(const struct zone *zone, enum calendar_period period, int64_t now_ms,
                 int64_t out[3]);

#endif
