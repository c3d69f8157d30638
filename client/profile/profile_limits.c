/*
 * What a provider reports about its limits and waits: in headers, which come in any order, and in
 * the body of an error.
 *
 * An explicit wait comes first. Without one, the limits that have nothing left say when they are
 * reset, and the latest of these is the wait. A value that cannot be read is ignored: a wrong
 * number here would hold back every host, or none.
 *
 * The period of a limit comes from its profile, from a header, or from limit, remaining and reset
 * together (profile_period.c). If none of these has it, the limit is passed on with its amount
 * alone, by which the server finds it if it can; without an amount it is not passed on at all: what
 * is left of a day must not be held against a minute.
 *
 * The meaning of one header may depend on others, so each new one makes all of them be evaluated
 * again.
 */
#include "profile/profile_inner.h"

#include "profile/wait.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MINUTE_MS 60000

/* ---- Keeping ---- */

static void note_wait(struct profile_hints *hints, int64_t ms)
{
    if (!hints->waits_in_words || ms > hints->retry_after_ms)
        hints->retry_after_ms = ms;
    hints->waits = true;
    hints->waits_in_words = true;
}

static void note_reset(struct profile_hints *hints, int64_t ms)
{
    if (hints->waits_in_words)
        return;
    if (!hints->waits || ms > hints->retry_after_ms)
        hints->retry_after_ms = ms;
    hints->waits = true;
}

/* The entry for that unit and period (for that amount, if the period is not known). NULL: there is
 * no room for another one. */
static struct ration_provider_limit *limit_of(struct profile_hints *hints, enum ration_unit unit,
                                              int64_t per_ms, int64_t limit)
{
    for (size_t i = 0; i < hints->n_limits; i++) {
        struct ration_provider_limit *entry = &hints->limits[i];
        if (entry->unit == unit && entry->per_ms == per_ms && (per_ms > 0 || entry->limit == limit))
            return entry;
    }
    if (hints->n_limits == PROFILE_MAX_HINTS)
        return NULL;
    struct ration_provider_limit *entry = &hints->limits[hints->n_limits++];
    *entry = (struct ration_provider_limit){
        .unit = unit, .per_ms = per_ms, .limit = limit, .remaining = RATION_MAX_AMOUNT};
    return entry;
}

/* If several limits have the same unit and period (an organization's and a project's), the one with
 * less left counts. */
static void keep_limit(struct profile_hints *hints, enum ration_unit unit, int64_t per_ms,
                       int64_t limit, int64_t remaining)
{
    struct ration_provider_limit *entry = limit_of(hints, unit, per_ms, limit);
    if (!entry || remaining > entry->remaining)
        return;
    entry->limit = limit;
    entry->remaining = remaining;
}

/* ---- Headers ---- */

/* A whole number; blanks around it are allowed, a fraction is ignored. */
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

static void read_reset(const struct profile_limit *limit, const char *value, int64_t now_ms,
                       struct profile_reported *reported)
{
    int64_t ms = 0;
    int64_t within_ms = 1;
    bool bare = limit->reset_may_be_ms && wait_is_bare(value);
    if (!(bare ? parse_amount(value, &ms) : wait_parse_reset(value, now_ms, &ms, &within_ms)))
        return;
    reported->reset_ms = ms + 1;
    reported->within_ms = within_ms;
    reported->bare = bare;
}

/* The parameter `;key=n` of a field of the IETF's draft, as in "default";q=500;w=60; if there are
 * several policies, the first one's. False: it has none. */
static bool read_parameter(const char *value, char key, int64_t *out)
{
    bool quoted = false;
    for (const char *s = value; *s && (quoted || *s != ','); s++) {
        quoted ^= *s == '"';
        if (quoted || *s != ';')
            continue;
        const char *name = s + 1 + strspn(s + 1, " \t");
        char number[16];
        size_t digits =
            strspn(name[0] == key ? name + 1 : "", "=") == 1 ? strspn(name + 2, "0123456789") : 0;
        if (digits == 0 || digits >= sizeof(number))
            continue;
        memcpy(number, name + 2, digits);
        number[digits] = '\0';
        return parse_amount(number, out);
    }
    return false;
}

static void read_ietf(const char *value, bool is_policy, struct profile_reported *reported)
{
    int64_t n = 0;
    if (is_policy) {
        if (read_parameter(value, 'q', &n))
            reported->limit = n + 1;
        if (read_parameter(value, 'w', &n) && n <= RESET_MAX_MS / 1000)
            reported->period_ms = n * 1000 + 1;
        return;
    }
    if (read_parameter(value, 'r', &n))
        reported->remaining = n + 1;
    if (read_parameter(value, 't', &n) && n <= RESET_MAX_MS / 1000) {
        reported->reset_ms = n * 1000 + 1;
        reported->within_ms = 1000;
    }
}

