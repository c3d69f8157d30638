/*
 * Fuzz target: a file of profiles that a user wrote.
 *
 * It is either accepted, and every profile in it reads requests, answers, headers and events
 * safely, or refused with one line that says why.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char answer[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"content\":\"text\"}],\"max_tokens\":5,"
    "\"error\":{\"code\":\"insufficient_quota\",\"message\":\"m\",\"type\":\"t\",\"status\":\"s\"},"
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"input_tokens\":5,\"output_tokens\":6}"
    ","
    "\"choices\":[{\"delta\":{\"content\":\"text\"}}],\"type\":\"message_delta\"}";

static void use_profile(const struct profile *profile)
{
    char why[PROFILE_WHY_BYTES];
    char url[512];
    char words[64];
    struct profile_request request = {0};
    struct profile_usage usage = {0};
    struct profile_hints hints = {0};
    json_object *body = fuzz_json(answer, strlen(answer));
    if (profile_read_request(profile, body, &request, why) == 0)
        CHECK(request.input_tokens <= RATION_MAX_COST && request.output_tokens <= RATION_MAX_COST);
    profile_url(profile, NULL, "m", NULL, body, url, sizeof(url), why);
    profile_read_event(profile, "message_delta", answer, body, &usage);
    fuzz_check_usage(profile, &usage);
    if (profile_read_usage(profile, body, &usage))
        fuzz_check_usage(profile, &usage);
    profile_event_text(profile, "", body);
    profile_classify(profile, 429, body);
    fuzz_classify_event(profile, "", body);
    profile_error_text(profile, body, words, sizeof(words));
    profile_read_header(profile, "retry-after", "20", 0, &hints);
    profile_read_header(profile, "x-ratelimit-remaining-tokens", "20", 0, &hints);
    profile_read_error(profile, body, 0, &hints);
    fuzz_check_hints(&hints);
    CHECK(profile_name(profile)[0] != '\0');
    json_object_put(body);
}

static void use_all(const struct profiles *profiles)
{
    char name[256];
    for (const char *at = profiles_names(profiles); *at;) {
        size_t n = strcspn(at, ",");
        if (n > 0 && n < sizeof(name)) {
            memcpy(name, at, n);
            name[n] = '\0';
            const struct profile *profile = profiles_find(profiles, name);
            if (profile) /* a name may contain a comma */
                use_profile(profile);
        }
        at += n;
        at += strspn(at, ", ");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_BYTES];
    char why[PROFILE_WHY_BYTES];
    struct profiles *profiles = NULL;
    int fd = fuzz_file((const char *)data, size, path);
    memset(why, 'x', sizeof(why));
    if (profiles_open(path, &profiles, why) == 0) {
        use_all(profiles);
        profiles_close(profiles);
    } else {
        size_t n = strnlen(why, sizeof(why));
        CHECK(profiles == NULL && n > 0 && n < sizeof(why));
    }
    close(fd);
    return 0;
}
