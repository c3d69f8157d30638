/*
 * Lists of limits, and presets, which are lists that come with the program.
 *
 *     {"unit": "tokens", "amount": 30000, "per": "minute", "algorithm": "rolling", "slack_ms": 250}
 *
 * Some settings go with one algorithm only:
 *
 *     bucket       burst
 *     rolling      slack_ms
 *     calendar     time_zone; per is day or month
 *     concurrent   the unit is concurrent, and there is no period
 *
 * A setting without effect is reported, not ignored: its author believes that it does something.
 */
#include "config/config_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/presets.h"
#include "policy/zone.h"

#define MAX_PER_MS ((uint64_t)366 * 86400000)
#define PER_REMEDY                                                                                 \
    "use second, minute, hour, day, month or a duration such as \"10s\" (500ms, 10s, 5m, 2h, 7d)"

static const struct {
    const char *word;
    uint64_t ms;
} periods[] = {
    {"second", 1000},  {"minute", 60000},     {"hour", 3600000},
    {"day", 86400000}, {"month", 2592000000},
};

static const struct {
    const char *suffix;
    uint64_t ms;
} durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

/* ---- One limit ------------------------------------------------------------------------------- */

static bool duration_ms(const char *text, uint64_t *ms)
{
    uint64_t number = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++) {
        number = number * 10 + (uint64_t)(*p - '0');
        if (number > MAX_PER_MS)
            return false;
    }
    if (p == text)
        return false;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        if (strcmp(p, durations[i].suffix) == 0) {
            *ms = number * durations[i].ms;
            return *ms >= 1 && *ms <= MAX_PER_MS;
        }
    }
    return false;
}

static bool period_ms(const char *text, uint64_t *ms)
{
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        if (strcmp(text, periods[i].word) == 0) {
            *ms = periods[i].ms;
            return true;
        }
    }
    return duration_ms(text, ms);
}

static bool required(const struct section *section, const char *key, const char *remedy)
{
    if (section_has(section, key))
        return true;
    if (section->object != NULL)
        section_problem(section, key, "missing; %s", remedy);
    return false;
}

static void read_period(const struct section *section, struct limit *limit)
{
    limit->per_ms = 60000;
    snprintf(limit->per, sizeof limit->per, "minute");
    if (!required(section, "per", PER_REMEDY))
        return;
    const char *text = section_string(section, "per");
    if (text == NULL)
        return;
    uint64_t ms;
    if (strlen(text) < sizeof limit->per && period_ms(text, &ms)) {
        limit->per_ms = ms;
        snprintf(limit->per, sizeof limit->per, "%s", text);
        return;
    }
    char quoted[CONFIG_QUOTED_BYTES];
    config_quote(quoted, text, strlen(text));
    section_problem(section, "per", "%s is not a period; " PER_REMEDY "%s", quoted,
                    isdigit((unsigned char)text[0]) ? ", from 1ms to 366d" : "");
}

static void read_calendar(const struct section *section, struct limit *limit)
{
    bool month = strcmp(limit->per, "month") == 0;
    limit->calendar = month ? CALENDAR_MONTH : CALENDAR_DAY;
    if (!month && strcmp(limit->per, "day") != 0)
        section_problem(section, "per",
                        "a calendar limit is per day or month; use one of these, or another "
                        "algorithm");
    const char *name = section_string(section, "time_zone");
    if (name == NULL)
        return;
    limit->zone = config_zone_find(section->reader->config, name);
    if (limit->zone != NULL)
        return;
    char quoted[CONFIG_QUOTED_BYTES];
    section_problem(section, "time_zone",
                    "%s is not a time zone on this system; use an IANA name such as \"UTC\" or "
                    "\"America/Los_Angeles\", and install tzdata if it is missing",
                    config_quote(quoted, name, strlen(name)));
}

/* Notes a setting that has no effect on this limit. */
static void refuse(const struct section *section, const char *key, const char *goes_with)
{
    if (section_has(section, key))
        section_problem(section, key, "only goes with %s; remove it", goes_with);
}

static enum limit_algorithm read_algorithm(const struct section *section, enum ration_unit unit,
                                           bool unit_known, enum limit_algorithm usual)
{
    bool calls = unit == RATION_UNIT_CONCURRENT;
    if (!section_has(section, "algorithm"))
        return calls ? LIMIT_CONCURRENT : usual;
    enum limit_algorithm algorithm = (enum limit_algorithm)section_word(section, "algorithm");
    if (!unit_known || calls == (algorithm == LIMIT_CONCURRENT))
        return algorithm;
    if (calls)
        section_problem(section, "algorithm",
                        "the unit concurrent has an algorithm of its own; remove this, or use "
                        "\"concurrent\"");
    else
        section_problem(section, "algorithm",
                        "concurrent counts calls in flight; use it with the unit concurrent, or "
                        "use bucket, rolling or calendar");
    return calls ? LIMIT_CONCURRENT : usual;
}

