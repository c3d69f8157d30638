/*
 * How long a provider says to wait, in any of the forms that providers write it.
 */
#ifndef RATION_WAIT_H
#define RATION_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#define WAIT_MAX_MS 86400000 /* a day; what is longer is cut to it */

/*
 * Reads whole and fractional seconds ("20", "1.5"), Go and protobuf durations ("17ms", "1s", "6m0s", "2m59.56s"), HTTP
 * dates, and RFC 3339 times; dates count from `now_ms`, the wall clock in milliseconds since 1970. A wait is rounded up to
 * whole milliseconds; a date that has passed is 0. False: none of these, and *ms is unchanged.
 */
bool wait_parse(const char *text, int64_t now_ms, int64_t *ms);

/* A plain number of milliseconds, as in retry-after-ms; a fraction is rounded up. */
bool wait_parse_ms(const char *text, int64_t *ms);

/* The wall clock, for the above only. */
int64_t wait_wall_clock_ms(void);

#endif
