/*
 * What a request asks for: whether it wants a stream, how long its prompt is, and its maximum for
 * the answer.
 *
 * Without better knowledge a call is estimated at a quarter of its prompt's characters, rounded up,
 * plus the maximum for the answer, of each choice. Without a maximum a model may answer up to its
 * own limit, which no request states, so the profile has a guess. A maximum that is not a number of
 * tokens ("100", -1, 0) is ignored: refusing such a body is left to the provider.
 *
 * The caller's own text is sent; the tree that is read here serves the estimate only.
 */
#include "profile/profile_inner.h"

#include "profile/jtext.h"
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHARACTERS_PER_TOKEN 4
#define MAX_DEPTH            1000

/* Counts the bytes of UTF-8 that do not continue a character. */
int64_t profile_count_characters(const char *text, size_t len)
{
    int64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

int64_t profile_tokens_of(int64_t characters)
{
    return (characters + CHARACTERS_PER_TOKEN - 1) / CHARACTERS_PER_TOKEN;
}

/* The prompt so far. */
struct prompt {
    const struct profile *profile;
    int64_t characters;
    int64_t tokens; /* of everything but text */
};

static bool add_text(void *arg, json_object *value)
{
    struct prompt *prompt = arg;
    if (!json_object_is_type(value, json_type_string))
        return true;
    const char *text = json_object_get_string(value);
    size_t n = (size_t)json_object_get_string_len(value);
    if (!profile_price_text(prompt->profile, text, n, &prompt->tokens))
        prompt->characters += profile_count_characters(text, n);
    return true;
}

/* As JSON is written: with its quotes and escapes. */
static int64_t count_quoted(const char *text, size_t len)
{
    int64_t n = profile_count_characters(text, len) + 2;
    for (size_t i = 0; i < len; i++) {
        if (strchr("\"\\\n\r\t\b\f", text[i]) && text[i])
            n++;
        else if ((unsigned char)text[i] < 0x20)
            n += 5;
    }
    return n;
}

/* Tools and the like reach the model much as they are written, except for data in them. Goes as
 * deep as the body does. */
static bool add_json(void *arg, json_object *value)
{
    struct prompt *prompt = arg;
    if (json_object_is_type(value, json_type_string)) {
        const char *text = json_object_get_string(value);
        size_t n = (size_t)json_object_get_string_len(value);
        if (!profile_price_text(prompt->profile, text, n, &prompt->tokens))
            prompt->characters += count_quoted(text, n);
    } else if (json_object_is_type(value, json_type_object)) {
        size_t members = 0;
        json_object_object_foreach(value, name, member)
        {
            prompt->characters += count_quoted(name, strlen(name)) + 1 + (members++ > 0);
            add_json(arg, member);
        }
        prompt->characters += 2;
    } else if (json_object_is_type(value, json_type_array)) {
        size_t n = json_object_array_length(value);
        for (size_t i = 0; i < n; i++)
            add_json(arg, json_object_array_get_idx(value, i));
        prompt->characters += n > 0 ? (int64_t)n + 1 : 2;
    } else {
        const char *text = value ? json_object_to_json_string(value) : "null";
        prompt->characters += text ? (int64_t)strlen(text) : 0;
    }
    return true;
}

static int64_t count_prompt(const struct profile *profile, json_object *body)
{
    struct prompt prompt = {.profile = profile};
    for (size_t i = 0; i < profile->request.text.n; i++)
        profile_visit(body, profile->request.text.at[i], add_text, &prompt);
    for (size_t i = 0; i < profile->request.json.n; i++)
        profile_visit(body, profile->request.json.at[i], add_json, &prompt);
    prompt.tokens += profile_price_media(profile, body);
    if (profile->request.tools_at && profile_first(body, profile->request.tools_at))
        prompt.tokens += profile->request.tools_tokens;
    return prompt.tokens + profile_tokens_of(prompt.characters);
}

/* A number above zero, whole or not. */
static bool is_stated(json_object *value, int64_t *out)
{
    double number = 0;
    if (json_object_is_type(value, json_type_int))
        number = (double)json_object_get_int64(value);
    else if (json_object_is_type(value, json_type_double))
        number = json_object_get_double(value);
    if (!(number > 0))
        return false;
    *out = number >= (double)RATION_MAX_COST ? RATION_MAX_COST : (int64_t)number;
    *out += (double)*out < number && *out < RATION_MAX_COST;
    return true;
}

/* The first of the places that is set; 0: none is. */
static int64_t read_most(const struct profile *profile, json_object *body)
{
    int64_t n = 0;
    for (size_t i = 0; i < profile->request.max_output.n; i++) {
        if (is_stated(profile_first(body, profile->request.max_output.at[i]), &n))
            return n;
    }
    return 0;
}

static int64_t times(int64_t n, int64_t choices)
{
    return n > RATION_MAX_COST / choices ? RATION_MAX_COST : n * choices;
}

/* The largest of the places that are set. */
static int64_t read_choices(const struct profile *profile, json_object *body)
{
    int64_t most = 1;
    for (size_t i = 0; i < profile->request.choices.n; i++) {
        int64_t n = 0;
        if (is_stated(profile_first(body, profile->request.choices.at[i]), &n) && n > most)
            most = n;
    }
    return most;
}

int profile_read_request(const struct profile *profile, json_object *body,
                         struct profile_request *out, char *why)
{
    if (!json_object_is_type(body, json_type_object))
        return profile_fail(why, "the body is not a JSON object; write {...}");
    int64_t most = profile->request.output ? read_most(profile, body) : 0;
    int64_t choices = read_choices(profile, body);
    int64_t input = count_prompt(profile, body);
    out->streamed = profile_wants_stream(profile, body);
    out->input_tokens = input > RATION_MAX_COST ? RATION_MAX_COST : input;
    out->most_output = times(most, choices);
    out->elsewhere = false;
    for (size_t i = 0; i < profile->request.elsewhere.n && !out->elsewhere; i++)
        out->elsewhere = profile_first(body, profile->request.elsewhere.at[i]) != NULL;
    if (profile->request.output && most == 0)
        most = profile->request.default_output;
    out->output_tokens = times(most, choices);
    return 0;
}

/* A caller that states only the sum has stated all: the server charges it to either part until the
 * report. If output does not count as tokens, or there is none, the sum is stated as well, because
 * the server would add up both parts. */
void profile_estimate(const struct profile *profile, const struct profile_request *request,
                      struct ration_amounts *estimate)
{
    if (estimate->tokens != 0)
        return;
    if (estimate->input_tokens == 0)
        estimate->input_tokens = profile_stated(request->input_tokens);
    if (estimate->output_tokens == 0)
        estimate->output_tokens = profile_stated(request->output_tokens);
    if (profile->counts.output == 0 || !profile->request.output)
        estimate->tokens = estimate->input_tokens;
}

/* ---- Reading ---- */

static bool is_blank(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && parse_is_space(text[i]))
        i++;
    return i == n;
}

