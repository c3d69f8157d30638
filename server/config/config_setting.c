/*
 * The table of settings, and reading single values by it.
 *
 * A setting exists because it has a row here: keys without one are unknown, defaults and ranges
 * come from it, and `rationd --help` prints it. What a row cannot express (the syntax of addresses
 * and limits, which settings go together) is in the file that reads that part.
 */
#include "config/config_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD  .reloadable = true
#define RESTART .reloadable = false

/* `words` are in the order of the enum that they become: ration_unit, limit_algorithm,
 * config_outage. */
static const struct setting table[] = {
    {"", "listen", SETTING_OBJECT, "", RESTART, .help = "where clients connect"},
    {"listen", "resp", SETTING_ADDRESS, "127.0.0.1:7420", RESTART,
     .help = "for Redis clients; port 0 picks a free one"},
    {"listen", "http", SETTING_ADDRESS, "127.0.0.1:7421", RESTART, .nullable = true,
     .help = "for HTTP; null: none"},
    {"listen", "unix", SETTING_STRING, "null", RESTART, .nullable = true,
     .help =
         "a socket for Redis clients on this host, such as /run/ration/ration.sock; null: none"},

    {"", "store", SETTING_OBJECT, "", RESTART, .help = "where the state is kept"},
    {"store", "url", SETTING_URL, "embedded", RESTART, .secret = true,
     .help = "embedded, redis://[user[:password]@]host[:port][/db] or redis+unix:///path[?db=n]"},
    {"store", "durability", SETTING_WORD, "fast", RESTART, .words = "fast|safe|ledger",
     .help = "what a failover of the store may forget; this version has only fast"},
    {"store", "password", SETTING_SECRET, "", RESTART, .secret = true,
     .help = "instead of a password in the URL"},
    {"store", "timeout_ms", SETTING_INTEGER, "1000", .min = 10, .max = 60000, RESTART,
     .help = "how long one batch may take before the store counts as away"},

    {"", "pools", SETTING_MAP, "", RELOAD, .help = "upstream quotas by name; at least one"},
    {"pools.<name>", "preset", SETTING_NAME, "", RELOAD,
     .help = "a provider's published limits, such as openai/gpt-4o/tier1"},
    {"pools.<name>", "limits", SETTING_LIMITS, "", RELOAD,
     .help = "override the preset's limits of the same unit and per, or add to them"},
    {"pools.<name>", "domain", SETTING_STRING, "default", RELOAD,
     .help = "pools of one domain share one cluster slot"},
    {"pools.<name>", "hold_back", SETTING_FRACTIONS, "[0, 0, 0]", RELOAD,
     .help = "the share held back from priority 0, 1 and 2, to nine decimals"},
    {"pools.<name>", "estimates", SETTING_WORD, "stated", .words = "stated|learned", RELOAD,
     .help = "learned: input_tokens and output_tokens are charged as if each ACQUIRE said LEARNED"},
    {"pools.<name>", "breaker", SETTING_OBJECT, "", RELOAD, .nullable = true,
     .help = "when calls fail, let none through for a while, then one as a probe; null: never"},
    {"pools.<name>.breaker", "failures", SETTING_FRACTION, "0.5", RELOAD,
     .help = "the share of reports (STATUS 5xx or FAILED) that opens it"},
    {"pools.<name>.breaker", "at_least", SETTING_INTEGER, "20", .min = 1, .max = 1000000, RELOAD,
     .help = "reports in the window before it is judged"},
    {"pools.<name>.breaker", "window_ms", SETTING_INTEGER, "30000", .min = 100, .max = 3600000,
     RELOAD, .help = "how far back reports count, in quarters, beginning with the first failure"},
    {"pools.<name>.breaker", "cool_down_ms", SETTING_INTEGER, "5000", .min = 10, .max = 3600000,
     RELOAD, .help = "until one call is let through; doubles each time it fails, up to 8 times"},

    {"", "tiers", SETTING_MAP, "", RELOAD, .help = "what tenants pay for, by name"},
    {"tiers.<name>", "priority", SETTING_INTEGER, "1", .min = 0, .max = RATION_PRIORITIES - 1,
     RELOAD, .help = "0 real time, 1 standard, 2 background"},
    {"tiers.<name>", "limits", SETTING_LIMITS, "", RELOAD,
     .help = "of each tenant, over all pools of a domain; none: only the pool's apply"},
    {"tiers.<name>", "in_pool", SETTING_MAP, "", RELOAD,
     .help = "of each tenant in one pool: a list of limits by the pool's name"},
    {"tiers.<name>", "weight", SETTING_INTEGER, "1", .min = 1, .max = 1000, RELOAD,
     .help = "its share among waiting requests"},

    {"", "tenants", SETTING_MAP, "", RELOAD, .help = "who may ask, by name"},
    {"tenants.<name>", "tier", SETTING_NAME, "", RELOAD, .help = "one of tiers; required"},
    {"tenants.<name>", "limits", SETTING_LIMITS, "", RELOAD, .help = "instead of the tier's"},
    {"tenants.<name>", "in_pool", SETTING_MAP, "", RELOAD,
     .help = "instead of the tier's for that pool"},
    {"tenants.<name>", "secret", SETTING_SECRET, "", RELOAD, .secret = true,
     .help = "its credential; if any is set, every connection needs one"},

    {"", "default_tier", SETTING_NAME, "null", RELOAD, .nullable = true,
     .help = "of tenants that are not configured; null: refuse them"},
    {"", "on_outage", SETTING_WORD, "deny", .words = "deny|allow|local", RELOAD,
     .help = "the answer while the store is away"},
    {"", "ttl_ms", SETTING_INTEGER, "60000", .min = RATION_MIN_TTL_MS, .max = RATION_MAX_TTL_MS,
     RELOAD, .help = "how long a reservation waits for its report"},
    {"", "max_outstanding", SETTING_INTEGER, "10000", .min = 1, .max = 10000000, RELOAD,
     .help = "reservations of one tenant, at once, that wait for their report"},
    {"", "max_connections", SETTING_INTEGER, "10000", .min = 1, .max = 1000000, RELOAD,
     .help = "of clients, at once"},
    {"", "threads", SETTING_INTEGER, "0", .min = 0, .max = 64, RESTART,
     .help = "workers, each with a connection of its own to the store; 0: one for each core"},
    {"", "auth", SETTING_OBJECT, "", RELOAD, .help = "credentials other than the tenants'"},
    {"auth", "operator", SETTING_SECRET, "", RELOAD, .secret = true,
     .help = "the credential that allows everything"},

    {"<limit>", "unit", SETTING_WORD, "",
     .words = "requests|tokens|input_tokens|output_tokens|usd|concurrent", RELOAD,
     .help = "what is counted; usd in millionths; required"},
    {"<limit>", "amount", SETTING_INTEGER, "", .min = 1, .max = RATION_MAX_AMOUNT, RELOAD,
     .help = "how much of it per period; required"},
    {"<limit>", "per", SETTING_STRING, "", RELOAD,
     .help = "second, minute, hour, day, month, or a duration: 500ms, 10s, 5m, 2h, 7d"},
    {"<limit>", "algorithm", SETTING_WORD, "", .words = "bucket|rolling|calendar|concurrent",
     RELOAD, .help = "default: rolling for pools, bucket for tiers and tenants"},
    {"<limit>", "burst", SETTING_INTEGER, "", .min = 1, .max = RATION_MAX_AMOUNT, RELOAD,
     .help = "how much a bucket holds; default: the amount"},
    {"<limit>", "counted", SETTING_WORD, "start", .words = "start|end", RELOAD,
     .help = "when the provider counts"},
    {"<limit>", "settle", SETTING_BOOLEAN, "true", RELOAD,
     .help = "whether the unused part of an estimate is given back"},
    {"<limit>", "time_zone", SETTING_STRING, "UTC", RELOAD,
     .help = "of a calendar limit: the zone of its midnight"},
    {"<limit>", "slack_ms", SETTING_INTEGER, "250", .min = 0, .max = 60000, RELOAD,
     .help =
         "of a rolling limit: how much longer each slot stays, because calls take time to arrive"},

    {"<secret>", "file", SETTING_STRING, "", RELOAD,
     .help = "a file that contains the secret and nothing else"},
    {"<secret>", "env", SETTING_STRING, "", RELOAD,
     .help = "the name of an environment variable that contains it"},
};

