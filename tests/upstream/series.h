/*
 * What happened in each second, for plotting a run or judging only its steady part.
 *
 * Seconds are wall-clock seconds. Only the first SERIES_MOST are kept, so that a provider that is
 * left running does not grow; `cut` says that later ones are missing.
 */
#ifndef UPSTREAM_SERIES_H
#define UPSTREAM_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES_MOST 14400

struct json_object;

struct series_second {
    int64_t tokens; /* counted in it by the limit, less what settling gave back later */
    int64_t used;   /* really used by calls that ended in it */
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

/* The second of this moment, valid until the next call into this module. Never NULL: a second that
 * cannot be kept is a dummy. */
struct series_second *series_at(struct series *s, int64_t at_us);

/* The seconds in which something happened, in order, as an array that the caller owns. */
struct json_object *series_json(const struct series *s);

#endif
