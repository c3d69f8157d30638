/* Fields have the names that they have on the wire, so that programs find the same words
 * everywhere. */
#include "tool/object.h"

#include "tool/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void object_put_string(json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

void object_put_integer(json_object *object, const char *key, int64_t value)
{
    json_object_object_add(object, key, json_object_new_int64(value));
}

void object_put_bool(json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

const char *object_string(json_object *object, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

bool object_write(json_object *object, const char *path)
{
    FILE *file = fopen(path, "we");
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    bool ok = file && text && fprintf(file, "%s\n", text) > 0;
    if (file)
        ok = fclose(file) == 0 && ok;
    if (!ok)
        say("--json %s: %s", path, strerror(errno));
    json_object_put(object);
    return ok;
}

void object_print(json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

void object_print_grant(const struct ration_grant *grant)
{
    json_object *o = json_object_new_object();
    object_put_string(o, RATION_FIELD_STATUS,
                      grant->granted ? RATION_STATUS_GRANTED : RATION_STATUS_DENIED);
    object_put_string(o, RATION_FIELD_ID, grant->id);
    object_put_integer(o, RATION_FIELD_RETRY_AFTER_MS, grant->retry_after_ms);
    object_put_string(o, RATION_FIELD_LIMITED_BY, grant->limited_by);
    object_put_string(o, RATION_FIELD_MODE, grant->mode);
    object_print(o);
}

void object_print_settled(const char *status)
{
    json_object *o = json_object_new_object();
    object_put_string(o, RATION_FIELD_STATUS, status);
    object_print(o);
}

const char *settled_word(enum ration_settled settled)
{
    static const char *const words[] = {RATION_STATUS_SETTLED, RATION_STATUS_LATE,
                                        RATION_STATUS_DUPLICATE};
    return words[settled];
}
