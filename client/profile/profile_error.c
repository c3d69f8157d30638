/*
 * What went wrong: whether a whole answer or an event is an error, its class, which decides whether
 * it may be retried, and the provider's own words.
 *
 * Providers report errors in many forms: an object or a text under "error", an object whose own
 * fields say it ("object": "error", {"message", "code"}), an event that is called error, a status
 * "failed" in an answer. All of them become one thing here: the value that is the error, which
 * find_error() looks for once. Its codes decide its class, be they words that the profile lists or
 * numbers that are HTTP statuses; only if no code says that money is gone do the beginnings of
 * messages count, because that closes the pool for everybody, and a message may quote in its middle
 * what users wrote.
 */
#include "profile/profile_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPEND_LIMIT      "spend_limit"            /* if only a message says that money is gone */
#define PAYMENT_REQUIRED "payment_required"       /* if only the status does: 402 */
#define LONGEST_MS       (INT64_C(32) * 86400000) /* later dates are not believed */

/* ---- Finding it ---- */

/* Some servers send errors of streams as a list of one. */
static json_object *unwrap(json_object *body)
{
    return json_object_is_type(body, json_type_array) ? json_object_array_get_idx(body, 0) : body;
}

/* "error": null, false, 0, "", {} and [] mean that there is no error, as does anything made only of
 * these: some servers print all fields of an error that did not happen ({"code": 0, "message":
 * ""}). Goes no deeper than the parser did. */
static bool says_something(json_object *value)
{
    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            if (says_something(json_object_array_get_idx(value, i)))
                return true;
        }
        return false;
    }
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            if (says_something(member))
                return true;
        }
        return false;
    }
    if (json_object_is_type(value, json_type_string))
        return json_object_get_string_len(value) > 0;
    return json_object_get_boolean(value); /* a number is true if it is not 0 */
}

static bool member_is_error(const struct profile *profile, json_object *body, const char *key)
{
    const char *word = profile_first_text(body, key);
    return word && (strcmp(word, "error") == 0 || profile_has_word(&profile->errors.events, word));
}

/* Whether the name of an event, or its own "type" or "object", says that it is an error. */
static bool is_called_error(const struct profile *profile, const char *name, json_object *body)
{
    if (name && (strcmp(name, "error") == 0 || profile_has_word(&profile->errors.events, name)))
        return true;
    return member_is_error(profile, body, "type") || member_is_error(profile, body, "object");
}

/* The value that is the error; NULL: nothing at errors.at is one. */
static json_object *find_error(const struct profile *profile, json_object *body)
{
    body = unwrap(body);
    for (size_t i = 0; i < profile->errors.at.n; i++) {
        const char *place = profile->errors.at.at[i];
        json_object *error = place[0] ? profile_first(body, place) : NULL;
        if (says_something(error))
            return unwrap(error);
    }
    return NULL;
}

/* The same if it is known that there is one: it may be the body itself. */
static json_object *error_of(const struct profile *profile, json_object *body)
{
    json_object *error = find_error(profile, body);
    return error ? error : unwrap(body);
}

/* ---- Its codes ---- */

/* What is looked for among the codes of an error. */
struct search {
    const struct profile_list *list; /* NULL: a number that is an HTTP status */
    const char *word;                /* the one that was found; lives as long as the profile */
    int status;
};

static bool match_code(void *arg, json_object *value)
{
    struct search *search = arg;
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
    for (size_t i = 0; text && search->list && i < search->list->n; i++) {
        if (strcmp(search->list->at[i], text) == 0) {
            search->word = search->list->at[i];
            return false;
        }
    }
    if (search->list)
        return true;
    char *end = NULL;
    long number = text ? strtol(text, &end, 10) : json_object_get_int(value);
    if ((text && (end == text || *end)) || (!text && !json_object_is_type(value, json_type_int)) ||
        number < 400 || number > 599)
        return true;
    search->status = (int)number;
    return false;
}

/* Codes are in the error, or beside it if the error is only a text; or the error is nothing
 * else. */
