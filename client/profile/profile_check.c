/*
 * From the tree of one profile to struct profile, by one table of keys: the name of each key, what
 * it holds, and where it goes. A key that is not in the table is refused, as is a value of another
 * kind, each with its path in the document and the expectation: a misspelt key that was ignored
 * would only be noticed on the bill.
 */
#include "profile/profile_keys.h"

#include "profile/media_size.h"

#include <stdio.h>
#include <string.h>

#define MAX_PATH_BYTES 96

/* Where the checker is, for messages. */
struct check {
    char path[MAX_PATH_BYTES];
    char *why;
};

/* ---- Saying what is wrong ---- */

static bool wrong(const struct check *check, const char *remedy)
{
    snprintf(check->why, PROFILE_WHY_BYTES, "%s: %s", check->path, remedy);
    return false;
}

/* Goes one step down; returns the length of the path before, to come back. */
static size_t enter(struct check *check, const char *key)
{
    size_t used = strlen(check->path);
    snprintf(check->path + used, sizeof(check->path) - used, "%s%.40s", key[0] == '[' ? "" : ".",
             key);
    return used;
}

static void leave(struct check *check, size_t used)
{
    check->path[used] = '\0';
}

static bool unknown_key(struct check *check, const struct profile_member *keys)
{
    char remedy[PROFILE_WHY_BYTES] = "no such key; there are:";
    for (size_t used = strlen(remedy); keys->name && used + 1 < sizeof(remedy); keys++) {
        int n = snprintf(remedy + used, sizeof(remedy) - used, " %s", keys->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return wrong(check, remedy);
}

/* ---- Values ---- */

static bool is_line(const char *text)
{
    for (const char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    }
    return text[0] != '\0';
}

static bool is_header_name(const char *text)
{
    size_t n = profile_header_name(text);
    return n > 0 && text[n] == '\0';
}

static bool read_text(struct check *check, enum profile_member_kind kind, json_object *value,
                      const char **to)
{
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
    if (text && strlen(text) != (size_t)json_object_get_string_len(value))
        text = NULL;
    if (kind == PLACE && (!text || !profile_place_is_good(text)))
        return wrong(check, "not a place; write members and lists as \"messages[].content\"");
    if (kind == HEADER && (!text || !is_header_name(text)))
        return wrong(check, "not the name of a header; write one as \"x-api-key\"");
    if (kind == PLACE || kind == HEADER) {
        *to = text;
        return true;
    }
    if (!text || !is_line(text))
        return wrong(check, "not a text of one line; write one in quotes");
    if (kind == URL && ((strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0) ||
                        strpbrk(text, " #")))
        return wrong(check, "not a base URL; write one as \"https://api.example.com\"");
    if (kind == PATH && (text[0] != '/' || strpbrk(text, " #")))
        return wrong(check, "not a path; write one as \"/v1/chat/completions\"");
    *to = text;
    return true;
}

/* A single text is a list of one. */
static bool read_list(struct check *check, enum profile_member_kind kind, json_object *value,
                      struct profile_list *to)
{
    if (!json_object_is_type(value, json_type_array)) {
        to->n = 1;
        return read_text(check, kind, value, &to->at[0]);
    }
    if (json_object_array_length(value) > PROFILE_MAX_LIST)
        return wrong(check, "more than 24 of them; leave out some");
    to->n = 0;
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        char index[24];
        snprintf(index, sizeof(index), "[%zu]", i);
        size_t back = enter(check, index);
        if (!read_text(check, kind, json_object_array_get_idx(value, i), &to->at[i]))
            return false;
        leave(check, back);
        to->n++;
    }
    return true;
}

static bool read_count(struct check *check, const struct profile_member *key, json_object *value,
                       int64_t *to)
{
    char remedy[96];
    if (json_object_is_type(value, json_type_int)) {
        *to = json_object_get_int64(value);
        if (*to >= key->min && *to <= key->max)
            return true;
    }
    snprintf(remedy, sizeof(remedy), "not a whole number, %lld - %lld; write one",
             (long long)key->min, (long long)key->max);
    return wrong(check, remedy);
}

/* A word, and what it stands for. */
struct choice {
    const char *word;
    int64_t value;
};

static const struct choice units[] = {
#define UNIT_CHOICE(upper, name) {name, RATION_UNIT_##upper},
    RATION_UNITS(UNIT_CHOICE)
#undef UNIT_CHOICE
        {0}};
static const struct choice periods[] = {{"second", 1000},
                                        {"minute", 60000},
                                        {"hour", 3600000},
                                        {"day", 86400000},
                                        {"month", INT64_C(2592000000)},
                                        {0}};
static const struct choice forms_of_wait[] = {{"ms", true}, {"seconds", false}, {0}};
static const struct choice media[] = {{"image", MEDIA_IMAGE},
                                      {"document", MEDIA_DOCUMENT},
                                      {"audio", MEDIA_AUDIO},
                                      {"video", MEDIA_VIDEO},
                                      {0}};
static const struct choice forms_of_stream[] = {
    {"sse", PROFILE_SSE}, {"lines", PROFILE_LINES}, {"aws", PROFILE_AWS}, {0}};

static bool read_choice(struct check *check, const struct choice *choices, const char *remedy,
                        json_object *value, int64_t *to)
{
    const char *word =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    for (; choices->word; choices++) {
        if (strcmp(choices->word, word) == 0) {
            *to = choices->value;
            return true;
        }
    }
    return wrong(check, remedy);
}

static bool read_unit(struct check *check, json_object *value, int64_t *to)
{
    const char *remedy = "not a unit; write requests, tokens, input_tokens or output_tokens";
    return read_choice(check, units, remedy, value, to) &&
           (*to < RATION_UNIT_USD || wrong(check, remedy));
}

static bool read_period(struct check *check, json_object *value, int64_t *to)
{
    return read_choice(check, periods, "not a period; write second, minute, hour, day or month",
                       value, to);
}

static bool read_medium(struct check *check, json_object *value, int64_t *to)
{
    return read_choice(check, media, "not a kind; write image, document, audio or video", value,
                       to);
}

static bool read_form(struct check *check, json_object *value, bool *to)
{
    int64_t in_ms = 0;
    bool good = read_choice(check, forms_of_wait,
                            "not a form; write ms, or seconds for everything else", value, &in_ms);
    *to = in_ms;
    return good;
}

static bool read_stream_form(struct check *check, json_object *value, enum profile_form *to)
{
    int64_t form = 0;
    bool good = read_choice(check, forms_of_stream,
                            "not a form of streams; write sse, lines or aws", value, &form);
    *to = (enum profile_form)form;
    return good;
}

static bool read_flag(struct check *check, json_object *value, bool *to)
{
    if (!json_object_is_type(value, json_type_boolean))
        return wrong(check, "neither true nor false; write one of them");
    *to = json_object_get_boolean(value);
    return true;
}

static bool read_headers(struct check *check, json_object *value, struct profile_fixed_header *to,
                         size_t *n)
{
    *n = 0;
    if (!json_object_is_type(value, json_type_object))
        return wrong(check, "not an object of headers; write {\"name\": \"value\"}");
    json_object_object_foreach(value, name, text)
    {
        if (!text)
            continue;
        if (*n == PROFILE_MAX_ROWS)
            return wrong(check, "more than 16 headers; leave out some");
        size_t back = enter(check, name);
        if (!is_header_name(name))
            return wrong(check, "not the name of a header; write one as \"x-api-key\"");
        if (!read_text(check, TEXT, text, &to[*n].value))
            return false;
        leave(check, back);
        to[(*n)++].name = name;
    }
    return true;
}

/* ---- Objects ---- */

static bool read_object(struct check *check, const struct profile_member *keys, json_object *tree,
                        void *to);

static bool read_rows(struct check *check, const struct profile_member *key, json_object *value,
                      char *to, size_t *n)
{
    if (!json_object_is_type(value, json_type_array))
        return wrong(check, "not a list; write [{...}, {...}]");
    if (json_object_array_length(value) > PROFILE_MAX_ROWS)
        return wrong(check, "more than 16 of them; leave out some");
    *n = 0;
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        char index[24];
        snprintf(index, sizeof(index), "[%zu]", i);
        size_t back = enter(check, index);
        if (!read_object(check, key->keys, json_object_array_get_idx(value, i), to + i * key->size))
            return false;
        leave(check, back);
        (*n)++;
    }
    return true;
}

