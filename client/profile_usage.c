/*
 * What a call used: from an answer, or gathered from the events of a stream, and what of it counts.
 *
 * The profile names the provider's own counts and which of them make up the input and the output: Anthropic's input is the sum of
 * three, Gemini's output of two. An event tells some of them, and what it tells replaces what was told before, since every
 * provider's counts are cumulative over a stream; that is why each is kept apart and the sums are made anew.
 *
 * How it fails: counts that are missing, no whole numbers, negative or absurd are as if they were not there. Without the first
 * count of the input and of the output nothing is known, and the caller's estimate stands.
 */
#include "profile_inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- Reading ---- */

struct counts {
    json_object *at;
    int64_t *told; /* the next place in profile_usage.told */
};

static void take(struct counts *counts, const struct profile_words *words)
{
    for (size_t i = 0; i < words->n; i++) {
        int64_t n = 0;
        if (profile_first_count(counts->at, words->at[i], &n))
            counts->told[i] = n + 1;
    }
    counts->told += words->n;
}

static int64_t sum(struct counts *counts, const struct profile_words *words, bool *known)
{
    int64_t n = 0;
    *known = words->n > 0 && counts->told[0] > 0;
    for (size_t i = 0; i < words->n; i++)
        n += counts->told[i] > 0 ? counts->told[i] - 1 : 0;
    counts->told += words->n;
    return n;
}

/* The order of the lists is that of profile_usage.told. */
static void take_all(const struct profile *profile, json_object *at, struct profile_usage *usage)
{
    struct counts counts = {at, usage->told};
    take(&counts, &profile->usage.input);
    take(&counts, &profile->usage.output);
    take(&counts, &profile->usage.cached);
    take(&counts, &profile->usage.cache_writes);
    take(&counts, &profile->usage.reasoning);
}

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

static void add_up(const struct profile *profile, struct profile_usage *usage)
{
    struct counts counts = {NULL, usage->told};
    bool input_known = false;
    bool output_known = false;
    bool ignored = false;
    int64_t input = sum(&counts, &profile->usage.input, &input_known);
    int64_t output = sum(&counts, &profile->usage.output, &output_known);
    int64_t cached = sum(&counts, &profile->usage.cached, &ignored);
    int64_t writes = sum(&counts, &profile->usage.cache_writes, &ignored);
    int64_t reasoning = sum(&counts, &profile->usage.reasoning, &ignored);
    if (!input_known || (!output_known && !profile->usage.absent_is_zero) ||
        input + output > RATION_MAX_COST)
        return;
    usage->known = true;
    usage->input = input;
    usage->output = output;
    usage->cached = at_most(cached, input);
    usage->cache_writes = at_most(writes, input - usage->cached);
    usage->reasoning = at_most(reasoning, output);
}

bool profile_read_usage(const struct profile *profile, json_object *answer,
                        struct profile_usage *usage)
{
    struct profile_usage read = {0};
    for (size_t i = 0; i < profile->usage.at.n; i++) {
        json_object *at = profile_first(answer, profile->usage.at.at[i]);
        if (at)
            take_all(profile, at, &read);
    }
    add_up(profile, &read);
    if (read.known)
        *usage = read;
    return read.known;
}

/* ---- Streams ---- */

/* Where the stream does not name its events, their data may. */
static const char *name_of(const char *name, json_object *event)
{
    if (name && name[0] && strcmp(name, "message") != 0)
        return name;
    return profile_first_text(event, "type");
}

static bool is_end(const struct profile *profile, const char *name, const char *data,
                   json_object *event)
{
    if (profile_has_word(&profile->stream.end_data, data) ||
        profile_has_word(&profile->stream.end_events, name_of(name, event)))
        return true;
    for (size_t i = 0; i < profile->stream.end_at.n; i++) {
        if (profile_first(event, profile->stream.end_at.at[i]))
            return true;
    }
    return false;
}

