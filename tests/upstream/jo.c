/*
 * json-c escapes and prints. Without memory it makes null or incomplete objects, so the answer gets
 * shorter rather than the program crashing.
 */
#include "jo.h"

#include <string.h>

struct json_object *jo_put(struct json_object *o, const char *name, struct json_object *value)
{
    json_object_object_add(o, name, value);
    return o;
}

struct json_object *jo_put_int(struct json_object *o, const char *name, int64_t n)
{
    return jo_put(o, name, json_object_new_int64(n));
}

struct json_object *jo_string(const char *s)
{
    return s ? json_object_new_string(s) : NULL;
}

struct json_object *jo_put_string(struct json_object *o, const char *name, const char *s)
{
    return jo_put(o, name, jo_string(s));
}

struct json_object *jo_list(struct json_object *only)
{
    struct json_object *list = json_object_new_array();
    json_object_array_add(list, only);
    return list;
}

char *jo_render(struct json_object *root)
{
    const char *s = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE);
    char *copy = s ? strdup(s) : NULL;
    json_object_put(root);
    return copy;
}