static bool search_codes(const struct profile *profile, json_object *body, struct search *search)
{
    json_object *const places[] = {error_of(profile, body), unwrap(body)};
    match_code(search, places[0]);
    if (search->word || search->status)
        return true;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < profile->errors.codes.n; i++) {
            profile_visit(places[k], profile->errors.codes.at[i], match_code, search);
            if (search->word || search->status)
                return true;
        }
    }
    return false;
}

static const char *code_among(const struct profile *profile, json_object *body,
                              const struct profile_list *list)
{
    struct search search = {.list = list};
    search_codes(profile, body, &search);
    return search.word;
}

static int status_among(const struct profile *profile, json_object *body)
{
    struct search search = {.list = NULL};
    search_codes(profile, body, &search);
    return search.status;
}

/* ---- Its message ---- */

static const char *first_of(json_object *error, const struct profile_list *places)
{
    for (size_t i = 0; i < places->n; i++) {
        const char *text = profile_first_text(error, places->at[i]);
        if (text && text[0])
            return text;
    }
    return NULL;
}

static const char *message_of(const struct profile *profile, json_object *body)
{
    json_object *error = error_of(profile, body);
    if (json_object_is_type(error, json_type_string))
        return json_object_get_string(error);
    const char *message = first_of(error, &profile->errors.message);
    return message ? message : first_of(unwrap(body), &profile->errors.message);
}

static bool says_money_is_gone(const struct profile *profile, json_object *body)
{
    const char *message = message_of(profile, body);
    const struct profile_list *beginnings = &profile->errors.exhausted_messages;
    for (size_t i = 0; message && i < beginnings->n; i++) {
        if (strncmp(message, beginnings->at[i], strlen(beginnings->at[i])) == 0)
            return true;
    }
    return false;
}

const char *profile_exhausted(const struct profile *profile, int http_status, json_object *body)
{
    const char *word = code_among(profile, body, &profile->errors.exhausted);
    if (word)
        return word;
    return http_status == 402 ? PAYMENT_REQUIRED : SPEND_LIMIT;
}

