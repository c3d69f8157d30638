/*
 * One pass over the fields that are present, then one over those that are required.
 */
#include "fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "refusal.h"

static const struct field *find(const struct field *fields, const char *name)
{
    for (; fields->name; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }
    return NULL;
}

static unsigned is_a(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_string:
        return FIELD_STRING;
    case json_type_int:
        return FIELD_WHOLE | FIELD_NUMBER;
    case json_type_double:
        return FIELD_NUMBER;
    case json_type_boolean:
        return FIELD_BOOL;
    case json_type_array:
        return FIELD_LIST;
    case json_type_object:
        return FIELD_OBJECT;
    default:
        return 0;
    }
}

/* In OpenAI's words; the others' are similar. */
static const char *kind_words(unsigned is)
{
    static const struct {
        unsigned is;
        const char *words;
    } kinds[] = {{FIELD_WHOLE, "an integer"}, {FIELD_NUMBER, "a decimal"},
                 {FIELD_STRING, "a string"},  {FIELD_BOOL, "a boolean"},
                 {FIELD_LIST, "an array"},    {FIELD_OBJECT, "an object"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (is & kinds[i].is) {
            return kinds[i].words;
        }
    }
    return "null";
}

static int check_range(const struct field *field, int64_t n, const char *name,
                       struct complaint *bad)
{
    char bound[24], got[24];
    if ((field->least == 0 && field->most == 0) || (n >= field->least && n <= field->most)) {
        return 0;
    }
    snprintf(bound, sizeof(bound), "%" PRId64, n < field->least ? field->least : field->most);
    snprintf(got, sizeof(got), "%" PRId64, n);
    return complain(bad, n < field->least ? REFUSAL_TOO_SMALL : REFUSAL_TOO_LARGE, name, bound,
                    got);
}

static int check_value(const struct field *field, struct json_object *value, const char *name,
                       struct complaint *bad)
{
    if (value == NULL) {
        return 0;
    }
    unsigned is = is_a(value);
    if ((is & field->is) == 0) {
        return complain(bad, REFUSAL_WRONG_TYPE, name, kind_words(field->is), kind_words(is));
    }
    return is & FIELD_WHOLE ? check_range(field, json_object_get_int64(value), name, bad) : 0;
}

int fields_check(struct json_object *object, const struct field *fields, const char *within,
                 bool lenient, struct complaint *bad)
{
    char name[REFUSAL_MAX_FIELD];
    struct json_object *value;
    json_object_object_foreach(object, key, found)
    {
        const struct field *field = find(fields, key);
        snprintf(name, sizeof(name), "%s%s", within, key);
        if (field == NULL && !lenient) {
            return complain(bad, REFUSAL_UNKNOWN, name, NULL, NULL);
        }
        if (field && check_value(field, found, name, bad) < 0) {
            return -1;
        }
    }
    for (; fields->name; fields++) {
        if ((fields->is & FIELD_MUST) &&
            (!json_object_object_get_ex(object, fields->name, &value) || value == NULL)) {
            snprintf(name, sizeof(name), "%s%s", within, fields->name);
            bool model = strcmp(fields->name, "model") == 0;
            return complain(bad, model ? REFUSAL_NO_MODEL : REFUSAL_MISSING, name, NULL, NULL);
        }
    }
    return 0;
}
