#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROFILES 64

static const struct profile *named(struct profiles *profiles, const char *name, size_t n)
{
    char copy[128];
    if (n >= sizeof(copy))
        return NULL;
    memcpy(copy, name, n);
    copy[n] = '\0';
    return profiles_find(profiles, copy);
}

/* Every profile, in the order of profiles_names(). */
static size_t list_profiles(struct profiles *profiles, const struct profile *out[MAX_PROFILES])
{
    size_t n = 0;
    for (const char *at = profiles_names(profiles); *at && n < MAX_PROFILES; n++) {
        size_t len = strcspn(at, ",");
        out[n] = named(profiles, at, len);
        CHECK(out[n] != NULL);
        at += len;
        at += strspn(at, ", ");
    }
    CHECK(n > 0);
    return n;
}

const struct profile *fuzz_profile(struct fuzz_input *input, unsigned *number)
{
    static struct profiles *profiles;
    static const struct profile *all[MAX_PROFILES];
    static size_t n;
    char why[PROFILE_WHY_BYTES];
    char line[128];
    if (!profiles) {
        CHECK(profiles_open(NULL, &profiles, why) == 0);
        n = list_profiles(profiles, all);
    }
    fuzz_line(input, line, sizeof(line));
    size_t len = strcspn(line, " ");
    *number = (unsigned)strtoul(line + len, NULL, 10);
    const struct profile *profile = named(profiles, line, len);
    return profile ? profile : all[fuzz_mix(FUZZ_HASH, line, len) % n];
}

json_object *fuzz_json(const char *bytes, size_t n)
{
    enum { DEPTH = 64 };
    json_tokener *tokener = json_tokener_new_ex(DEPTH);
    CHECK(tokener != NULL);
    json_object *parsed = json_tokener_parse_ex(tokener, bytes, (int)n);
    if (json_tokener_get_error(tokener) != json_tokener_success) {
        json_object_put(parsed);
        parsed = NULL;
    }
    json_tokener_free(tokener);
    return parsed;
}

bool fuzz_is_answers_class(enum profile_class which)
{
    return which >= PROFILE_ANSWERED && which <= PROFILE_REFUSED && which != PROFILE_TIMED_OUT &&
           which != PROFILE_UNREACHED;
}

enum profile_class fuzz_classify_event(const struct profile *profile, const char *name,
                                       json_object *event)
{

    enum profile_class which = profile_classify_event(profile, name, event);
    CHECK(fuzz_is_answers_class(which));
    return which;
}

void fuzz_check_usage(const struct profile *profile, const struct profile_usage *usage)
{
    struct ration_amounts used = {0};
    CHECK(usage->input >= 0 && usage->output >= 0);
    CHECK(usage->input <= RATION_MAX_COST && usage->output <= RATION_MAX_COST);
    CHECK(usage->cached >= 0 && usage->cached <= usage->input);
    CHECK(usage->cache_writes >= 0 && usage->cache_writes <= usage->input);
    CHECK(usage->reasoning >= 0 && usage->reasoning <= usage->output);
    profile_count(profile, usage, &used);
    CHECK(used.tokens >= RATION_ZERO && used.tokens <= RATION_MAX_COST && used.tokens != 0);
    CHECK(used.input_tokens >= RATION_ZERO && used.input_tokens <= RATION_MAX_COST);
    CHECK(used.output_tokens >= RATION_ZERO && used.output_tokens <= RATION_MAX_COST);
    CHECK(used.input_tokens != 0 && used.output_tokens != 0);
}

void fuzz_check_hints(const struct profile_hints *hints)
{
    CHECK(hints->retry_after_ms >= 0);
    CHECK(hints->n_limits <= PROFILE_MAX_HINTS);
    for (size_t i = 0; i < hints->n_limits; i++) {
        const struct ration_provider_limit *seen = &hints->limits[i];
        CHECK((unsigned)seen->unit < RATION_UNIT_CONCURRENT);
        CHECK(seen->remaining >= 0 && seen->remaining <= RATION_MAX_AMOUNT);
        CHECK(seen->limit >= 0 && seen->limit <= RATION_MAX_AMOUNT);
        CHECK(seen->per_ms >= 0 && seen->per_ms <= RATION_MAX_AMOUNT);
    }
}