#define ROWS (sizeof table / sizeof table[0])

size_t config_setting_count(void)
{
    return ROWS;
}

const struct setting *config_setting_at(size_t index)
{
    return &table[index];
}

const char *config_setting_path(const struct setting *row, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s%s%s", row->section, row->section[0] != '\0' ? "." : "", row->key);
    return buf;
}

static const struct setting *find_row(const char *section, const char *key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i].section, section) == 0 && strcmp(table[i].key, key) == 0)
            return &table[i];
    return NULL;
}

static const struct setting *row_of(const struct section *section, const char *key)
{
    const struct setting *row = find_row(section->pattern, key);
    assert(row != NULL);
    return row;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* Copies the i-th of "a|b|c"; false: there are fewer. */
static bool nth_word(const char *words, unsigned i, char *buf, size_t cap)
{
    for (; i > 0 && words != NULL; i--) {
        words = strchr(words, '|');
        words = words != NULL ? words + 1 : NULL;
    }
    if (words == NULL)
        return false;
    snprintf(buf, cap, "%.*s", (int)strcspn(words, "|"), words);
    return true;
}

/* "a, b or c" */
static void list_words(const char *words, char *buf, size_t cap)
{
    size_t n = 0;
    for (const char *p = words; *p != '\0' && n + 8 < cap; p++) {
        const char *separator = strchr(p + 1, '|') != NULL ? ", " : " or ";
        int more = *p == '|' ? snprintf(buf + n, cap - n, "%s", separator)
                             : snprintf(buf + n, cap - n, "%c", *p);
        n += (size_t)more;
    }
}

static bool word_index(const char *words, const char *found, unsigned *index)
{
    char word[32];
    for (unsigned i = 0; nth_word(words, i, word, sizeof word); i++) {
        if (strcmp(word, found) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

const char *config_setting_remedy(const struct setting *row, char *buf, size_t cap)
{
    char words[128] = "";
    const char *or_null = row->nullable ? ", or null" : "";
    switch (row->type) {
    case SETTING_OBJECT:
    case SETTING_MAP:
        snprintf(buf, cap, "use {...}%s", or_null);
        break;
    case SETTING_INTEGER:
        snprintf(buf, cap, "use an integer from %lld to %lld", (long long)row->min,
                 (long long)row->max);
        break;
    case SETTING_BOOLEAN:
        snprintf(buf, cap, "use true or false");
        break;
    case SETTING_WORD:
        list_words(row->words, words, sizeof words);
        snprintf(buf, cap, "use %s", words);
        break;
    case SETTING_ADDRESS:
        snprintf(buf, cap, "use host:port or [v6]:port, such as \"%s\"%s", row->fallback, or_null);
        break;
    case SETTING_SECRET:
        snprintf(buf, cap, "use {\"file\": \"/path\"} or {\"env\": \"NAME\"}");
        break;
    case SETTING_FRACTION:
        snprintf(buf, cap, "use a number above 0, at most 1, such as %s", row->fallback);
        break;
    case SETTING_FRACTIONS:
        snprintf(buf, cap,
                 "use three numbers from 0 to less than 1, none less than the one before, such as "
                 "[0, 0.1, 0.3]");
        break;
    case SETTING_LIMITS:
        snprintf(buf, cap,
                 "use a list such as [{\"unit\": \"tokens\", \"amount\": 5000, \"per\": "
                 "\"minute\"}]");
        break;
    case SETTING_STRING:
    case SETTING_NAME:
    case SETTING_URL:
        snprintf(buf, cap, "use a string: %s%s", row->help, or_null);
        break;
    }
    return buf;
}

/* ---- Sections -------------------------------------------------------------------------------- */

static void unknown_key(const struct section *section, const char *key)
{
    struct config_names names = {.found = key};
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i].section, section->pattern) == 0)
            config_names_add(&names, table[i].key);
    struct config_place at = section_place(section, key);
    if (names.best != NULL)
        config_problem(section->reader->problems, &at, "unknown key; did you mean \"%s\"?",
                       names.best);
    else
        config_problem(section->reader->problems, &at, "unknown key; remove it, or use one of: %s",
                       names.list);
}

void section_open(struct section *out, struct reader *reader, const struct config_place *at,
                  struct json_object *value, const char *pattern)
{
    *out = (struct section){.reader = reader, .pattern = pattern};
    if (at != NULL) {
        out->at = *at;
        out->whole = &out->at;
    }
    if (!json_object_is_type(value, json_type_object)) {
        config_problem(reader->problems, at, "expected an object, found %s; use {...}",
                       config_kind(value));
        return;
    }
    out->object = value;
    json_object_object_foreach(value, key, unused)
    {
        (void)unused;
        if (find_row(pattern, key) == NULL)
            unknown_key(out, key);
    }
}

bool section_find(const struct section *section, const char *key, struct json_object **value)
{
    return section->object != NULL && json_object_object_get_ex(section->object, key, value);
}

bool section_has(const struct section *section, const char *key)
{
    struct json_object *unused;
    return section_find(section, key, &unused);
}

struct config_place section_place(const struct section *section, const char *key)
{
    return (struct config_place){.up = section->whole, .key = key};
}

void section_problem(const struct section *section, const char *key, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct config_place at = section_place(section, key);
    config_problem(section->reader->problems, &at, "%s", message);
}

static void wrong_type(const struct section *section, const struct setting *row, const char *wanted,
                       struct json_object *found)
{
    char remedy[256];
    section_problem(section, row->key, "expected %s, found %s; %s", wanted, config_kind(found),
                    config_setting_remedy(row, remedy, sizeof remedy));
}

int64_t section_integer(const struct section *section, const char *key)
{
    const struct setting *row = row_of(section, key);
    int64_t fallback = strtoll(row->fallback, NULL, 10);
    struct json_object *value;
    if (!section_find(section, key, &value))
        return fallback;
    if (!json_object_is_type(value, json_type_int)) {
        wrong_type(section, row, "an integer", value);
        return fallback;
    }
    int64_t number =
        json_object_get_int64(value); /* beyond 64 bits: clamped, which is out of any range */
    if (number >= row->min && number <= row->max)
        return number;
    char remedy[256];
    section_problem(section, key, "%s is too %s; %s", json_object_to_json_string(value),
                    number < row->min ? "small" : "large",
                    config_setting_remedy(row, remedy, sizeof remedy));
    return fallback;
}

uint32_t section_fraction(const struct section *section, const char *key)
{
    enum { MILLION = 1000000 };
    const struct setting *row = row_of(section, key);
    uint32_t fallback = (uint32_t)(strtod(row->fallback, NULL) * MILLION + 0.5);
    struct json_object *value;
    if (!section_find(section, key, &value))
        return fallback;
    if (!json_object_is_type(value, json_type_double) &&
        !json_object_is_type(value, json_type_int)) {
        wrong_type(section, row, "a number", value);
        return fallback;
    }
    double share = json_object_get_double(value);
    if (share > 0 && share <= 1) /* NaN compares false */
        return share * MILLION < 1 ? 1 : (uint32_t)(share * MILLION + 0.5);
    char remedy[256];
    section_problem(section, key, "%s is not a share; %s", json_object_to_json_string(value),
                    config_setting_remedy(row, remedy, sizeof remedy));
    return fallback;
}

bool section_boolean(const struct section *section, const char *key)
{
    const struct setting *row = row_of(section, key);
    bool fallback = strcmp(row->fallback, "true") == 0;
    struct json_object *value;
    if (!section_find(section, key, &value))
        return fallback;
    if (json_object_is_type(value, json_type_boolean))
        return json_object_get_boolean(value) != 0;
    wrong_type(section, row, "true or false", value);
    return fallback;
}

const char *section_string(const struct section *section, const char *key)
{
    const struct setting *row = row_of(section, key);
    bool none = row->fallback[0] == '\0' || strcmp(row->fallback, "null") == 0;
    struct json_object *value;
    if (!section_find(section, key, &value))
        return none ? NULL : row->fallback;
    if (value == NULL && row->nullable)
        return NULL;
    if (!json_object_is_type(value, json_type_string)) {
        wrong_type(section, row, "a string", value);
        return NULL;
    }
    const char *text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value)) {
        section_problem(section, key, "contains a NUL character; remove it");
        return NULL;
    }
    return text;
}