/* True if the header is one of the row's. */
static bool note(const struct profile_limit *limit, const char *name, const char *value,
                 int64_t now_ms, struct profile_reported *reported)
{
    int64_t n = 0;
    int64_t within_ms;
    if (is_header(limit->limit, name)) {
        if (parse_amount(value, &n))
            reported->limit = n + 1;
    } else if (is_header(limit->remaining, name)) {
        if (parse_amount(value, &n))
            reported->remaining = n + 1;
    } else if (is_header(limit->reset, name)) {
        read_reset(limit, value, now_ms, reported);
    } else if (is_header(limit->period, name)) {
        if (wait_parse_reset(value, now_ms, &n, &within_ms))
            reported->period_ms = n + 1;
    } else if (is_header(limit->state, name) || is_header(limit->policy, name)) {
        read_ietf(value, is_header(limit->policy, name), reported);
    } else {
        return false;
    }
    return true;
}

/* If the three fit no period, the limit has fixed windows, or is a log. Its remainder must then
 * last until it is reset: if that is within a minute, it may be held against a minute's limit,
 * whatever its own period. */
static int64_t find_period(int64_t limit, int64_t remaining, int64_t reset_ms, int64_t within_ms)
{
    int64_t found_ms = profile_period(limit, remaining, reset_ms, within_ms, 0);
    if (found_ms == 0 && remaining <= limit && reset_ms <= MINUTE_MS + within_ms)
        found_ms = MINUTE_MS;
    return found_ms;
}

/* Evaluates the headers of one row together. */
static void judge(const struct profile_limit *row, const struct profile_reported *reported,
                  struct profile_hints *hints)
{
    if (reported->remaining == 0)
        return;
    int64_t limit = reported->limit > 0 ? reported->limit - 1 : 0;
    int64_t remaining = reported->remaining - 1;
    int64_t reset_ms = reported->reset_ms - 1; /* below 0: not reported, or not believed */
    int64_t per_ms = reported->period_ms > 0 ? reported->period_ms - 1 : row->per_ms;
    int64_t found_ms = 0;
    if (reported->bare && !profile_read_bare(reported, per_ms, &reset_ms, &found_ms))
        reset_ms = -1;
    else if (!reported->bare && per_ms == 0 && reset_ms > 0)
        found_ms = find_period(limit, remaining, reset_ms, reported->within_ms);
    if (per_ms == 0)
        per_ms = found_ms;
    if (per_ms > 0 || limit > 0)
        keep_limit(hints, (enum ration_unit)row->unit, per_ms, limit, remaining);
    if (remaining == 0 && reset_ms >= 0)
        note_reset(hints, reset_ms);
}

static void judge_all(const struct profile *profile, struct profile_hints *hints)
{
    hints->n_limits = 0;
    if (!hints->waits_in_words) {
        hints->waits = false;
        hints->retry_after_ms = 0;
    }
    for (size_t i = 0; i < profile->n_limits; i++)
        judge(&profile->limits[i], &hints->reported[i], hints);
}

static void read_should_retry(const char *value, struct profile_hints *hints)
{
    if (strcasecmp(value, "true") == 0)
        hints->should_retry = PROFILE_DO_RETRY;
    else if (strcasecmp(value, "false") == 0)
        hints->should_retry = PROFILE_DO_NOT_RETRY;
}

void profile_read_header(const struct profile *profile, const char *name, const char *value,
                         int64_t now_ms, struct profile_hints *hints)
{
    bool noted = false;
    if (is_header(profile->should_retry, name))
        read_should_retry(value, hints);
    for (size_t i = 0; i < profile->n_waits; i++) {
        const struct profile_wait *wait = &profile->waits[i];
        int64_t ms = 0;
        if (is_header(wait->header, name) &&
            (wait->in_ms ? wait_parse_ms(value, now_ms, &ms) : wait_parse(value, now_ms, &ms)))
            note_wait(hints, ms);
    }
    for (size_t i = 0; i < profile->n_limits; i++)
        noted |= note(&profile->limits[i], name, value, now_ms, &hints->reported[i]);
    if (noted)
        judge_all(profile, hints);
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
        note_wait(body->hints, ms);
    return true;
}

/* "GenerateRequestsPerDayPerProjectPerModel-FreeTier": its parts say which limit it is, and nothing
 * is left of it. */
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
    int64_t amount = 0;
    const char *limit = rules->limit ? profile_first_text(value, rules->limit) : NULL;
    if (limit)
        parse_amount(limit, &amount);
    keep_limit(body->hints, (enum ration_unit)rules->units[unit].unit,
               rules->periods[period].per_ms, amount, 0);
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