/* "... You will regain access on 2026-02-01 at 00:00 UTC." */
static bool read_date(const char *text, int64_t *at_ms)
{
    struct tm tm = {.tm_isdst = 0};
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3 ||
        used != 10 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return false;
    if ((sscanf(text + used, " at %2d:%2d UTC", &tm.tm_hour, &tm.tm_min) != 2 &&
         sscanf(text + used, "T%2d:%2d", &tm.tm_hour, &tm.tm_min) != 2) ||
        tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59)
        tm.tm_hour = tm.tm_min = 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *at_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

bool profile_regains(const struct profile *profile, json_object *body, int64_t now_ms, int64_t *ms)
{
    static const char before[] = "regain access on ";
    const char *message = message_of(profile, body);
    const char *at = message ? strstr(message, before) : NULL;
    int64_t at_ms = 0;
    if (!at || !read_date(at + strlen(before), &at_ms) || at_ms <= now_ms)
        return false;
    *ms = at_ms - now_ms;
    return true;
}

bool profile_exhausted_until(const struct profile *profile, json_object *body, int64_t now_ms,
                             int64_t *ms)
{
    return profile_regains(profile, body, now_ms, ms) && *ms <= LONGEST_MS;
}

/* ---- Its class ---- */

static enum profile_class class_of_status(int status)
{
    switch (status) {
    case 402:
        return PROFILE_EXHAUSTED;
    case 408: /* request time-out */
    case 409: /* conflict: a lock was not free in time */
    case 425: /* too early */
        return PROFILE_FAILED;
    case 429:
        return PROFILE_LIMITED;
    case 498: /* Groq: capacity */
    case 503:
    case 529:
        return PROFILE_OVERLOADED;
    default:
        return status >= 500 ? PROFILE_FAILED : PROFILE_REFUSED;
    }
}

enum profile_class profile_classify(const struct profile *profile, int http_status,
                                    json_object *body)
{
    if (http_status >= 200 && http_status < 300)
        return PROFILE_ANSWERED;
    if (http_status >= 400 && http_status < 500 &&
        (code_among(profile, body, &profile->errors.exhausted) ||
         says_money_is_gone(profile, body)))
        return PROFILE_EXHAUSTED;
    return class_of_status(http_status);
}

/* For an error that came under a status of 200. */
static enum profile_class class_of_error(const struct profile *profile, json_object *body)
{
    int status = status_among(profile, body);
    if (code_among(profile, body, &profile->errors.exhausted) || says_money_is_gone(profile, body))
        return PROFILE_EXHAUSTED;
    if (code_among(profile, body, &profile->errors.overloaded))
        return PROFILE_OVERLOADED;
    if (code_among(profile, body, &profile->errors.limited))
        return PROFILE_LIMITED;
    if (status != 0)
        return class_of_status(status);
    return code_among(profile, body, &profile->errors.refused) ? PROFILE_REFUSED : PROFILE_FAILED;
}

int profile_error_status(const struct profile *profile, json_object *body, enum profile_class which)
{
    int status = status_among(profile, body);
    if (status != 0 && class_of_status(status) == which)
        return status;
    switch (which) {
    case PROFILE_LIMITED:
        return 429;
    case PROFILE_EXHAUSTED:
        return 402;
    case PROFILE_OVERLOADED:
        return 503;
    case PROFILE_REFUSED:
        return 400;
    default:
        return 500;
    }
}

/* Whether it says that it failed: "status": "failed", "finish_reason": "error". */
static bool says_it_failed(const struct profile *profile, json_object *body)
{
    const struct profile_list *at = &profile->answer.failed_at;
    for (size_t i = 0; i < at->n; i++) {
        if (profile_has_word(&profile->answer.failed, profile_first_text(body, at->at[i])))
            return true;
    }
    return false;
}

enum profile_class profile_classify_event(const struct profile *profile, const char *name,
                                          json_object *event)
{
    if (!find_error(profile, event) && !is_called_error(profile, name, unwrap(event)) &&
        !says_it_failed(profile, event))
        return PROFILE_ANSWERED;
    /* Bedrock names its events by the code. */
    if (profile_has_word(&profile->errors.limited, name))
        return PROFILE_LIMITED;
    if (profile_has_word(&profile->errors.overloaded, name))
        return PROFILE_OVERLOADED;
    if (profile_has_word(&profile->errors.refused, name))
        return PROFILE_REFUSED;
    return event ? class_of_error(profile, event) : PROFILE_FAILED;
}

static bool has_answer(const struct profile *profile, json_object *body)
{
    const struct profile_list *has = &profile->answer.has;
    for (size_t i = 0; i < has->n; i++) {
        if (profile_first(body, has->at[i]))
            return true;
    }
    return has->n == 0 && json_object_is_type(body, json_type_object);
}

enum profile_class profile_classify_answer(const struct profile *profile, json_object *body)
{
    if (find_error(profile, body) || is_called_error(profile, NULL, unwrap(body)) ||
        says_it_failed(profile, body))
        return class_of_error(profile, body);
    if (has_answer(profile, body))
        return PROFILE_ANSWERED;
    return json_object_is_type(unwrap(body), json_type_object) ? class_of_error(profile, body)
                                                               : PROFILE_FAILED;
}

/* ---- Its words ---- */

/* For logs and terminals, where control characters would act. */
static void make_printable(char *text)
{
    for (char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    }
}

static bool keep_code(void *arg, json_object *value)
{
    if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int))
        return true;
    *(const char **)arg = json_object_get_string(value);
    return false;
}

static const char *code_of(const struct profile *profile, json_object *error)
{
    const char *code = NULL;
    for (size_t i = 0; i < profile->errors.codes.n && !code; i++)
        profile_visit(error, profile->errors.codes.at[i], keep_code, &code);
    return code && code[0] ? code : NULL;
}

void profile_error_text(const struct profile *profile, json_object *body, char *buf, size_t cap)
{
    const char *code = code_of(profile, error_of(profile, body));
    const char *message = message_of(profile, body);
    if (cap == 0)
        return;
    snprintf(buf, cap, "%s%s%s", code ? code : "", code && message ? ": " : "",
             message ? message : "");
    make_printable(buf);
}