int profile_parse_body(const char *text, size_t n, json_object **out, char *why)
{
    size_t mark = parse_mark_bytes(text, n);
    text += mark;
    n -= mark;
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (!tokener)
        return profile_no_memory("body", why);
    json_object *body = json_tokener_parse_ex(tokener, text, (int)n);
    enum json_tokener_error parsed = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (parsed == json_tokener_success && json_object_is_type(body, json_type_object)) {
        *out = body;
        return 0;
    }
    /* Without memory json-c returns NULL and calls it success, as for the literal null. */
    const char *null = memchr(text, 'n', n);
    bool no_memory =
        parsed == json_tokener_success && !body && !(null && is_blank(text, (size_t)(null - text)));
    json_object_put(body);
    if (no_memory)
        return profile_no_memory("body", why);
    const char *what = json_tokener_error_desc(parsed);
    if (parsed == json_tokener_success)
        what = "it is something else";
    else if (parsed == json_tokener_continue)
        what = "it ends too early";
    else if (parsed == json_tokener_error_depth)
        what = "it is nested more than 1,000 levels deep";
    return profile_fail(why, "the body is not a JSON object: %s", what);
}

/* ---- What is sent ---- */

int profile_make_body(const struct profile *profile, const char *text, size_t n, bool streamed,
                      bool ask_usage, char **out, size_t *out_n)
{
    char *dropped = NULL;
    size_t dropped_n = 0;
    *out = NULL;
    int done = jtext_drop(text, n, profile->request.drop.at, profile->request.drop.n, &dropped,
                          &dropped_n);
    if (done < 0 || !streamed || !ask_usage || !profile->request.ask_usage) {
        *out = dropped;
        *out_n = dropped_n;
        return done;
    }
    int set = jtext_set(dropped ? dropped : text, dropped ? dropped_n : n,
                        profile->request.ask_usage, "true", false, out, out_n);
    if (set == 0) {
        *out = dropped;
        *out_n = dropped_n;
        return done;
    }
    free(dropped);
    return set;
}

bool profile_refuses_usage(const struct profile *profile, int http_status, const char *body)
{
    char name[PROFILE_KEY_BYTES];
    const char *place = profile->request.ask_usage;
    if (!place || !body || (http_status != 400 && http_status != 422))
        return false;
    /* Servers name it in the message, in "param", or in a list that locates the error. */
    size_t len = strcspn(place, ".[");
    snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), place);
    return strstr(body, name) != NULL;
}
