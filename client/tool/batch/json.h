/* Strict JSON. json-c even when strict accepts names in single quotes, NaN, numbers that end with
 * their point, and control characters in strings; other readers do not. */
#ifndef RATION_TOOL_BATCH_JSON_H
#define RATION_TOOL_BATCH_JSON_H

#include <json-c/json.h>

/* May be used for many texts; NULL: out of memory. */
json_tokener *batch_json_tokener(void);

/* One value and nothing after it, to be freed with json_object_put(); NULL and what is wrong. */
json_object *batch_json_parse(json_tokener *tokener, const char *text, size_t bytes,
                              const char **why);

#endif
