/*
 * From the tree of one profile to struct profile, along one table of keys: what each key is called, what it holds, and where
 * it goes. A key that is not in the table is refused, as is a value of another kind, each with its path in the document and
 * what there should be, because a misspelt key that is ignored would be found when a bill comes.
 */
#include "profile_inner.h"

#include "media_size.h"

#include <stdio.h>
#include <string.h>

#define MAX_PATH_BYTES    96
#define MAX_OUTPUT_WEIGHT 1000
#define MAX_PRICE         10000000

enum kind {
    TEXT,    /* const char *: one line */
    URL,     /* the same, http:// or https:// */
    PATH,    /* the same, beginning with a slash */
    HEADER,  /* the same, a header's name */
    WORDS,   /* struct profile_words */
    PLACE,   /* const char * */
    PLACES,  /* struct profile_words */
    COUNT,   /* int64_t, min - max */
    FLAG,    /* bool */
    UNIT,    /* int64_t: enum ration_unit */
    PERIOD,  /* int64_t: milliseconds */
    FORM,    /* bool: milliseconds */
    MEDIUM,  /* int64_t: enum media_kind */
    STREAM,  /* enum profile_form */
    HEADERS, /* struct profile_fixed_header[], and their number */
    PART,    /* an object with keys of its own */
    ROWS,    /* a list of such objects, and their number */
};

struct key {
    const char *name;
    enum kind kind;
    size_t to; /* offset in the struct */
    size_t n;  /* ROWS, HEADERS: offset of the number of them */
    bool needed;
    int64_t min; /* COUNT */
    int64_t max;
    const struct key *keys; /* PART, ROWS: ends with a NULL name */
    size_t size;            /* ROWS: of one */
};

/* Where the checker is, for what it has to say. */
struct check {
    char path[MAX_PATH_BYTES];
    char *why;
};

/* clang-format off */
#define P(member) offsetof(struct profile, member)
#define AT(member) offsetof(struct profile_limit, member)

static const struct key key_keys[] = {
    {"header", HEADER, .to = P(key.header) - P(key), .needed = true},
    {"prefix", TEXT, .to = P(key.prefix) - P(key)},
    {"variable", TEXT, .to = P(key.variable) - P(key)},
    {"parameter", TEXT, .to = P(key.parameter) - P(key)},
    {"optional", FLAG, .to = P(key.optional) - P(key)},
    {0}};

static const struct key sign_keys[] = {
    {"service", TEXT, .to = P(sign.service) - P(sign), .needed = true},
    {"id", TEXT, .to = P(sign.id) - P(sign), .needed = true},
    {"secret", TEXT, .to = P(sign.secret) - P(sign), .needed = true},
    {"session", TEXT, .to = P(sign.session) - P(sign)},
    {0}};

#define D(member) offsetof(struct profile_media, member)
static const struct key media_keys[] = {
    {"at", PLACE, .to = D(at), .needed = true},
    {"key", PLACE, .to = D(key)},
    {"is", TEXT, .to = D(is)},
    {"kind", MEDIUM, .to = D(kind)},
    {"data", PLACES, .to = D(data), .needed = true},
    {"type", PLACES, .to = D(type)},
    {"detail", PLACE, .to = D(detail)},
    {0}};

#define PRICE(name, of, member) {name, COUNT, .to = offsetof(struct of, member), .min = 0, .max = MAX_PRICE}
static const struct key image_keys[] = {
    PRICE("low", profile_image, low),
    PRICE("base", profile_image, base),
    PRICE("tile", profile_image, tile),
    PRICE("tile_side", profile_image, tile_side),
    PRICE("pixels", profile_image, pixels),
    PRICE("long_side", profile_image, long_side),
    PRICE("short_side", profile_image, short_side),
    PRICE("small", profile_image, small),
    PRICE("small_side", profile_image, small_side),
    PRICE("most", profile_image, most),
    PRICE("unknown", profile_image, unknown),
    {0}};

static const struct key length_keys[] = {
    PRICE("each", profile_length, each),
    PRICE("bytes", profile_length, bytes),
    PRICE("unknown", profile_length, unknown),
    {0}};