static bool read_value(struct check *check, const struct profile_member *key, json_object *value,
                       char *base)
{
    void *to = base + key->to;
    switch (key->kind) {
    case WORDS:
        return read_list(check, TEXT, value, to);
    case PLACES:
        return read_list(check, PLACE, value, to);
    case COUNT:
        return read_count(check, key, value, to);
    case FLAG:
        return read_flag(check, value, to);
    case UNIT:
        return read_unit(check, value, to);
    case PERIOD:
        return read_period(check, value, to);
    case FORM:
        return read_form(check, value, to);
    case MEDIUM:
        return read_medium(check, value, to);
    case STREAM:
        return read_stream_form(check, value, to);
    case HEADERS:
        return read_headers(check, value, to, (size_t *)(void *)(base + key->n));
    case PART:
        return read_object(check, key->keys, value, to);
    case ROWS:
        return read_rows(check, key, value, to, (size_t *)(void *)(base + key->n));
    case TEXT:
    case URL:
    case PATH:
    case HEADER:
    case PLACE:
        break;
    }
    return read_text(check, key->kind, value, to);
}

static const struct profile_member *find_key(const struct profile_member *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

static bool read_object(struct check *check, const struct profile_member *keys, json_object *tree,
                        void *to)
{
    if (!json_object_is_type(tree, json_type_object))
        return wrong(check, "not an object; write {...}");
    json_object_object_foreach(tree, name, value)
    {
        const struct profile_member *key = find_key(keys, name);
        size_t back = enter(check, name);
        if (!key)
            return unknown_key(check, keys);
        if (value && !read_value(check, key, value, to))
            return false;
        leave(check, back);
    }
    for (const struct profile_member *key = keys; key->name; key++) {
        json_object *there = NULL;
        if (!key->needed || (json_object_object_get_ex(tree, key->name, &there) && there))
            continue;
        enter(check, key->name);
        return wrong(check, "missing; name it, or start from another profile with \"like\"");
    }
    return true;
}

/* Each limit has a header that says what is left. */
static bool check_limits(struct check *check, const struct profile *profile)
{
    for (size_t i = 0; i < profile->n_limits; i++) {
        char at[40];
        if (profile->limits[i].remaining || profile->limits[i].state)
            continue;
        snprintf(at, sizeof(at), "limits[%zu].remaining", i);
        enter(check, at);
        return wrong(check, "missing; name the header that says what is left, or state");
    }
    return true;
}

int profile_build(const char *name, json_object *tree, struct profile *out, char *why)
{
    struct profile profile = {.name = name, .streams = true};
    struct check check = {.why = why};
    profile.request.default_output = 1024;
    profile.request.content_type = "application/json";
    profile.request.accept = "application/json";
    profile.request.stream_accept = "text/event-stream";
    profile.request.output = true;
    profile.should_retry = "x-should-retry";
    profile.counts.cached_input = true;
    profile.counts.cache_writes = true;
    profile.counts.output = 1;
    snprintf(check.path, sizeof(check.path), "%.64s", name);
    if (!is_line(name) || strpbrk(name, ", ")) {
        wrong(&check, "not the name of a profile; write one without spaces and commas");
        return RATION_EINVALID;
    }
    if (!read_object(&check, profile_members, tree, &profile))
        return RATION_EINVALID;
    if (profile.usage.input.n + profile.usage.output.n + profile.usage.total.n +
            profile.usage.cached.n + profile.usage.cache_writes.n + profile.usage.reasoning.n +
            profile.usage.audio.n >
        PROFILE_MAX_COUNTS) {
        wrong(&check, "usage has more than 24 counts in all; leave out some");
        return RATION_EINVALID;
    }
    if (!check_limits(&check, &profile))
        return RATION_EINVALID;
    *out = profile;
    return 0;
}