unsigned section_word(const struct section *section, const char *key)
{
    const struct setting *row = row_of(section, key);
    unsigned index = 0;
    word_index(row->words, row->fallback, &index);
    if (!section_has(section, key))
        return index;
    const char *found = section_string(section, key);
    if (found == NULL || word_index(row->words, found, &index))
        return index;
    struct config_names names = {.found = found};
    char candidates[8][32];
    for (unsigned i = 0; i < 8 && nth_word(row->words, i, candidates[i], sizeof candidates[i]); i++)
        config_names_add(&names, candidates[i]);
    char quoted[CONFIG_QUOTED_BYTES];
    char remedy[256];
    config_quote(quoted, found, strlen(found));
    config_setting_remedy(row, remedy, sizeof remedy);
    if (names.best != NULL)
        section_problem(section, key, "%s is not valid here; did you mean \"%s\"? %s", quoted,
                        names.best, remedy);
    else
        section_problem(section, key, "%s is not valid here; %s", quoted, remedy);
    return index;
}

struct json_object *section_container(const struct section *section, const char *key)
{
    const struct setting *row = row_of(section, key);
    bool list = row->type == SETTING_LIMITS || row->type == SETTING_FRACTIONS;
    struct json_object *value;
    if (!section_find(section, key, &value))
        return NULL;
    if (json_object_is_type(value, list ? json_type_array : json_type_object))
        return value;
    wrong_type(section, row, list ? "a list" : "an object", value);
    return NULL;
}