bool profile_read_event(const struct profile *profile, const char *name, const char *data,
                        json_object *event, struct profile_usage *usage)
{
    bool any = false;
    for (size_t i = 0; i < profile->usage.stream_at.n; i++) {
        json_object *at = profile_first(event, profile->usage.stream_at.at[i]);
        if (!at)
            continue;
        take_all(profile, at, usage);
        any = true;
    }
    if (any)
        add_up(profile, usage);
    return is_end(profile, name, data, event);
}

/* ---- Text ---- */

/* One text is lent as it stands; of several (the parts of one event) a copy is made. */
struct texts {
    const struct profile *profile;
    const char *key; /* the last member of the place that is visited */
    const char *only;
    size_t n;
    char *joined;
    size_t len;
};

static void join(struct texts *texts, const char *text)
{
    size_t more = strlen(text);
    char *grown = realloc(texts->joined, texts->len + more + 1);
    if (!grown)
        return;
    memcpy(grown + texts->len, text, more + 1);
    texts->joined = grown;
    texts->len += more;
}

static bool add_text(void *arg, json_object *value)
{
    struct texts *texts = arg;
    if (!json_object_is_type(value, json_type_string))
        return true;
    const char *text = json_object_get_string(value);
    if (text[0] == '\0')
        return true;
    if (texts->n == 1)
        join(texts, texts->only);
    if (texts->n > 0)
        join(texts, text);
    texts->only = text;
    texts->n++;
    return true;
}

/* What stands in an object that says it is no answer ("thought": true) is left out. */
static bool add_unless(void *arg, json_object *holder)
{
    struct texts *texts = arg;
    json_object *mark = NULL;
    json_object *value = NULL;
    if (!json_object_is_type(holder, json_type_object) ||
        (json_object_object_get_ex(holder, texts->profile->stream.not_text, &mark) &&
         json_object_get_boolean(mark)))
        return true;
    if (json_object_object_get_ex(holder, texts->key, &value) && value)
        add_text(texts, value);
    return true;
}

static void free_joined(json_object *event, void *joined)
{
    (void)event;
    free(joined);
}

static void visit_holders(struct texts *texts, json_object *event, const char *place)
{
    const char *last = strrchr(place, '.');
    char holder[256];
    if (!last || (size_t)(last - place) >= sizeof(holder))
        return;
    memcpy(holder, place, (size_t)(last - place));
    holder[last - place] = '\0';
    texts->key = last + 1;
    profile_visit(event, holder, add_unless, texts);
}

const char *profile_event_text(const struct profile *profile, const char *name, json_object *event)
{
    struct texts texts = {.profile = profile};
    if (profile->stream.text_events.n > 0 &&
        !profile_has_word(&profile->stream.text_events, name_of(name, event)))
        return NULL;
    for (size_t i = 0; i < profile->stream.text.n; i++) {
        if (profile->stream.not_text)
            visit_holders(&texts, event, profile->stream.text.at[i]);
        else
            profile_visit(event, profile->stream.text.at[i], add_text, &texts);
    }
    if (!texts.joined)
        return texts.only;
    json_object_set_userdata(event, texts.joined, free_joined);
    return texts.joined;
}

/* ---- What counts ---- */

/* 0 means "not stated" in an amount. */
static int64_t stated(int64_t n)
{
    if (n > RATION_MAX_COST)
        return RATION_MAX_COST;
    return n <= 0 ? RATION_ZERO : n;
}

void profile_count(const struct profile *profile, const struct profile_usage *usage,
                   struct ration_amounts *used)
{
    int64_t input = usage->input;
    if (!profile->counts.cached_input)
        input -= usage->cached;
    if (!profile->counts.cache_writes)
        input -= usage->cache_writes;
    used->input_tokens = stated(input);
    used->output_tokens = stated(usage->output);
    used->tokens = stated(input + usage->output * profile->counts.output);
}