#define R(member) (P(request.member) - P(request))
static const struct key request_keys[] = {
    {"text", PLACES, .to = R(text)},
    {"json", PLACES, .to = R(json)},
    {"max_output", PLACES, .to = R(max_output)},
    {"choices", PLACES, .to = R(choices)},
    {"default_output", COUNT, .to = R(default_output), .min = 1, .max = RATION_MAX_COST},
    {"ask_usage", PLACE, .to = R(ask_usage)},
    {"drop", WORDS, .to = R(drop)},
    {"content_type", TEXT, .to = R(content_type)},
    {"stream_accept", TEXT, .to = R(stream_accept)},
    {"output", FLAG, .to = R(output)},
    {"streams_by_default", FLAG, .to = R(streams_by_default)},
    {"tools_at", PLACE, .to = R(tools_at)},
    {"tools_tokens", COUNT, .to = R(tools_tokens), .min = 0, .max = MAX_PRICE},
    {"media", ROWS, .to = R(media), .n = R(n_media), .keys = media_keys, .size = sizeof(struct profile_media)},
    {"image", PART, .to = R(image), .keys = image_keys},
    {"document", PART, .to = R(document), .keys = length_keys},
    {"audio", PART, .to = R(audio), .keys = length_keys},
    {"video", PART, .to = R(video), .keys = length_keys},
    {0}};

#define A(member) (P(answer.member) - P(answer))
static const struct key answer_keys[] = {
    {"has", PLACES, .to = A(has), .needed = true},
    {"text", PLACES, .to = A(text)},
    {"failed_at", PLACES, .to = A(failed_at)},
    {"failed", WORDS, .to = A(failed)},
    {0}};

#define M(member) offsetof(struct profile_more, member)
static const struct key more_keys[] = {
    {"at", PLACE, .to = M(at), .needed = true},
    {"key", TEXT, .to = M(key), .needed = true},
    {"is", TEXT, .to = M(is), .needed = true},
    {0}};

#define U(member) (P(usage.member) - P(usage))
static const struct key usage_keys[] = {
    {"at", PLACES, .to = U(at), .needed = true},
    {"stream_at", PLACES, .to = U(stream_at)},
    {"input", PLACES, .to = U(input), .needed = true},
    {"output", PLACES, .to = U(output), .needed = true},
    {"total", PLACES, .to = U(total)},
    {"cached", PLACES, .to = U(cached)},
    {"cache_writes", PLACES, .to = U(cache_writes)},
    {"reasoning", PLACES, .to = U(reasoning)},
    {"audio", PLACES, .to = U(audio)},
    {"more", ROWS, .to = U(more), .n = U(n_more), .keys = more_keys, .size = sizeof(struct profile_more)},
    {"tier", PLACES, .to = U(tier)},
    {"tier_header", HEADER, .to = U(tier_header)},
    {"absent_is_zero", FLAG, .to = U(absent_is_zero)},
    {0}};

#define C(member) (P(counts.member) - P(counts))
static const struct key counts_keys[] = {
    {"cached_input", FLAG, .to = C(cached_input)},
    {"cache_writes", FLAG, .to = C(cache_writes)},
    {"output", COUNT, .to = C(output), .min = 0, .max = MAX_OUTPUT_WEIGHT},
    {0}};

#define S(member) (P(stream.member) - P(stream))
static const struct key stream_keys[] = {
    {"text", PLACES, .to = S(text)},
    {"text_events", WORDS, .to = S(text_events)},
    {"not_text", TEXT, .to = S(not_text)},
    {"form", STREAM, .to = S(form)},
    {"arguments", PLACES, .to = S(arguments)},
    {"arguments_events", WORDS, .to = S(arguments_events)},
    {"generated", PLACES, .to = S(generated)},
    {"generated_events", WORDS, .to = S(generated_events)},
    {"not_generated", WORDS, .to = S(not_generated)},
    {"begun", PLACES, .to = S(begun)},
    {"end_data", WORDS, .to = S(end_data)},
    {"end_events", WORDS, .to = S(end_events)},
    {"end_at", PLACES, .to = S(end_at)},
    {0}};

#define V(member) offsetof(struct profile_violations, member)
static const struct key word_unit_keys[] = {
    {"word", TEXT, .to = offsetof(struct profile_word_unit, word), .needed = true},
    {"unit", UNIT, .to = offsetof(struct profile_word_unit, unit), .needed = true},
    {0}};
