/* zone.c: days and months of well-known zones, and every zone against a slow model. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "policy/zone.h"

/* "2026-03-08 10:00:00" in UTC, as milliseconds. */
static int64_t utc(const char *text)
{
    struct tm tm = {0};
    assert_int_equal(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                            &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
                     6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000;
}

static struct zone *zone(const char *name)
{
    struct zone *made = zone_new(name);
    if (made == NULL)
        fail_msg("no zone %s: is tzdata installed?", name);
    assert_string_equal(zone_name(made), name);
    return made;
}

static void expect(const char *name, enum calendar_period period, const char *now,
                   const char *begin, const char *next, const char *after)
{
    struct zone *z = zone(name);
    int64_t out[3];
    zone_bounds(z, period, utc(now), out);
    assert_int_equal(out[0], utc(begin));
    assert_int_equal(out[1], utc(next));
    assert_int_equal(out[2], utc(after));
    zone_free(z);
}

static void utc_days_and_months(void **state)
{
    (void)state;
    expect("UTC", CALENDAR_DAY, "1970-01-01 00:00:00", "1970-01-01 00:00:00", "1970-01-02 00:00:00",
           "1970-01-03 00:00:00");
    expect("UTC", CALENDAR_DAY, "2026-11-22 23:59:59", "2026-11-22 00:00:00", "2026-11-23 00:00:00",
           "2026-11-24 00:00:00");
    expect("UTC", CALENDAR_DAY, "2024-02-28 12:00:00", "2024-02-28 00:00:00", "2024-02-29 00:00:00",
           "2024-03-01 00:00:00");
    expect("UTC", CALENDAR_DAY, "2100-02-28 12:00:00", "2100-02-28 00:00:00", "2100-03-01 00:00:00",
           "2100-03-02 00:00:00");
    expect("UTC", CALENDAR_MONTH, "2024-02-29 12:00:00", "2024-02-01 00:00:00",
           "2024-03-01 00:00:00", "2024-04-01 00:00:00");
    expect("UTC", CALENDAR_MONTH, "2025-12-31 23:59:59", "2025-12-01 00:00:00",
           "2026-01-01 00:00:00", "2026-02-01 00:00:00");
    expect("UTC", CALENDAR_MONTH, "2026-11-01 00:00:00", "2026-11-01 00:00:00",
           "2026-12-01 00:00:00", "2027-01-01 00:00:00");
    expect("UTC", CALENDAR_MONTH, "2199-12-31 23:59:59", "2199-12-01 00:00:00",
           "2200-01-01 00:00:00", "2200-02-01 00:00:00");
}

static void bounds_are_exact_to_the_millisecond(void **state)
{
    (void)state;
    struct zone *z = zone("America/Los_Angeles");
    int64_t midnight = utc("2026-11-22 08:00:00");
    int64_t out[3];
    zone_bounds(z, CALENDAR_DAY, midnight - 1, out);
    assert_int_equal(out[1], midnight);
    zone_bounds(z, CALENDAR_DAY, midnight, out);
    assert_int_equal(out[0], midnight);
    zone_bounds(z, CALENDAR_DAY, midnight + 1, out);
    assert_int_equal(out[0], midnight);
    zone_free(z);
}

static void los_angeles_has_days_of_23_and_25_hours(void **state)
{
    (void)state;
    expect("America/Los_Angeles", CALENDAR_DAY, "2026-03-08 09:59:59", "2026-03-08 08:00:00",
           "2026-03-09 07:00:00", "2026-03-10 07:00:00");
    expect("America/Los_Angeles", CALENDAR_DAY, "2026-03-08 10:00:00", "2026-03-08 08:00:00",
           "2026-03-09 07:00:00", "2026-03-10 07:00:00");
    expect("America/Los_Angeles", CALENDAR_DAY, "2026-11-01 08:30:00", "2026-11-01 07:00:00",
           "2026-11-02 08:00:00", "2026-11-03 08:00:00");
    expect("America/Los_Angeles", CALENDAR_MONTH, "2026-11-01 06:59:59", "2026-10-01 07:00:00",
           "2026-11-01 07:00:00", "2026-12-01 08:00:00");
    /* By rule, long after the end of the zone's own table. */
    expect("America/Los_Angeles", CALENDAR_DAY, "2198-07-04 12:00:00", "2198-07-04 07:00:00",
           "2198-07-05 07:00:00", "2198-07-06 07:00:00");
}

static void santiago_skips_midnight(void **state)
{
    (void)state;
    /* 2023-09-03 begins at 01:00 local, 04:00 UTC. */
    expect("America/Santiago", CALENDAR_DAY, "2023-09-02 12:00:00", "2023-09-02 04:00:00",
           "2023-09-03 04:00:00", "2023-09-04 03:00:00");
    /* 2023-04-02 00:00 went back to 23:00 of April 1st, which thus had 25 hours. */
    expect("America/Santiago", CALENDAR_DAY, "2023-04-02 03:30:00", "2023-04-01 03:00:00",
           "2023-04-02 04:00:00", "2023-04-03 04:00:00");
}

static void apia_leaves_a_day_out(void **state)
{
    (void)state;
    expect("Pacific/Apia", CALENDAR_DAY, "2011-12-30 09:59:59", "2011-12-29 10:00:00",
           "2011-12-30 10:00:00", "2011-12-31 10:00:00");
    expect("Pacific/Apia", CALENDAR_DAY, "2011-12-30 10:00:00", "2011-12-30 10:00:00",
           "2011-12-31 10:00:00", "2012-01-01 10:00:00");
    expect("Pacific/Apia", CALENDAR_DAY, "2011-12-29 09:00:00", "2011-12-28 10:00:00",
           "2011-12-29 10:00:00", "2011-12-30 10:00:00");
}

static void st_johns_went_back_over_midnight(void **state)
{
    (void)state;
    /* 2006-10-29 00:01 local became 23:01 of the 28th: the 29th had begun and does not begin
     * twice. */
    expect("America/St_Johns", CALENDAR_DAY, "2006-10-29 02:45:00", "2006-10-29 02:30:00",
           "2006-10-30 03:30:00", "2006-10-31 03:30:00");
    expect("America/St_Johns", CALENDAR_DAY, "2006-10-29 02:29:59", "2006-10-28 02:30:00",
           "2006-10-29 02:30:00", "2006-10-30 03:30:00");
}

static void odd_offsets(void **state)
{
    (void)state;
    expect("Asia/Kolkata", CALENDAR_DAY, "2026-11-22 18:29:59", "2026-11-21 18:30:00",
           "2026-11-22 18:30:00", "2026-11-23 18:30:00");
    expect("Asia/Kolkata", CALENDAR_MONTH, "2026-11-30 18:30:00", "2026-11-30 18:30:00",
           "2026-12-31 18:30:00", "2027-01-31 18:30:00");
    /* Lord Howe moves by half an hour: +10:30 and +11. */
    expect("Australia/Lord_Howe", CALENDAR_DAY, "2026-04-04 20:00:00", "2026-04-04 13:00:00",
           "2026-04-05 13:30:00", "2026-04-06 13:30:00");
    expect("Pacific/Kiritimati", CALENDAR_DAY, "2026-11-22 10:00:00", "2026-11-22 10:00:00",
           "2026-11-23 10:00:00", "2026-11-24 10:00:00");
}

static void what_is_no_zone_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "Mars/Olympus",
        "America",
        "../zoneinfo/UTC",
        "/etc/localtime",
        "leapseconds",
        "EST5EDT4,M3",
        "America/Los Angeles",
        "UTC\n",
        "a/very/long/name/that/no/zone/has/and/that/would/not/fit/into/the/buffer/at/all",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_null(zone_new(names[i]));
    zone_free(NULL);
}

