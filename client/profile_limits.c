/*
 * What a provider lets know of its limits and waits: in headers, which come in any order, and in the body of an error.
 *
 * A wait that is told as such goes before everything. Where there is none, limits of which nothing is left say when they are
 * reset; the latest of these is the wait then. A value that cannot be read is as if it were not there: a wrong number here would
 * hold back every host, or none.
 */
#include "profile_inner.h"

#include "wait.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Keeping ---- */

static void tell_wait(struct profile_hints *hints, int64_t ms)
{
    if (!hints->waits_in_words || ms > hints->retry_after_ms)
        hints->retry_after_ms = ms;
    hints->waits = true;
    hints->waits_in_words = true;
}

static void tell_reset(struct profile_hints *hints, int64_t ms)
{
    if (hints->waits_in_words)
        return;
    if (!hints->waits || ms > hints->retry_after_ms)
        hints->retry_after_ms = ms;
    hints->waits = true;
}

/* The one of that unit and period, as far as there is room. */
static struct ration_seen *seen_of(struct profile_hints *hints, enum ration_unit unit,
                                   int64_t per_ms)
{
    for (size_t i = 0; i < hints->n_seen; i++) {
        if (hints->seen[i].unit == unit && hints->seen[i].per_ms == per_ms)
            return &hints->seen[i];
    }
    if (hints->n_seen == PROFILE_MAX_SEEN)
        return NULL;
    struct ration_seen *seen = &hints->seen[hints->n_seen++];
    *seen = (struct ration_seen){.unit = unit, .per_ms = per_ms};
    return seen;
}

/* ---- Headers ---- */

/* A whole number, blanks around it allowed, a fraction left out. */
static bool parse_amount(const char *text, int64_t *out)
{
    int64_t n = 0;
    text += strspn(text, " \t");
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15)
        return false;
    for (size_t i = 0; i < digits; i++)
        n = n * 10 + (text[i] - '0');
    text += digits;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if (text[strspn(text, " \t")] != '\0' || n > RATION_MAX_AMOUNT)
        return false;
    *out = n;
    return true;
}

static bool is_header(const char *wanted, const char *name)
{
    return wanted && strcasecmp(wanted, name) == 0;
}

static void read_limit(const struct profile *profile, size_t row, const char *name,
                       const char *value, int64_t now_ms, struct profile_hints *hints)
{
    const struct profile_limit *limit = &profile->limits[row];
    int64_t n = 0;
    if (is_header(limit->limit, name) && parse_amount(value, &n))
        hints->told[row].limit = n + 1;
    else if (is_header(limit->remaining, name) && parse_amount(value, &n))
        hints->told[row].remaining = n + 1;
    else if (is_header(limit->reset, name) && wait_parse(value, now_ms, &n))
        hints->told[row].reset_ms = n + 1;
    else
        return;
    if (hints->told[row].remaining == 0)
        return;
    struct ration_seen *seen = seen_of(hints, (enum ration_unit)limit->unit, limit->per_ms);
    if (!seen)
        return;
    seen->remaining = hints->told[row].remaining - 1;
    seen->limit = hints->told[row].limit > 0 ? hints->told[row].limit - 1 : 0;
    if (seen->remaining == 0 && hints->told[row].reset_ms > 0)
        tell_reset(hints, hints->told[row].reset_ms - 1);
}

void profile_read_header(const struct profile *profile, const char *name, const char *value,
                         int64_t now_ms, struct profile_hints *hints)
{
    for (size_t i = 0; i < profile->n_waits; i++) {
        const struct profile_wait *wait = &profile->waits[i];
        int64_t ms = 0;
        if (is_header(wait->header, name) &&
            (wait->in_ms ? wait_parse_ms(value, &ms) : wait_parse(value, now_ms, &ms)))
            tell_wait(hints, ms);
    }
    for (size_t i = 0; i < profile->n_limits; i++)
        read_limit(profile, i, name, value, now_ms, hints);
}

/* ---- Bodies ---- */

struct body {
    const struct profile *profile;
    struct profile_hints *hints;
    int64_t now_ms;
};

static bool read_delay(void *arg, json_object *value)
{
    struct body *body = arg;
    int64_t ms = 0;
    if ((json_object_is_type(value, json_type_string) ||
         json_object_is_type(value, json_type_int)) &&
        wait_parse(json_object_get_string(value), body->now_ms, &ms))
        tell_wait(body->hints, ms);
    return true;
}

/* "GenerateRequestsPerDayPerProjectPerModel-FreeTier": its words say which limit it is. Nothing is left of that limit. */
static bool read_violation(void *arg, json_object *value)
{
    struct body *body = arg;
    const struct profile_violations *rules = &body->profile->errors.violations;
    const char *id = profile_first_text(value, rules->id);
    size_t unit = 0;
    size_t period = 0;
    while (id && unit < rules->n_units && !strstr(id, rules->units[unit].word))
        unit++;
    while (id && period < rules->n_periods && !strstr(id, rules->periods[period].word))
        period++;
    if (!id || unit == rules->n_units || period == rules->n_periods)
        return true;
    struct ration_seen *seen = seen_of(body->hints, (enum ration_unit)rules->units[unit].unit,
                                       rules->periods[period].per_ms);
    if (!seen)
        return true;
    seen->remaining = 0;
    const char *limit = rules->limit ? profile_first_text(value, rules->limit) : NULL;
    if (limit)
        parse_amount(limit, &seen->limit);
    return true;
}

void profile_read_error(const struct profile *profile, json_object *answer, int64_t now_ms,
                        struct profile_hints *hints)
{
    struct body body = {profile, hints, now_ms};
    if (json_object_is_type(answer, json_type_array))
        answer = json_object_array_get_idx(answer, 0);
    for (size_t i = 0; i < profile->errors.at.n; i++) {
        json_object *error = profile_first(answer, profile->errors.at.at[i]);
        if (!json_object_is_type(error, json_type_object))
            continue;
        for (size_t k = 0; k < profile->errors.delay.n; k++)
            profile_visit(error, profile->errors.delay.at[k], read_delay, &body);
        if (profile->errors.violations.at)
            profile_visit(error, profile->errors.violations.at, read_violation, &body);
    }
}