static const struct key word_period_keys[] = {
    {"word", TEXT, .to = offsetof(struct profile_word_period, word), .needed = true},
    {"per", PERIOD, .to = offsetof(struct profile_word_period, per_ms), .needed = true},
    {0}};
static const struct key violations_keys[] = {
    {"at", PLACE, .to = V(at), .needed = true},
    {"id", PLACE, .to = V(id), .needed = true},
    {"limit", PLACE, .to = V(limit)},
    {"units", ROWS, .to = V(units), .n = V(n_units), .needed = true, .keys = word_unit_keys,
     .size = sizeof(struct profile_word_unit)},
    {"periods", ROWS, .to = V(periods), .n = V(n_periods), .needed = true, .keys = word_period_keys,
     .size = sizeof(struct profile_word_period)},
    {0}};

#define E(member) (P(errors.member) - P(errors))
static const struct key errors_keys[] = {
    {"at", PLACES, .to = E(at), .needed = true},
    {"message", PLACES, .to = E(message)},
    {"codes", PLACES, .to = E(codes)},
    {"events", WORDS, .to = E(events)},
    {"exhausted", WORDS, .to = E(exhausted)},
    {"exhausted_messages", WORDS, .to = E(exhausted_messages)},
    {"limited", WORDS, .to = E(limited)},
    {"overloaded", WORDS, .to = E(overloaded)},
    {"refused", WORDS, .to = E(refused)},
    {"delay", PLACES, .to = E(delay)},
    {"violations", PART, .to = E(violations), .keys = violations_keys},
    {0}};

static const struct key wait_keys[] = {
    {"header", HEADER, .to = offsetof(struct profile_wait, header), .needed = true},
    {"form", FORM, .to = offsetof(struct profile_wait, in_ms)},
    {0}};

static const struct key limit_keys[] = {
    {"unit", UNIT, .to = AT(unit), .needed = true},
    {"per", PERIOD, .to = AT(per_ms)},
    {"limit", HEADER, .to = AT(limit)},
    {"remaining", HEADER, .to = AT(remaining)},
    {"reset", HEADER, .to = AT(reset)},
    {"period", HEADER, .to = AT(period)},
    {"state", HEADER, .to = AT(state)},
    {"policy", HEADER, .to = AT(policy)},
    {"reset_may_be_ms", FLAG, .to = AT(reset_may_be_ms)},
    {0}};

static const struct key profile_keys[] = {
    {"source", TEXT, .to = P(source)},
    {"checked", TEXT, .to = P(checked)},
    {"url", URL, .to = P(url)},
    {"path", PATH, .to = P(path), .needed = true},
    {"stream_path", PATH, .to = P(stream_path)},
    {"versioned_path", PATH, .to = P(versioned_path)},
    {"versioned_base", FLAG, .to = P(versioned_base)},
    {"streams", FLAG, .to = P(streams)},
    {"key", PART, .to = P(key), .keys = key_keys},
    {"sign", PART, .to = P(sign), .keys = sign_keys},
    {"headers", HEADERS, .to = P(headers), .n = P(n_headers)},
    {"request", PART, .to = P(request), .keys = request_keys},
    {"answer", PART, .to = P(answer), .keys = answer_keys},
    {"usage", PART, .to = P(usage), .keys = usage_keys},
    {"counts", PART, .to = P(counts), .keys = counts_keys},
    {"stream", PART, .to = P(stream), .keys = stream_keys},
    {"errors", PART, .to = P(errors), .keys = errors_keys},
    {"should_retry", HEADER, .to = P(should_retry)},
    {"waits", ROWS, .to = P(waits), .n = P(n_waits), .keys = wait_keys, .size = sizeof(struct profile_wait)},
    {"limits", ROWS, .to = P(limits), .n = P(n_limits), .keys = limit_keys, .size = sizeof(struct profile_limit)},
    {0}};
/* clang-format on */

/* ---- Saying what is wrong ---- */

static bool wrong(const struct check *check, const char *remedy)
{
    snprintf(check->why, PROFILE_WHY_BYTES, "%s: %s", check->path, remedy);
    return false;
}

/* Goes one step down; gives where the path ended before, to come back. */
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

static bool unknown_key(struct check *check, const struct key *keys)
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
    for (const char *s = text; *s; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f ||
            strchr("()<>@,;:\\\"/[]?={}", *s))
            return false;
    }
    return text[0] != '\0';
}

