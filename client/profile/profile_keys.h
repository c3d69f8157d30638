/* The table of what a profile may say: the name of each key, what it holds, and where it goes in
 * struct profile. Only profile_check.c reads it. */
#ifndef RATION_PROFILE_KEYS_H
#define RATION_PROFILE_KEYS_H

#include "profile/profile_inner.h"

enum profile_member_kind {
    TEXT,    /* const char *: one line */
    URL,     /* the same, http:// or https:// */
    PATH,    /* the same, beginning with a slash */
    HEADER,  /* the same, a header's name */
    WORDS,   /* struct profile_list */
    PLACE,   /* const char * */
    PLACES,  /* struct profile_list */
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

struct profile_member {
    const char *name;
    enum profile_member_kind kind;
    size_t to; /* offset in the struct */
    size_t n;  /* ROWS, HEADERS: offset of the number of them */
    bool needed;
    int64_t min; /* COUNT */
    int64_t max;
    const struct profile_member *keys; /* PART, ROWS: ends with a NULL name */
    size_t size;                       /* ROWS: of one */
};

/* The keys of a whole profile. Ends with a NULL name, as all of its parts do. */
extern const struct profile_member profile_members[];

#endif
