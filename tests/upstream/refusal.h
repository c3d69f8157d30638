/*
 * What a provider says when it refuses a request before asking any limit. Each API has a table of
 * its own words, statuses and codes (in its shape_*.c, which says where they are documented); the
 * checks are the same for all.
 *
 * In the words, {name} is the field, {wants} what it should be, and {got} what it is.
 */
#ifndef UPSTREAM_REFUSAL_H
#define UPSTREAM_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

enum refusal {
    REFUSAL_NO_KEY,
    REFUSAL_BAD_KEY,
    REFUSAL_CONTENT_TYPE,
    REFUSAL_FORM, /* the content type that libcurl sends by default; falls back to CONTENT_TYPE */
    REFUSAL_JSON,
    REFUSAL_MISSING,
    REFUSAL_NO_MODEL, /* falls back to MISSING if the table has no words for it */
    REFUSAL_UNKNOWN,
    REFUSAL_WRONG_TYPE,
    REFUSAL_TOO_SMALL,
    REFUSAL_TOO_LARGE,
    REFUSAL_VALUE, /* {wants} says all of it */
    REFUSAL_BODY,  /* larger than {wants} bytes */
    REFUSAL_METHOD,
    REFUSAL_PATH,
    REFUSAL_COUNT
};

struct refusal_words {
    int status;
    const char *type; /* NULL: the status's own */
    const char *code; /* NULL: null */
    bool tells_field; /* names the field in a member of its own */
    const char *words;
};

#define REFUSAL_MAX_WORDS 480
#define REFUSAL_MAX_FIELD 80

/* One refusal, ready to send. */
struct complaint {
    const struct refusal_words *table; /* of REFUSAL_COUNT rows, set before the first check */
    enum refusal kind;
    int status;
    const char *type, *code;
    char param[REFUSAL_MAX_FIELD]; /* "": none */
    char why[REFUSAL_MAX_WORDS];
};

/* Fills *bad from its table and returns -1. A text that the words do not use may be NULL. */
int complain(struct complaint *bad, enum refusal kind, const char *name, const char *wants,
             const char *got);

#endif