static void tz_is_put_back(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    zone_free(zone("America/New_York"));
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
    time_t now = 0;
    struct tm local;
    localtime_r(&now, &local);
    assert_int_equal(local.tm_gmtoff, 9 * 3600);
    unsetenv("TZ");
    tzset();
    zone_free(zone("America/New_York"));
    assert_null(getenv("TZ"));
}

/* The number of the day or the month of a local date. */
static int64_t period_number(const struct tm *local, enum calendar_period period)
{
    if (period == CALENDAR_MONTH)
        return (int64_t)local->tm_year * 12 + local->tm_mon;
    struct tm date = {
        .tm_year = local->tm_year, .tm_mon = local->tm_mon, .tm_mday = local->tm_mday};
    return (int64_t)timegm(&date) / 86400;
}

/*
 * A model that knows nothing of spans: it steps through the C library's local time in quarters of
 * an hour and sees when the date advances. Offsets change on quarters in these zones and years
 * except in St. John's (00:01), which is left out.
 */
static void agrees_with_walking(void **state)
{
    (void)state;
    static const char *const names[] = {
        "America/Los_Angeles", "America/Santiago",  "Pacific/Apia",  "Asia/Kolkata",
        "Australia/Lord_Howe", "America/Havana",    "Asia/Beirut",   "America/Asuncion",
        "Africa/Casablanca",   "America/Sao_Paulo", "Europe/Lisbon", "Pacific/Kwajalein",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zone *z = zone(names[i]);
        char value[64];
        snprintf(value, sizeof value, ":%s", names[i]);
        for (int period = CALENDAR_DAY; period <= CALENDAR_MONTH; period++) {
            setenv("TZ", value, 1);
            tzset();
            int64_t from = utc("2009-12-01 00:00:00") / 1000;
            int64_t to = utc("2013-02-01 00:00:00") / 1000;
            int64_t reached = INT64_MIN;
            int64_t begin = 0;
            int64_t expected_next = 0;
            for (int64_t t = from; t < to; t += 900) {
                time_t instant = (time_t)t;
                struct tm local;
                localtime_r(&instant, &local);
                int64_t number = period_number(&local, (enum calendar_period)period);
                int64_t out[3];
                zone_bounds(z, (enum calendar_period)period, t * 1000 + 999, out);
                if (number > reached) {
                    assert_true(expected_next == 0 || expected_next == t * 1000);
                    reached = number;
                    begin = t == from ? out[0] : t * 1000;
                }
                assert_int_equal(out[0], begin);
                assert_true(out[1] > t * 1000 + 999);
                assert_true(out[2] > out[1]);
                expected_next = out[1];
            }
        }
        unsetenv("TZ");
        tzset();
        zone_free(z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc_days_and_months),
        cmocka_unit_test(bounds_are_exact_to_the_millisecond),
        cmocka_unit_test(los_angeles_has_days_of_23_and_25_hours),
        cmocka_unit_test(santiago_skips_midnight),
        cmocka_unit_test(apia_leaves_a_day_out),
        cmocka_unit_test(st_johns_went_back_over_midnight),
        cmocka_unit_test(odd_offsets),
        cmocka_unit_test(what_is_no_zone_is_refused),
        cmocka_unit_test(tz_is_put_back),
        cmocka_unit_test(agrees_with_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
