/* Fields have the names that they have on the wire, so that programs find the same words
 * everywhere. */
#include "tool/json_out.h"

#include <stdio.h>

void json_put_string(json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

void json_put_integer(json_object *object, const char *key, int64_t value)
{
    json_object_object_add(object, key, json_object_new_int64(value));
}

void json_put_bool(json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

void json_out_print(json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

void json_out_grant(const struct ration_grant *grant)
{
    json_object *o = json_object_new_object();
    json_put_string(o, RATION_FIELD_STATUS,
                    grant->granted ? RATION_STATUS_GRANTED : RATION_STATUS_DENIED);
    json_put_string(o, RATION_FIELD_ID, grant->id);
    json_put_integer(o, RATION_FIELD_RETRY_AFTER_MS, grant->retry_after_ms);
    json_put_string(o, RATION_FIELD_LIMITED_BY, grant->limited_by);
    json_put_string(o, RATION_FIELD_MODE, grant->mode);
    json_out_print(o);
}

void json_out_settled(const char *status)
{
    json_object *o = json_object_new_object();
    json_put_string(o, RATION_FIELD_STATUS, status);
    json_out_print(o);
}

const char *settled_word(enum ration_settled settled)
{
    static const char *const words[] = {RATION_STATUS_SETTLED, RATION_STATUS_LATE,
                                        RATION_STATUS_DUPLICATE};
    return words[settled];
}
