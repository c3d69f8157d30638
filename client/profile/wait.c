/*
 * Each form has its own reader, which takes the whole text or nothing; wait_parse() tries them in
 * turn. Numbers are read as decimal digits, not by strtod(), which would depend on the locale and
 * accept "nan", "inf" and hexadecimal.
 */
#include "profile/wait.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/*
 * Reads digits[.digits], a number of units of `unit_us` microseconds each. Gives the microseconds,
 * rounded up, in *us, and returns what follows the number, or NULL if there is no number. Large
 * numbers stay at MOST_US, far above what is believed.
 */
#define MOST_US (INT64_MAX / 64)

static const char *read_number(const char *s, int64_t unit_us, int64_t *us)
{
    int64_t whole = 0;
    const char *start = s;
    for (; isdigit((unsigned char)*s); s++)
        whole = whole > MOST_US / 10 ? MOST_US : whole * 10 + (*s - '0');
    if (s == start)
        return NULL;
    if (whole > MOST_US / unit_us)
        whole = MOST_US / unit_us;
    int64_t total = whole * unit_us;
    if (*s == '.') {
        const char *fraction = ++s;
        int64_t numerator = 0;
        int64_t denominator = 1;
        for (; isdigit((unsigned char)*s); s++) {
            if (denominator < 1000000000) { /* nothing beyond nanoseconds matters */
                numerator = numerator * 10 + (*s - '0');
                denominator *= 10;
            }
        }
        if (s == fraction)
            return NULL;
        total += (numerator * (unit_us / 1000 ? unit_us / 1000 : 1) * 1000 + denominator - 1) /
                 denominator;
    }
    *us = total;
    return s;
}

/* False: too long to be believed. */
static bool set_ms(int64_t us, int64_t most_ms, int64_t *ms)
{
    int64_t value = us <= 0 ? 0 : (us + 999) / 1000;
    if (value > most_ms)
        return false;
    *ms = value;
    return true;
}

/*
 * A number with as many digits as a present moment in seconds or milliseconds since 1970. As a wait
 * it would be years, so nothing is lost.
 */
static bool parse_moment(const char *s, int64_t now_ms, int64_t most_ms, int64_t *ms)
{
    int64_t us = 0;
    size_t digits = strspn(s, "0123456789");
    if (digits != 10 && digits != 13)
        return false;
    s = read_number(s, digits == 10 ? 1000000 : 1000, &us);
    return s && *skip_blanks(s) == '\0' && set_ms(us - now_ms * 1000, most_ms, ms);
}

static bool parse_plain(const char *s, int64_t unit_us, int64_t most_ms, int64_t *ms)
{
    int64_t us = 0;
    s = read_number(s, unit_us, &us);
    return s && *skip_blanks(s) == '\0' && set_ms(us, most_ms, ms);
}

static const char *read_unit(const char *s, int64_t *unit_us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"ms", 1000},      {"us", 1},       {"\xc2\xb5s", 1},
                 {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(s, units[i].name, len) == 0) {
            *unit_us = units[i].us;
            return s + len;
        }
    }
    return NULL;
}

/* "6m0s": numbers with units, one after another. */
static bool parse_duration(const char *s, int64_t most_ms, int64_t *ms)
{
    int64_t total = 0;
    const char *start = s;
    while (*s && s - start < 64) {
        size_t len = strspn(s, "0123456789.");
        int64_t unit_us = 0;
        int64_t us = 0;
        const char *end = read_unit(s + len, &unit_us);
        if (!end || read_number(s, unit_us, &us) != s + len)
            return false;
        total += us;
        s = skip_blanks(end);
    }
    return s != start && !*s && set_ms(total, most_ms, ms);
}

/* "2025-06-01T12:00:00.25Z", or with an offset in place of the Z. */
static bool parse_rfc3339(const char *s, int64_t now_ms, int64_t most_ms, int64_t *ms)
{
    struct tm tm = {.tm_isdst = 0};
    int used = 0;
    if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used == 0)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 ||
        tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
        return false;
    s += used;
    int64_t fraction_us = 0;
    if (*s == '.') {
        char number[16] = "0";
        size_t len = strspn(s + 1, "0123456789");
        if (len == 0)
            return false;
        snprintf(number + 1, sizeof(number) - 1, ".%.9s", s + 1);
        number[2 + (len < 9 ? len : 9)] = '\0';
        read_number(number, 1000000, &fraction_us);
        s += 1 + len;
    }
    int offset_min = 0;
    if (*s == '+' || *s == '-') {
        int hours = 0;
        int minutes = 0;
        int n = 0;
        if (sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || n != 5 || hours < 0 ||
            minutes < 0)
            return false;
        offset_min = (*s == '-' ? -1 : 1) * (hours * 60 + minutes);
        s += 1 + n;
    } else if (*s == 'Z' || *s == 'z') {
        s++;
    } else {
        return false;
    }
    if (*skip_blanks(s))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t at_us = ((int64_t)timegm(&tm) - (int64_t)offset_min * 60) * 1000000 + fraction_us;
    return set_ms(at_us - now_ms * 1000, most_ms, ms);
}

#define LAST_SECOND INT64_C(253402300799) /* of the year 9999; libcurl reads years of any length */

/* libcurl reads the three forms of an HTTP date without asking the locale. It would take many other
 * texts for a date too, so the name of a day must come first. */
static bool parse_http_date(const char *s, int64_t now_ms, int64_t most_ms, int64_t *ms)
{
    static const char days[][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        if (strncmp(s, days[i], 3) != 0)
            continue;
        time_t at = curl_getdate(s, NULL);
        if (at == (time_t)-1 || at > LAST_SECOND)
            return false;
        return set_ms(((int64_t)at * 1000 - now_ms) * 1000, most_ms, ms);
    }
    return false;
}

static bool parse_any(const char *text, int64_t now_ms, int64_t most_ms, int64_t *ms)
{
    const char *s = skip_blanks(text);
    return parse_moment(s, now_ms, most_ms, ms) || parse_plain(s, 1000000, most_ms, ms) ||
           parse_duration(s, most_ms, ms) || parse_rfc3339(s, now_ms, most_ms, ms) ||
           parse_http_date(s, now_ms, most_ms, ms);
}

bool wait_parse(const char *text, int64_t now_ms, int64_t *ms)
{
    return parse_any(text, now_ms, WAIT_MAX_MS, ms);
}

bool wait_parse_ms(const char *text, int64_t now_ms, int64_t *ms)
{
    const char *s = skip_blanks(text);
    return parse_moment(s, now_ms, WAIT_MAX_MS, ms) || parse_plain(s, 1000, WAIT_MAX_MS, ms);
}

bool wait_parse_reset(const char *text, int64_t now_ms, int64_t *ms, int64_t *within_ms)
{
    if (!parse_any(text, now_ms, RESET_MAX_MS, ms))
        return false;
    /* "12", 1748779200 and a date are precise to a second; a Go duration and numbers with a
     * fraction are to a millisecond. */
    bool precise = strpbrk(text, "smh.") && !strchr(text, 'T') && !strchr(text, ',');
    *within_ms = precise || strspn(skip_blanks(text), "0123456789") == 13 ? 1 : 1000;
    return true;
}

bool wait_is_bare(const char *text)
{
    const char *s = skip_blanks(text);
    size_t digits = strspn(s, "0123456789");
    return digits > 0 && digits < 10 && *skip_blanks(s + digits) == '\0';
}
