/* What all readers of JSON from outside share. Pure. */
#ifndef RATION_PARSE_H
#define RATION_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

/* The length of the byte order mark that some servers and editors put at the start: 3, or 0. */
size_t parse_mark_bytes(const char *text, size_t n);

bool parse_is_space(char c);

/*
 * Gives the value that the text begins with, to be freed by json_object_put(). NULL: it is not
 * JSON, or is null, or memory ran out.
 * tokener  borrowed; reset here, so that one serves for all
 */
json_object *parse_value(json_tokener *tokener, const char *text, size_t n);

#endif
