/*
 * What a call used: from an answer, or gathered from the events of a stream, and how much of it
 * counts.
 *
 * The profile names the provider's own counts and which of them make up the input and the output:
 * Anthropic's input is the sum of three, Gemini's output of two. Each is kept apart and the sums
 * are made again with every event, because an event reports only some of them.
 *
 * What a provider reports of one call may contradict itself: a later event repeats the input as 0,
 * the total has tokens that no part has, there is a total and nothing else. Then the largest value
 * counts: counts of a stream are cumulative and never fall, and the excess of a total over its
 * parts is output. All zeros mean nothing, since a call that used nothing was not made.
 *
 * How it fails: a count that is missing, negative, or not a number is ignored; an absurd one is
 * capped at RATION_MAX_COST here, and at what is possible in the settlement (settlement.c).
 */
#include "profile/profile_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ---- */

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

/* Accepts 10, "10", 10.0 and 14417.92; a fraction is rounded up. */
static bool read_count(json_object *value, int64_t *out)
{
    if (json_object_is_type(value, json_type_int)) {
        int64_t n = json_object_get_int64(value);
        *out = at_most(n, RATION_MAX_COST);
        return n >= 0;
    }
    double n = -1;
    if (json_object_is_type(value, json_type_double)) {
        n = json_object_get_double(value);
    } else if (json_object_is_type(value, json_type_string)) {
        const char *text = json_object_get_string(value);
        size_t digits = strspn(text, "0123456789.");
        if (digits > 0 && digits < 32 && text[digits] == '\0')
            n = json_object_get_double(value);
    }
    if (!(n >= 0)) /* so that NaN fails */
        return false;
    *out = n >= RATION_MAX_COST ? RATION_MAX_COST : (int64_t)n;
    *out += (double)*out < n && *out < RATION_MAX_COST;
    return true;
}

/* ---- Reading ---- */

/* Goes through the lists of counts, and in step through the numbers that are kept for them. */
struct counts {
    json_object *at;
    int64_t *reported; /* the next place in profile_usage.reported */
};

static void take(struct counts *counts, const struct profile_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        int64_t n = 0;
        if (read_count(profile_first(counts->at, list->at[i]), &n) && n + 1 > counts->reported[i])
            counts->reported[i] = n + 1;
    }
    counts->reported += list->n;
}

static int64_t sum(struct counts *counts, const struct profile_list *list, bool *known)
{
    int64_t n = 0;
    *known = false;
    for (size_t i = 0; i < list->n; i++) {
        *known |= counts->reported[i] > 0;
        n += counts->reported[i] > 0 ? counts->reported[i] - 1 : 0;
    }
    counts->reported += list->n;
    return at_most(n, RATION_MAX_COST);
}

/* What the main counts leave out: the same counts, in objects of their own. */
struct more {
    const struct profile *profile;
    const struct profile_more *row;
    int64_t input;
    int64_t output;
};

static int64_t add_counts(json_object *at, const struct profile_list *list)
{
    int64_t all = 0;
    for (size_t i = 0; i < list->n; i++) {
        int64_t n = 0;
        if (read_count(profile_first(at, list->at[i]), &n))
            all += n;
    }
    return all;
}

static bool add_more(void *arg, json_object *value)
{
    struct more *more = arg;
    const char *is = profile_first_text(value, more->row->key);
    if (is && strcmp(is, more->row->is) == 0) {
        more->input =
            at_most(more->input + add_counts(value, &more->profile->usage.input), RATION_MAX_COST);
        more->output = at_most(more->output + add_counts(value, &more->profile->usage.output),
                               RATION_MAX_COST);
    }
    return true;
}

static void take_more(const struct profile *profile, json_object *at, struct profile_usage *usage)
{
    struct more more = {.profile = profile};
    for (size_t i = 0; i < profile->usage.n_more; i++) {
        more.row = &profile->usage.more[i];
        profile_visit(at, more.row->at, add_more, &more);
    }
    if (more.input > usage->more_input)
        usage->more_input = more.input;
    if (more.output > usage->more_output)
        usage->more_output = more.output;
}

