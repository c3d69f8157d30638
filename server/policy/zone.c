/*
 * Time zones as a list of UTC offsets.
 *
 * The C library knows time zones only as a setting of the whole process. So a zone is read once, in
 * the main thread: set TZ, ask for the offset of every day from 1970 to 2199, bisect each change to
 * the second, and restore TZ. The result is a list of spans, each with one offset:
 *
 *     ------ -28800 ------ | ------- -25200 ------- | ------ -28800 ------ | ...
 *                     since[1]                 since[2]
 *
 * and the rest is arithmetic, which any thread may do.
 *
 * A day begins at the first instant at which the local date is that day or a later one. This covers
 * days whose midnight is skipped (Santiago), days that do not exist (Apia, 2011-12-30: it begins
 * and ends at once, and is passed over), and days whose midnight occurs twice (St. John's before
 * 2011: the second one is ignored, a day never comes back).
 *
 * Failure: the C library silently takes an unknown name for UTC, so a zone without a file is
 * refused here. UTC itself needs no file.
 */
#include "policy/zone.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_S           ((int64_t)86400)
#define LAST_S          7289654400 /* 2201-01-01: a period that begins in 2199 ends before */
#define ZONE_NAME_BYTES 64
/* No offset has ever been more than 16 hours from UTC, so a whole day is enough. */
#define MAX_OFFSET_S DAY_S

struct span {
    int64_t since; /* seconds since 1970 UTC; INT64_MIN for the first */
    int32_t offset;
};

struct zone {
    char name[ZONE_NAME_BYTES];
    size_t n;
    struct span *spans; /* n of them, at least 1, ascending */
};

/* ---- Reading --------------------------------------------------------------------------------- */

static bool name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= ZONE_NAME_BYTES || name[0] == '/')
        return false;
    /* Dots are not in the set, so neither is "..". */
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+/-") == n;
}

/* The folder also holds tables and lists; only compiled zones begin with these bytes. */
static bool has_file(const char *name)
{
    const char *folder = getenv("TZDIR");
    if (folder == NULL || folder[0] == '\0')
        folder = "/usr/share/zoneinfo";
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat status;
    char magic[4];
    bool ok = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
              read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
              memcmp(magic, "TZif", sizeof magic) == 0;
    close(fd);
    return ok;
}

static int32_t offset_at(int64_t second)
{
    time_t t = (time_t)second;
    struct tm local;
    return localtime_r(&t, &local) != NULL ? (int32_t)local.tm_gmtoff : 0;
}

static bool add_span(struct zone *zone, int64_t since, int32_t offset)
{
    if ((zone->n & (zone->n - 1)) == 0) { /* full at every power of two */
        size_t cap = zone->n == 0 ? 1 : zone->n * 2;
        struct span *grown = realloc(zone->spans, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        zone->spans = grown;
    }
    zone->spans[zone->n++] = (struct span){.since = since, .offset = offset};
    return true;
}

/* The first second of (before, after] whose offset is not that of `before`. */
static int64_t find_change(int64_t before, int64_t after, int32_t offset)
{
    while (after - before > 1) {
        int64_t middle = before + (after - before) / 2;
        if (offset_at(middle) == offset)
            before = middle;
        else
            after = middle;
    }
    return after;
}

/* Reads the spans of the zone in TZ. */
static bool read_spans(struct zone *zone)
{
    int64_t last = -2 * DAY_S;
    int32_t offset = offset_at(last);
    if (!add_span(zone, INT64_MIN, offset))
        return false;
    while (last < LAST_S) {
        int64_t next = last + DAY_S;
        if (offset_at(next) == offset) {
            last = next;
            continue;
        }
        /* Continue from the change itself, so as not to miss a second one on the same day. */
        last = find_change(last, next, offset);
        offset = offset_at(last);
        if (!add_span(zone, last, offset))
            return false;
    }
    return true;
}

static bool read_zone(struct zone *zone)
{
    const char *current = getenv("TZ");
    char *saved = current != NULL ? strdup(current) : NULL;
    if (current != NULL && saved == NULL)
        return false;
    char value[ZONE_NAME_BYTES + 1];
    snprintf(value, sizeof value, ":%s", zone->name);
    bool ok = setenv("TZ", value, 1) == 0;
    if (ok) {
        tzset();
        ok = read_spans(zone);
    }
    if (saved != NULL)
        setenv("TZ", saved, 1);
    else
        unsetenv("TZ");
    tzset();
    free(saved);
    return ok;
}

struct zone *zone_new(const char *name)
{
    bool utc = strcmp(name, "UTC") == 0;
    if (!utc && (!name_ok(name) || !has_file(name)))
        return NULL;
    struct zone *zone = calloc(1, sizeof *zone);
    if (zone == NULL)
        return NULL;
    snprintf(zone->name, sizeof zone->name, "%s", name);
    if (utc ? add_span(zone, INT64_MIN, 0) : read_zone(zone))
        return zone;
    zone_free(zone);
    return NULL;
}

void zone_free(struct zone *zone)
{
    if (zone == NULL)
        return;
    free(zone->spans);
    free(zone);
}

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The span that contains an instant. */
static size_t span_at(const struct zone *zone, int64_t second)
{
    size_t low = 0;
    size_t high = zone->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->spans[middle].since <= second)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The first second at which the local date is `day` (days since 1970) or later. */
static int64_t day_begin(const struct zone *zone, int64_t day)
{
    int64_t midnight = day * DAY_S;
    size_t i = span_at(zone, midnight - MAX_OFFSET_S);
    for (;; i++) {
        int64_t begin = midnight - zone->spans[i].offset;
        if (begin < zone->spans[i].since)
            begin = zone->spans[i].since;
        if (i + 1 == zone->n || begin < zone->spans[i + 1].since)
            return begin;
    }
}

/* The day that contains an instant, as day_begin() counts them: the local date, or the latest one
 * already reached. */
static int64_t day_of(const struct zone *zone, int64_t second)
{
    int32_t offset = zone->spans[span_at(zone, second)].offset;
    int64_t day = floor_div(second + offset, DAY_S);
    while (day_begin(zone, day + 1) <= second)
        day++;
    return day;
}

/* The first day of the month `months` after the one that contains `day`. */
static int64_t month_day(int64_t day, int months)
{
    time_t t = (time_t)(day * DAY_S);
    struct tm date = {0};
    gmtime_r(&t, &date);
    struct tm first = {.tm_year = date.tm_year, .tm_mon = date.tm_mon + months, .tm_mday = 1};
    return floor_div((int64_t)timegm(&first), DAY_S);
}

void zone_bounds(const struct zone *zone, enum calendar_period period, int64_t now_ms,
                 int64_t out[3])
{
    int64_t today = day_of(zone, floor_div(now_ms, 1000));
    int found = 0;
    for (int step = 0; found < 3; step++) {
        int64_t day = period == CALENDAR_MONTH ? month_day(today, step) : today + step;
        int64_t begin_ms = day_begin(zone, day) * 1000;
        /* Equal: a day that the zone skipped. */
        if (found == 0 || begin_ms > out[found - 1])
            out[found++] = begin_ms;
    }
}