static void read_period_settings(const struct section *section, bool unit_known,
                                 struct limit *limit)
{
    /* A misspelled "concurrent" needs no period: one problem is enough. */
    if (unit_known || section_has(section, "per"))
        read_period(section, limit);
    limit->counted_end = section_word(section, "counted") == 1;
    limit->settle = section_boolean(section, "settle");
    if (limit->algorithm != LIMIT_BUCKET)
        refuse(section, "burst", "the algorithm bucket");
    else if (section_has(section, "burst"))
        limit->capacity = section_integer(section, "burst");
    if (limit->algorithm != LIMIT_ROLLING)
        refuse(section, "slack_ms", "the algorithm rolling");
    else
        limit->slack_ms = (uint32_t)section_integer(section, "slack_ms");
    if (limit->algorithm != LIMIT_CALENDAR)
        refuse(section, "time_zone", "the algorithm calendar");
    else
        read_calendar(section, limit);
}

static void read_limit(const struct section *section, enum limit_algorithm usual,
                       struct limit *limit)
{
    *limit = (struct limit){.settle = true};
    bool unit_known = required(section, "unit",
                               "use requests, tokens, input_tokens, "
                               "output_tokens, usd or concurrent");
    if (unit_known) {
        size_t before = section->reader->problems->n;
        limit->unit = (enum ration_unit)section_word(section, "unit");
        unit_known = section->reader->problems->n == before;
    }
    if (required(section, "amount", "give the amount of the unit, as an integer"))
        limit->amount = section_integer(section, "amount");
    limit->algorithm = read_algorithm(section, limit->unit, unit_known, usual);
    limit->capacity = limit->amount;
    if (limit->algorithm != LIMIT_CONCURRENT) {
        read_period_settings(section, unit_known, limit);
        return;
    }
    static const char *const periodic[] = {"per",    "burst",     "counted",
                                           "settle", "time_zone", "slack_ms"};
    for (size_t i = 0; i < sizeof periodic / sizeof periodic[0]; i++)
        refuse(section, periodic[i], "units other than concurrent, which has no period");
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static bool same_limit(const struct limit *a, const struct limit *b)
{
    return a->unit == b->unit && a->algorithm == b->algorithm && a->per_ms == b->per_ms;
}

static struct limit_set *new_set(struct config *config, size_t cap)
{
    return config_alloc(config, sizeof(struct limit_set) + cap * sizeof(struct limit));
}

struct limit_set *config_read_limit_list(struct reader *reader, const struct config_place *at,
                                         struct json_object *list, enum limit_algorithm usual)
{
    if (!json_object_is_type(list, json_type_array)) {
        config_problem(reader->problems, at, "expected a list of limits, found %s; use [{...}]",
                       config_kind(list));
        return new_set(reader->config, 0);
    }
    size_t n = json_object_array_length(list);
    if (n > RATION_MAX_LIMITS) {
        config_problem(reader->problems, at, "%zu limits; the most is %d in one list", n,
                       RATION_MAX_LIMITS);
        n = RATION_MAX_LIMITS;
    }
    struct limit_set *set = new_set(reader->config, n);
    for (size_t i = 0; i < n; i++) {
        struct config_place here = {.up = at, .index = i};
        struct section section;
        struct limit *limit = &set->limits[i];
        size_t before = reader->problems->n;
        section_open(&section, reader, &here, json_object_array_get_idx(list, i), "<limit>");
        read_limit(&section, usual, limit);
        bool sound = reader->problems->n == before;
        for (size_t j = 0; j < i && sound; j++)
            if (same_limit(&set->limits[j], limit))
                config_problem(reader->problems, &here,
                               "the same unit, algorithm and per as [%zu] of this list; keep one "
                               "of them",
                               j);
        set->n = i + 1;
    }
    return set;
}

struct limit_set *config_read_limits(const struct section *section, const char *key,
                                     enum limit_algorithm usual)
{
    struct json_object *list = section_container(section, key);
    if (list == NULL)
        return NULL;
    struct config_place at = section_place(section, key);
    return config_read_limit_list(section->reader, &at, list, usual);
}

/* ---- Presets --------------------------------------------------------------------------------- */

static struct json_object *presets_of(struct reader *reader)
{
    if (reader->presets == NULL)
        reader->presets = config_text_parse("presets.json", ration_presets_json,
                                            ration_presets_json_size, reader->problems);
    return reader->presets;
}

struct limit_set *config_read_preset(const struct section *section)
{
    struct reader *reader = section->reader;
    const char *name = section_string(section, "preset");
    struct json_object *presets = name != NULL ? presets_of(reader) : NULL;
    struct json_object *entry;
    struct json_object *limits;
    if (presets == NULL)
        return NULL;
    if (!json_object_object_get_ex(presets, name, &entry) ||
        !json_object_object_get_ex(entry, "limits", &limits)) {
        struct config_names names = {.found = name};
        json_object_object_foreach(presets, key, unused)
        {
            (void)unused;
            config_names_add(&names, key);
        }
        char quoted[CONFIG_QUOTED_BYTES];
        config_quote(quoted, name, strlen(name));
        if (names.best != NULL)
            section_problem(section, "preset", "there is no preset %s; did you mean \"%s\"?",
                            quoted, names.best);
        else
            section_problem(section, "preset",
                            "there is no preset %s; give limits, or a preset such as %s", quoted,
                            names.list);
        return NULL;
    }
    struct config_place root = {.key = "presets"};
    struct config_place preset = {.up = &root, .key = name};
    struct config_place at = {.up = &preset, .key = "limits"};
    return config_read_limit_list(reader, &at, limits, LIMIT_ROLLING);
}
