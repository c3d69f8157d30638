/*
 * The period of a limit whose headers do not state it.
 *
 * A bucket that refills continuously is full again after used / limit of its period, so limit,
 * remaining and reset together determine the period. The remainder is a whole number and the reset
 * is rounded, so they only give bounds; if exactly one of the usual periods is between the bounds,
 * or very near, it is that one. The reset of a window that begins at fixed times means something
 * else, and hardly ever fits a usual period; profile_limits.c handles those.
 *
 * If nothing was used, or the reset is 0, nothing can be determined, and there is little to learn.
 */
#include "profile/profile_inner.h"

#define MARGIN 0.15 /* clocks and headers are inexact; the next period is six times as long */

static const int64_t periods_ms[] = {1000, 10000, 60000, 3600000, 86400000};

int64_t profile_period(int64_t limit, int64_t remaining, int64_t reset_ms, int64_t within_ms,
                       int64_t only_ms)
{
    double used = (double)limit - (double)remaining;
    if (used < 1 || reset_ms <= 0)
        return 0;
    /* The usage is up to one less than what is missing; but this call itself is at least one. */
    double least = (double)(reset_ms - within_ms) * (double)limit / used * (1 - MARGIN);
    double known = used > 2 ? used - 1 : 1;
    double most = (double)(reset_ms + within_ms) * (double)limit / known * (1 + MARGIN);
    int64_t found = 0;
    size_t n = 0;
    for (size_t i = 0; i < sizeof(periods_ms) / sizeof(periods_ms[0]); i++) {
        int64_t ms = only_ms > 0 ? only_ms : periods_ms[i];
        if ((double)ms >= least && (double)ms <= most) {
            found = ms;
            n++;
        }
        if (only_ms > 0)
            break;
    }
    return n == 1 ? found : 0;
}

bool profile_read_bare(const struct profile_reported *reported, int64_t only_ms, int64_t *reset_ms,
                       int64_t *period_ms)
{
    int64_t n = reported->reset_ms - 1;
    int64_t limit = reported->limit - 1;
    int64_t remaining = reported->remaining - 1;
    int64_t as_seconds = 0;
    int64_t as_ms = 0;
    if (n == 0) {
        *reset_ms = 0;
        return true;
    }
    if (limit > 0) {
        as_seconds = profile_period(limit, remaining, n * 1000, 1000, only_ms);
        as_ms = profile_period(limit, remaining, n, 1, only_ms);
    }
    if (!as_seconds == !as_ms) {
        /* A reset is not further away than the period, if that was reported. */
        int64_t longest = reported->period_ms > 0 ? reported->period_ms - 1 : 0;
        as_seconds = n * 1000 <= longest ? longest : 0;
        as_ms = !as_seconds && n <= longest ? longest : 0;
    }
    if (!as_seconds && !as_ms)
        return false;
    *reset_ms = as_seconds ? n * 1000 : n;
    *period_ms = as_seconds ? as_seconds : as_ms;
    return true;
}
