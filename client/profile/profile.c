/*
 * The set of profiles: the embedded ones, and those of a file on top. All are read and checked when
 * the set is opened, so that a mistake shows at the start of a program and not with the first call
 * to that provider.
 */
#include "profile/profile_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char ration_profiles_json[];
extern const unsigned long ration_profiles_json_size;

#define DEFAULT_PROFILE "openai"

struct profiles {
    json_object *tree; /* each in full, by name */
    struct profile *list;
    size_t n;
    char *names;
};

int profile_fail(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, PROFILE_WHY_BYTES, format, args);
    va_end(args);
    return RATION_EINVALID;
}

int profile_no_memory(const char *what, char *why)
{
    snprintf(why, PROFILE_WHY_BYTES, "out of memory for the %s", what);
    return RATION_ENOMEM;
}

/* Adds each profile that `names` has and the tree lacks. */
static int resolve_all(json_object *names, json_object *embedded, json_object *file,
                       json_object *tree, char *why)
{
    json_object_object_foreach(names, name, value)
    {
        (void)value;
        if (json_object_object_get_ex(tree, name, NULL))
            continue;
        json_object *one = NULL;
        int err = profile_resolve(embedded, file, name, &one, why);
        if (err < 0)
            return err;
        if (json_object_object_add(tree, name, one) < 0) {
            json_object_put(one);
            return profile_no_memory("profiles", why);
        }
    }
    return 0;
}

static int build_all(struct profiles *profiles, char *why)
{
    size_t n = (size_t)json_object_object_length(profiles->tree);
    size_t bytes = 1;
    json_object_object_foreach(profiles->tree, key, one)
    {
        (void)one;
        bytes += strlen(key) + 2;
    }
    profiles->list = calloc(n, sizeof(*profiles->list));
    profiles->names = calloc(1, bytes);
    if (!profiles->list || !profiles->names)
        return profile_no_memory("profiles", why);
    char *end = profiles->names;
    json_object_object_foreach(profiles->tree, name, tree)
    {
        int err = profile_build(name, tree, &profiles->list[profiles->n], why);
        if (err < 0)
            return err;
        end += sprintf(end, "%s%s", profiles->n ? ", " : "", name);
        profiles->n++;
    }
    return 0;
}

static int read_all(struct profiles *profiles, json_object *embedded, json_object *file, char *why)
{
    profiles->tree = json_object_new_object();
    if (!profiles->tree)
        return profile_no_memory("profiles", why);
    int err = resolve_all(embedded, embedded, file, profiles->tree, why);
    if (err == 0 && file)
        err = resolve_all(file, embedded, file, profiles->tree, why);
    return err < 0 ? err : build_all(profiles, why);
}

int profiles_open(const char *file, struct profiles **out, char *why)
{
    json_object *embedded = NULL;
    json_object *own = NULL;
    struct profiles *profiles = calloc(1, sizeof(*profiles));
    if (!profiles)
        return profile_no_memory("profiles", why);
    int err = profile_parse(ration_profiles_json, ration_profiles_json_size, &embedded, why);
    if (err == 0 && file)
        err = profile_parse_file(file, &own, why);
    if (err == 0)
        err = read_all(profiles, embedded, own, why);
    json_object_put(own);
    json_object_put(embedded);
    if (err < 0)
        profiles_close(profiles);
    else
        *out = profiles;
    return err;
}

void profiles_close(struct profiles *profiles)
{
    if (!profiles)
        return;
    free(profiles->names);
    free(profiles->list);
    json_object_put(profiles->tree);
    free(profiles);
}

const struct profile *profiles_find(const struct profiles *profiles, const char *name)
{
    for (size_t i = 0; i < profiles->n; i++) {
        if (strcmp(profiles->list[i].name, name ? name : DEFAULT_PROFILE) == 0)
            return &profiles->list[i];
    }
    return NULL;
}

const char *profiles_names(const struct profiles *profiles)
{
    return profiles->names;
}

json_object *profiles_tree(const struct profiles *profiles)
{
    return profiles->tree;
}

const char *profile_name(const struct profile *profile)
{
    return profile->name;
}
