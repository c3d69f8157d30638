/*
 * What a request says of itself: whether it wants a stream, how long its prompt is, and the most that it may answer.
 *
 * With no better knowledge a call is estimated at a quarter of its prompt's characters, rounded up, plus the most that it may
 * answer, of each choice. Without either, a model may answer up to its own limit, which no request says, so the profile has a
 * guess. A body that the provider will not like is the provider's to refuse; refused here is only what would make the
 * estimate meaningless.
 */
#include "profile_inner.h"

#include <stdio.h>
#include <string.h>

#define CHARACTERS_PER_TOKEN 4
#define MAX_CHOICES          128

/* Code points of UTF-8: every byte counts that does not continue one. */
static int64_t count_characters(const char *text, size_t len)
{
    int64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

static bool add_text(void *arg, json_object *value)
{
    int64_t *n = arg;
    if (json_object_is_type(value, json_type_string))
        *n += count_characters(json_object_get_string(value),
                               (size_t)json_object_get_string_len(value));
    return true;
}

/* Tools and their like reach the model much as they are written. */
static bool add_json(void *arg, json_object *value)
{
    int64_t *n = arg;
    size_t len = 0;
    const char *text = json_object_to_json_string_length(
        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
    if (text)
        *n += count_characters(text, len);
    return true;
}

static int64_t count_prompt(const struct profile *profile, json_object *body)
{
    int64_t n = 0;
    for (size_t i = 0; i < profile->request.text.n; i++)
        profile_visit(body, profile->request.text.at[i], add_text, &n);
    for (size_t i = 0; i < profile->request.json.n; i++)
        profile_visit(body, profile->request.json.at[i], add_json, &n);
    return (n + CHARACTERS_PER_TOKEN - 1) / CHARACTERS_PER_TOKEN;
}

/* The first of the places that is set. */
static int read_most(const struct profile *profile, json_object *body, int64_t *out, char *why)
{
    *out = profile->request.default_output;
    for (size_t i = 0; i < profile->request.max_output.n; i++) {
        const char *place = profile->request.max_output.at[i];
        if (!profile_first(body, place))
            continue;
        if (profile_first_count(body, place, out))
            return 0;
        snprintf(why, PROFILE_WHY_BYTES,
                 "the body's %.100s is not a number of tokens; write a whole number", place);
        return RATION_EINVALID;
    }
    return 0;
}

/* The largest of the places that are set. */
static int read_choices(const struct profile *profile, json_object *body, int64_t *out, char *why)
{
    *out = 1;
    for (size_t i = 0; i < profile->request.choices.n; i++) {
        const char *place = profile->request.choices.at[i];
        int64_t n = 0;
        if (!profile_first(body, place))
            continue;
        if (!profile_first_count(body, place, &n) || n < 1 || n > MAX_CHOICES) {
            snprintf(why, PROFILE_WHY_BYTES, "the body's %.100s is not 1 - %d; write such a number",
                     place, MAX_CHOICES);
            return RATION_EINVALID;
        }
        *out = n > *out ? n : *out;
    }
    return 0;
}

int profile_read_request(const struct profile *profile, json_object *body,
                         struct profile_request *out, char *why)
{
    int64_t most = 0;
    int64_t choices = 1;
    if (!json_object_is_type(body, json_type_object)) {
        snprintf(why, PROFILE_WHY_BYTES, "the body is not a JSON object; write {...}");
        return RATION_EINVALID;
    }
    int err = read_most(profile, body, &most, why);
    if (err == 0)
        err = read_choices(profile, body, &choices, why);
    if (err < 0)
        return err;
    int64_t input = count_prompt(profile, body);
    out->streamed = json_object_get_boolean(profile_first(body, "stream"));
    out->input_tokens = input > RATION_MAX_COST ? RATION_MAX_COST : input;
    out->output_tokens = most > RATION_MAX_COST / choices ? RATION_MAX_COST : most * choices;
    return 0;
}

/* 0 means "not stated" in an amount. */
static int64_t stated(int64_t n)
{
    return n == 0 ? RATION_ZERO : n;
}

/*
 * A caller that states only the sum has said all: the server charges it to either part until the report. Where output does not
 * count as tokens, the sum is stated as well, because the server would make it of both parts.
 */
void profile_estimate(const struct profile *profile, const struct profile_request *request,
                      struct ration_amounts *estimate)
{
    if (estimate->tokens != 0)
        return;
    if (estimate->input_tokens == 0)
        estimate->input_tokens = stated(request->input_tokens);
    if (estimate->output_tokens == 0)
        estimate->output_tokens = stated(request->output_tokens);
    if (profile->counts.output == 0)
        estimate->tokens = estimate->input_tokens;
}

/* ---- What is sent ---- */

/* Sets the member at "stream_options.include_usage" to true, making the object it is in. False: it is there already, what is
 * in its way is no object, or memory ran out. */
static bool set_true(json_object *body, const char *place)
{
    char key[PROFILE_KEY_BYTES];
    size_t len = strcspn(place, ".[");
    json_object *member = NULL;
    if (len >= sizeof(key) || place[len] == '[' || !json_object_is_type(body, json_type_object))
        return false;
    memcpy(key, place, len);
    key[len] = '\0';
    if (json_object_object_get_ex(body, key, &member) && member)
        return place[len] == '.' && set_true(member, place + len + 1);
    member = place[len] == '.' ? json_object_new_object() : json_object_new_boolean(1);
    if (!member || (place[len] == '.' && !set_true(member, place + len + 1)) ||
        json_object_object_add(body, key, member) < 0) {
        json_object_put(member);
        return false;
    }
    return true;
}

bool profile_prepare_stream(const struct profile *profile, json_object *body)
{
    bool changed = false;
    if (!json_object_is_type(body, json_type_object))
        return false;
    if (profile->request.ask_usage && json_object_get_boolean(profile_first(body, "stream")))
        changed = set_true(body, profile->request.ask_usage);
    for (size_t i = 0; i < profile->request.drop.n; i++) {
        const char *key = profile->request.drop.at[i];
        if (json_object_object_get_ex(body, key, NULL)) {
            json_object_object_del(body, key);
            changed = true;
        }
    }
    return changed;
}