/* The order of the lists is that of profile_usage.reported. */
static void take_all(const struct profile *profile, json_object *at, struct profile_usage *usage)
{
    struct counts counts = {at, usage->reported};
    take(&counts, &profile->usage.input);
    take(&counts, &profile->usage.output);
    take(&counts, &profile->usage.total);
    take(&counts, &profile->usage.cached);
    take(&counts, &profile->usage.cache_writes);
    take(&counts, &profile->usage.reasoning);
    take(&counts, &profile->usage.audio);
    take_more(profile, at, usage);
}

static void take_tier(const struct profile *profile, json_object *root, struct profile_usage *usage)
{
    for (size_t i = 0; i < profile->usage.tier.n; i++) {
        const char *tier = profile_first_text(root, profile->usage.tier.at[i]);
        if (tier && tier[0])
            snprintf(usage->tier, sizeof(usage->tier), "%s", tier);
    }
}

/* ---- Adding up ---- */

/* What a total adds to its parts. */
static void apply_total(const struct profile *profile, struct profile_usage *usage, int64_t total)
{
    int64_t parts = usage->input + usage->output;
    if (usage->input_known) {
        usage->output += total > parts ? total - parts : 0;
        usage->output_known = true;
    } else if (usage->output_known && total > parts) {
        usage->input = total - parts;
        usage->input_known = true;
    } else if (!profile->request.output) {
        usage->input = total;
        usage->input_known = true;
    }
}

static void add_up(const struct profile *profile, struct profile_usage *usage)
{
    struct counts counts = {NULL, usage->reported};
    bool total_known = false;
    bool ignored = false;
    usage->input = sum(&counts, &profile->usage.input, &usage->input_known);
    usage->output = sum(&counts, &profile->usage.output, &usage->output_known);
    int64_t total = sum(&counts, &profile->usage.total, &total_known);
    int64_t cached = sum(&counts, &profile->usage.cached, &ignored);
    int64_t writes = sum(&counts, &profile->usage.cache_writes, &ignored);
    int64_t reasoning = sum(&counts, &profile->usage.reasoning, &ignored);
    int64_t audio = sum(&counts, &profile->usage.audio, &ignored);
    if (total_known)
        apply_total(profile, usage, total);
    if (usage->input_known && profile->usage.absent_is_zero)
        usage->output_known = true;
    usage->input = at_most(usage->input + usage->more_input, RATION_MAX_COST);
    usage->output = at_most(usage->output + usage->more_output, RATION_MAX_COST);
    int64_t parts = usage->input + usage->output;
    usage->total = total > parts ? total : parts;
    usage->known = usage->input_known && usage->output_known && usage->total > 0;
    usage->cached = at_most(cached, usage->input);
    usage->cache_writes = at_most(writes, usage->input - usage->cached);
    usage->reasoning = at_most(reasoning, usage->output);
    usage->audio = at_most(audio, parts);
}

bool profile_read_usage(const struct profile *profile, json_object *answer,
                        struct profile_usage *usage)
{
    struct profile_usage read = {0};
    memcpy(read.tier, usage->tier, sizeof(read.tier));
    for (size_t i = 0; i < profile->usage.at.n; i++) {
        json_object *at = profile_first(answer, profile->usage.at.at[i]);
        if (at)
            take_all(profile, at, &read);
    }
    take_tier(profile, answer, &read);
    add_up(profile, &read);
    if (read.total == 0 && !read.tier[0])
        return false;
    *usage = read;
    return read.total > 0;
}

/* ---- Streams ---- */

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
    take_tier(profile, event, usage);
    return profile_has_word(&profile->stream.end_data, data) ||
           profile_has_word(&profile->stream.end_events, profile_event_name(name, event));
}

/* ---- What counts ---- */

int64_t profile_stated(int64_t n)
{
    return n > 0 ? at_most(n, RATION_MAX_COST) : RATION_ZERO;
}

void profile_count(const struct profile *profile, const struct profile_usage *usage,
                   struct ration_amounts *used)
{
    int64_t input = usage->input;
    if (!profile->counts.cached_input)
        input -= usage->cached;
    if (!profile->counts.cache_writes)
        input -= usage->cache_writes;
    used->input_tokens = profile_stated(input);
    used->output_tokens = profile_stated(usage->output);
    used->tokens = profile_stated(input + usage->output * profile->counts.output);
}

int64_t profile_output_weight(const struct profile *profile)
{
    return profile->counts.output;
}
