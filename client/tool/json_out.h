/* JSON on stdout, by json-c. json_out_print() takes the object. */
#ifndef RATION_TOOL_JSON_OUT_H
#define RATION_TOOL_JSON_OUT_H

#include "tool/session.h"

#include <json-c/json.h>

void json_put_string(json_object *object, const char *key, const char *value);
void json_put_integer(json_object *object, const char *key, int64_t value);
void json_put_bool(json_object *object, const char *key, bool value);

void json_out_print(json_object *object);
void json_out_grant(const struct ration_grant *grant);
void json_out_settled(const char *status);

/* "settled", "late", "duplicate" */
const char *settled_word(enum ration_settled settled);

#endif
