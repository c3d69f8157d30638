/*
 * The fields that an API's documentation lists for a request, with their types, and which of them
 * are required. `metadata` is in every table, even if the provider has no such field, because a
 * request gives the lengths of prompt and answer in it (completion.h).
 */
#ifndef UPSTREAM_FIELDS_H
#define UPSTREAM_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

struct complaint;
struct json_object;

enum field_is {
    FIELD_STRING = 1,
    FIELD_WHOLE = 2,
    FIELD_NUMBER = 4, /* whole or not */
    FIELD_BOOL = 8,
    FIELD_LIST = 16,
    FIELD_OBJECT = 32,
    FIELD_ANY = 63,
    FIELD_MUST = 64, /* required; any other field may also be null */
};

struct field {
    const char *name;    /* NULL ends a table */
    unsigned is;         /* flags of enum field_is */
    int64_t least, most; /* of a FIELD_WHOLE; both 0: any */
};

#define FIELD_METADATA                                                                             \
    {                                                                                              \
        "metadata", FIELD_OBJECT, 0, 0                                                             \
    }

/* Checks an object against a table: first the fields present, in their order, then what is missing.
 * Messages prefix the names with `within` ("" at the top). If `lenient`, fields that are not in the
 * table are ignored. 0, or -1 with *bad. */
int fields_check(struct json_object *object, const struct field *fields, const char *within,
                 bool lenient, struct complaint *bad);

#endif
