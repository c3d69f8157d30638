/* The list of provider profiles, and what their readers share. */
#include "provider.h"

#include <string.h>

static const struct provider *const providers[] = {&provider_openai};

const struct provider *provider_find(const char *name)
{
    if (!name)
        return &provider_openai;
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (strcmp(providers[i]->name, name) == 0)
            return providers[i];
    }
    return NULL;
}

int64_t provider_count_characters(const char *text, size_t len)
{
    int64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

bool provider_get_count(json_object *object, const char *key, int64_t *out)
{
    json_object *member = NULL;
    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, key, &member) ||
        !json_object_is_type(member, json_type_int))
        return false;
    int64_t value = json_object_get_int64(member);
    if (value < 0 || value > RATION_MAX_COST)
        return false;
    *out = value;
    return true;
}
