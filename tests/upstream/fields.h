/*
 * The fields that an API's documentation lists for a request: which there are, what they must be,
 * and which must be there. `metadata` is in every table, also where the provider has no such field,
 * because it is how a request tells the lengths of prompt and answer (completion.h).
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
    FIELD_MUST = 64, /* and it must be there; any other may be null as well */
};

struct field {
    const char *name;    /* NULL ends a table */
    unsigned is;         /* enum field_is, several of them */
    int64_t least, most; /* of a FIELD_WHOLE; both 0: any */
};

#define FIELD_METADATA                                                                             \
    {                                                                                              \
        "metadata", FIELD_OBJECT, 0, 0                                                             \
    }

/* Checks an object against a table: what is there, in its order, and then what is missing. `within`
 * is put before the names in the words ("" at the top). Where `lenient`, fields that are not in the
 * table are left alone. 0, or -1 with *bad. */
int fields_check(struct json_object *object, const struct field *fields, const char *within,
                 bool lenient, struct complaint *bad);

#endif
