/* JSON objects, by json-c: members by name, printing and writing, which free the object. */
#ifndef RATION_TOOL_OBJECT_H
#define RATION_TOOL_OBJECT_H

#include "tool/session.h"

#include <json-c/json.h>

void object_put_string(json_object *object, const char *key, const char *value);
void object_put_integer(json_object *object, const char *key, int64_t value);
void object_put_bool(json_object *object, const char *key, bool value);

/* NULL: there is no such member, or it is not a string. */
const char *object_string(json_object *object, const char *key);

/* Writes it to the file of --json, for people to read too. False after saying why. */
bool object_write(json_object *object, const char *path);

void object_print(json_object *object);
void object_print_grant(const struct ration_grant *grant);
void object_print_settled(const char *status);

/* "settled", "late", "duplicate" */
const char *settled_word(enum ration_settled settled);

#endif
