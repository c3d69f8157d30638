/*
 * What a provider says when it refuses a request, before any limit is asked. Each API has a table
 * of its own words, statuses and codes (in its shape_*.c, which says where they are documented);
 * what is checked is the same for all of them.
 *
 * In the words {name} is the field, {wants} what it should be, and {got} what it is.
 */
#ifndef UPSTREAM_REFUSAL_H
#define UPSTREAM_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

enum refusal {
    REFUSAL_NO_KEY,
    REFUSAL_BAD_KEY,
    REFUSAL_CONTENT_TYPE,
    REFUSAL_FORM, /* the content type that libcurl writes where it is told none; as CONTENT_TYPE if there are no words */
    REFUSAL_JSON,
    REFUSAL_MISSING,
    REFUSAL_NO_MODEL, /* as MISSING where it has no words */
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
    const char *type; /* NULL: what goes with the status */
    const char *code; /* NULL: null */
    bool tells_field; /* in a member of its own */
    const char *words;
};

#define REFUSAL_MAX_WORDS 480
#define REFUSAL_MAX_FIELD 80

/* One refusal, ready to be told. */
struct complaint {
    const struct refusal_words *table; /* of REFUSAL_COUNT rows, set by whoever starts to check */
    enum refusal kind;
    int status;
    const char *type, *code;
    char param[REFUSAL_MAX_FIELD]; /* "": none */
    char why[REFUSAL_MAX_WORDS];
};

/* Fills *bad from its table and returns -1. Texts may be NULL where the words do not name them. */
int complain(struct complaint *bad, enum refusal kind, const char *name, const char *wants,
             const char *got);

#endif
