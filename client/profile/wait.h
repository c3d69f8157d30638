/*
 * How long a provider says to wait, in any of the forms that providers write it.
 */
#ifndef RATION_WAIT_H
#define RATION_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Longer ones are not believed: they would shut a pool for everybody. */
#define WAIT_MAX_MS  INT64_C(86400000)        /* a day */
#define RESET_MAX_MS (32 * INT64_C(86400000)) /* the longest month, and a day for wrong clocks */

/*
 * Reads whole and fractional seconds ("20", "1.5"), Go and protobuf durations ("17ms", "1s",
 * "6m0s", "2m59.56s"), HTTP dates, RFC 3339 times, and moments since 1970 (10 digits of seconds,
 * with or without a fraction, or 13 of milliseconds); all of these moments count from `now_ms`, the
 * wall clock in milliseconds since 1970. A wait is rounded up to whole milliseconds; a moment that
 * has passed is 0. False: none of these, or longer than WAIT_MAX_MS; *ms is unchanged.
 */
bool wait_parse(const char *text, int64_t now_ms, int64_t *ms);

/* A plain number of milliseconds, as in retry-after-ms, or a moment since 1970; a fraction is
 * rounded up. As above. */
bool wait_parse_ms(const char *text, int64_t now_ms, int64_t *ms);

/*
 * When a limit is reset: as wait_parse(), up to RESET_MAX_MS. *within_ms is how much less it may
 * be, as it was rounded: a whole number of seconds says less than a duration in milliseconds does.
 */
bool wait_parse_reset(const char *text, int64_t now_ms, int64_t *ms, int64_t *within_ms);

/* A number with neither unit nor fraction, and too short for a moment: it may be seconds or
 * milliseconds. */
bool wait_is_bare(const char *text);

#endif
