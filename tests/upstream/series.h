/*
 * What happened in each second, for whoever draws a run or judges only the steady part of it.
 *
 * Seconds are those of the calendar. Only SERIES_MOST seconds from the first one on are kept, so
 * that a provider that is left running does not grow; what comes later is not in it, and `cut` says
 * so.
 */
#ifndef UPSTREAM_SERIES_H
#define UPSTREAM_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES_MOST 14400

struct json_object;

struct series_second {
    int64_t tokens; /* that the limit counted in it, less what settling gave back for it later */
    int64_t used;   /* really used, by calls that ended in it */
    uint32_t requests, granted, status_429;
};

struct series {
    int64_t epoch_offset_us;
    int64_t first_s; /* of seconds[0] */
    struct series_second *seconds;
    size_t count, room;
    bool cut;
};

void series_init(struct series *s, int64_t epoch_offset_us);
void series_close(struct series *s);
void series_clear(struct series *s);

/* The second of this moment, until the next call of a function of this module. Never NULL: where it
 * cannot be kept it is one that nobody looks at. */
struct series_second *series_at(struct series *s, int64_t at_us);

/* An array of the seconds in which something happened, in order; the caller's. */
struct json_object *series_json(const struct series *s);

#endif
