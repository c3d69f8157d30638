/*
 * JSON as it stands in a text: is it exact, where does a member stand, and the same text with one member changed.
 *
 * What is sent and what is kept are texts of others. A parser that makes numbers of 64 bits and UTF-8 of everything does not
 * give back what it was given (whole numbers beyond 64 bits, half a surrogate pair), so texts are cut, never made anew.
 *
 * All but batch_json_is_exact() expect a text that json-c has parsed and that is exact.
 */
#ifndef RATION_TOOL_BATCH_JSON_H
#define RATION_TOOL_BATCH_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Of text that json-c takes as JSON: whether everybody else does. It lets pass names in single quotes, NaN, and control
 * characters within strings. */
bool batch_json_is_exact(const char *text, size_t n);

/* A piece of a text. */
struct batch_span {
    size_t at;
    size_t bytes;
};

/* Where the value of an object's member stands; the last one of that name counts, as it does for json-c. False: there is
 * none, and `value` is unchanged. */
bool batch_json_member(const char *text, size_t n, const char *key, struct batch_span *value);

/* Gives the object with that member being `value`: in the place of its own, or as the first one. To be freed; NULL: out of
 * memory. */
char *batch_json_set(const char *text, size_t n, const char *key, const char *value, size_t *bytes);

#endif
