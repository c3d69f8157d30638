/*
 * What went wrong: the class of an answer, which says whether it may be retried, and the provider's own words.
 *
 * The status decides; the body only tells apart what the status does not. A code that the profile lists as "exhausted" makes a
 * 4xx one that no wait will help: only codes are looked at, never the message, because whatever is read here closes the
 * pool for everybody, and messages may quote what users wrote. A body that is no JSON changes nothing.
 */
#include "profile_inner.h"

#include <stdio.h>
#include <string.h>

/* Some servers give errors of streams as a list of one. */
static json_object *unwrap(json_object *body)
{
    return json_object_is_type(body, json_type_array) ? json_object_array_get_idx(body, 0) : body;
}

static json_object *find_error(const struct profile *profile, json_object *body)
{
    body = unwrap(body);
    for (size_t i = 0; i < profile->errors.at.n; i++) {
        json_object *error = profile_first(body, profile->errors.at.at[i]);
        if (json_object_is_type(error, json_type_object))
            return error;
    }
    return NULL;
}

/* The code of the error that is in the list, or NULL. */
static const char *code_among(const struct profile *profile, json_object *error,
                              const struct profile_words *list)
{
    for (size_t i = 0; i < profile->errors.codes.n; i++) {
        const char *code = profile_first_text(error, profile->errors.codes.at[i]);
        for (size_t k = 0; code && k < list->n; k++) {
            if (strcmp(list->at[k], code) == 0)
                return list->at[k];
        }
    }
    return NULL;
}

const char *profile_exhausted(const struct profile *profile, json_object *body)
{
    return code_among(profile, find_error(profile, body), &profile->errors.exhausted);
}

enum profile_class profile_classify(const struct profile *profile, int http_status,
                                    json_object *body)
{
    if (http_status >= 200 && http_status < 300)
        return PROFILE_ANSWERED;
    if (http_status == 503 || http_status == 529)
        return PROFILE_OVERLOADED;
    if (http_status >= 500)
        return PROFILE_FAILED;
    if (http_status >= 400 && profile_exhausted(profile, body))
        return PROFILE_EXHAUSTED;
    return http_status == 429 ? PROFILE_LIMITED : PROFILE_REFUSED;
}

enum profile_class profile_classify_event(const struct profile *profile, json_object *event)
{
    json_object *error = find_error(profile, event);
    if (!error || error == event)
        return PROFILE_ANSWERED;
    if (code_among(profile, error, &profile->errors.exhausted))
        return PROFILE_EXHAUSTED;
    if (code_among(profile, error, &profile->errors.overloaded))
        return PROFILE_OVERLOADED;
    if (code_among(profile, error, &profile->errors.limited))
        return PROFILE_LIMITED;
    return PROFILE_FAILED;
}

/* Words for logs and terminals: control characters would act there. */
static void make_printable(char *text)
{
    for (char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    }
}

static const char *first_of(json_object *error, const struct profile_words *places)
{
    for (size_t i = 0; i < places->n; i++) {
        const char *text = profile_first_text(error, places->at[i]);
        if (text && text[0])
            return text;
    }
    return NULL;
}

void profile_error_words(const struct profile *profile, json_object *body, char *buf, size_t cap)
{
    json_object *error = find_error(profile, body);
    const char *code = first_of(error, &profile->errors.codes);
    const char *message = first_of(error, &profile->errors.message);
    /* Some servers have a plain text where others have an object. */
    for (size_t i = 0; !error && !message && i < profile->errors.at.n; i++)
        message = profile_first_text(unwrap(body), profile->errors.at.at[i]);
    if (cap == 0)
        return;
    snprintf(buf, cap, "%s%s%s", code ? code : "", code && message ? ": " : "",
             message ? message : "");
    make_printable(buf);
}
