/*
 * Places in a JSON document: "choices[].delta.content" is the member "choices", of which each
 * element has a member "delta", which has a member "content". A place that leads nowhere in a
 * document is not an error: providers leave out what does not apply, and an answer is bytes from
 * outside.
 */
#include "profile/profile_inner.h"

#include <string.h>

bool profile_place_is_good(const char *place)
{
    const char *s = place;
    while (*s) {
        size_t key = strcspn(s, ".[]");
        if (key == 0 || key >= PROFILE_KEY_BYTES)
            return false;
        s += key;
        while (s[0] == '[' && s[1] == ']')
            s += 2;
        if (*s == '.' && s[1] != '\0')
            s++;
        else if (*s)
            return false;
    }
    return true;
}

/* False: the visitor wants no more. Goes no deeper than the place is long. */
static bool walk(json_object *at, const char *place, bool (*visit)(void *arg, json_object *value),
                 void *arg)
{
    if (!at)
        return true;
    if (*place == '\0')
        return visit(arg, at);
    if (*place == '.')
        place++;
    if (*place == '[') {
        if (!json_object_is_type(at, json_type_array))
            return true;
        for (size_t i = 0; i < json_object_array_length(at); i++) {
            if (!walk(json_object_array_get_idx(at, i), place + 2, visit, arg))
                return false;
        }
        return true;
    }
    char key[PROFILE_KEY_BYTES];
    size_t len = strcspn(place, ".[");
    json_object *member = NULL;
    if (len >= sizeof(key) || !json_object_is_type(at, json_type_object))
        return true;
    memcpy(key, place, len);
    key[len] = '\0';
    if (!json_object_object_get_ex(at, key, &member))
        return true;
    return walk(member, place + len, visit, arg);
}

void profile_visit(json_object *root, const char *place,
                   bool (*visit)(void *arg, json_object *value), void *arg)
{
    walk(root, place, visit, arg);
}

static bool keep_value(void *arg, json_object *value)
{
    *(json_object **)arg = value;
    return false;
}

json_object *profile_first(json_object *root, const char *place)
{
    json_object *value = NULL;
    walk(root, place, keep_value, &value);
    return value;
}

static bool keep_text(void *arg, json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return true;
    *(const char **)arg = json_object_get_string(value);
    return false;
}

const char *profile_first_text(json_object *root, const char *place)
{
    const char *text = NULL;
    walk(root, place, keep_text, &text);
    return text;
}

bool profile_has_word(const struct profile_list *list, const char *text)
{
    for (size_t i = 0; text && i < list->n; i++) {
        if (strcmp(list->at[i], text) == 0)
            return true;
    }
    return false;
}
