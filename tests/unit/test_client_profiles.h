/* What the tests of the profiles share: the embedded set, and JSON in C strings with ' for ". */
#ifndef TEST_CLIENT_PROFILES_H
#define TEST_CLIENT_PROFILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "profile/profile.h"

#define NOW_MS INT64_C(1748779200000) /* 2025-06-01 12:00:00 UTC */

static struct profiles *profiles;

static inline int open_profiles(void **state)
{
    (void)state;
    char why[PROFILE_WHY_BYTES] = "";
    if (profiles_open(NULL, &profiles, why) < 0)
        fail_msg("the embedded profiles: %s", why);
    return 0;
}

static inline int close_profiles(void **state)
{
    (void)state;
    profiles_close(profiles);
    return 0;
}

static inline const struct profile *profile_of(const char *name)
{
    const struct profile *profile = profiles_find(profiles, name);
    if (!profile)
        fail_msg("there is no profile %s", name);
    return profile;
}

/* NULL for what is no JSON, as a caller would have it. */
static inline json_object *json_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *s = copy; *s; s++)
        if (*s == '\'')
            *s = '"';
    json_object *value = json_tokener_parse(copy);
    free(copy);
    return value;
}

#endif