/* ---- Help ------------------------------------------------------------------------------------ */

static const char *const type_names[] = {
    [SETTING_OBJECT] = "object",   [SETTING_MAP] = "map",
    [SETTING_INTEGER] = "integer", [SETTING_BOOLEAN] = "boolean",
    [SETTING_STRING] = "string",   [SETTING_WORD] = "word",
    [SETTING_NAME] = "name",       [SETTING_ADDRESS] = "host:port",
    [SETTING_URL] = "url",         [SETTING_SECRET] = "secret",
    [SETTING_FRACTION] = "number", [SETTING_FRACTIONS] = "3 numbers",
    [SETTING_LIMITS] = "limits",
};

/* Writes a row as text: name, type, default, range, when a change takes effect, help. Returns the
 * length. */
static size_t describe_row(const struct setting *row, char *buf, size_t cap)
{
    char path[64];
    char range[128] = "-";
    if (row->type == SETTING_INTEGER)
        snprintf(range, sizeof range, "%lld-%lld", (long long)row->min, (long long)row->max);
    else if (row->type == SETTING_WORD)
        snprintf(range, sizeof range, "%s", row->words);
    int n = snprintf(buf, cap, "%-33s %-9s %-15s %-16s %-8s %s\n",
                     config_setting_path(row, path, sizeof path), type_names[row->type],
                     row->fallback[0] != '\0' ? row->fallback : "-", range,
                     row->reloadable ? "reload" : "restart", row->help);
    assert(n > 0 && (size_t)n < cap);
    return (size_t)n;
}

#define ROW_BYTES 512

char *config_describe(void)
{
    static const char head[] =
        "setting                           type      default         range            "
        "change   what it is\n";
    size_t cap = sizeof head + ROWS * ROW_BYTES;
    char *text = malloc(cap);
    if (text == NULL)
        return NULL;
    memcpy(text, head, sizeof head);
    size_t n = sizeof head - 1;
    for (size_t i = 0; i < ROWS; i++)
        n += describe_row(&table[i], text + n, cap - n);
    return text;
}