static bool read_text(struct check *check, enum kind kind, json_object *value, const char **to)
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
static bool read_words(struct check *check, enum kind kind, json_object *value,
                       struct profile_words *to)
{
    if (!json_object_is_type(value, json_type_array)) {
        to->n = 1;
        return read_text(check, kind, value, &to->at[0]);
    }
    if (json_object_array_length(value) > PROFILE_MAX_WORDS)
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

static bool read_count(struct check *check, const struct key *key, json_object *value, int64_t *to)
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

static bool read_unit(struct check *check, json_object *value, int64_t *to)
{
#define UNIT_NAME(upper, name) name,
    static const char *const units[] = {RATION_UNITS(UNIT_NAME)};
#undef UNIT_NAME
    for (int i = 0; json_object_is_type(value, json_type_string) && i <= RATION_UNIT_OUTPUT_TOKENS;
         i++) {
        if (strcmp(units[i], json_object_get_string(value)) == 0) {
            *to = i;
            return true;
        }
    }
    return wrong(check, "not a unit; write requests, tokens, input_tokens or output_tokens");
}

static bool read_period(struct check *check, json_object *value, int64_t *to)
{
    static const struct {
        const char *name;
        int64_t ms;
    } periods[] = {{"second", 1000},
                   {"minute", 60000},
                   {"hour", 3600000},
                   {"day", 86400000},
                   {"month", INT64_C(2592000000)}};
    for (size_t i = 0;
         json_object_is_type(value, json_type_string) && i < sizeof(periods) / sizeof(periods[0]);
         i++) {
        if (strcmp(periods[i].name, json_object_get_string(value)) == 0) {
            *to = periods[i].ms;
            return true;
        }
    }
    return wrong(check, "not a period; write second, minute, hour, day or month");
}

static bool read_form(struct check *check, json_object *value, bool *to)
{
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    *to = strcmp(text, "ms") == 0;
    if (*to || strcmp(text, "seconds") == 0)
        return true;
    return wrong(check, "not a form; write ms, or seconds for everything else");
}

static bool read_medium(struct check *check, json_object *value, int64_t *to)
{
    static const struct {
        const char *name;
        enum media_kind kind;
    } kinds[] = {{"image", MEDIA_IMAGE},
                 {"document", MEDIA_DOCUMENT},
                 {"audio", MEDIA_AUDIO},
                 {"video", MEDIA_VIDEO}};
    for (size_t i = 0; json_object_is_type(value, json_type_string) && i < 4; i++) {
        if (strcmp(kinds[i].name, json_object_get_string(value)) == 0) {
            *to = kinds[i].kind;
            return true;
        }
    }
    return wrong(check, "not a kind; write image, document, audio or video");
}

static bool read_stream_form(struct check *check, json_object *value, enum profile_form *to)
{
    static const char *const forms[] = {"sse", "lines", "aws"};
    for (size_t i = 0; json_object_is_type(value, json_type_string) && i < 3; i++) {
        if (strcmp(forms[i], json_object_get_string(value)) == 0) {
            *to = (enum profile_form)i;
            return true;
        }
    }
    return wrong(check, "not a form of streams; write sse, lines or aws");
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

static bool read_object(struct check *check, const struct key *keys, json_object *tree, void *to);

static bool read_rows(struct check *check, const struct key *key, json_object *value, char *to,
                      size_t *n)
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

static bool read_value(struct check *check, const struct key *key, json_object *value, char *base)
{
    void *to = base + key->to;
    switch (key->kind) {
    case WORDS:
        return read_words(check, TEXT, value, to);
    case PLACES:
        return read_words(check, PLACE, value, to);
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

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

static bool read_object(struct check *check, const struct key *keys, json_object *tree, void *to)
{
    if (!json_object_is_type(tree, json_type_object))
        return wrong(check, "not an object; write {...}");
    json_object_object_foreach(tree, name, value)
    {
        const struct key *key = find_key(keys, name);
        size_t back = enter(check, name);
        if (!key)
            return unknown_key(check, keys);
        if (value && !read_value(check, key, value, to))
            return false;
        leave(check, back);
    }
    for (const struct key *key = keys; key->name; key++) {
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
    if (!read_object(&check, profile_keys, tree, &profile))
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
