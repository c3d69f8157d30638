/*
 * Fuzz target: a caller's request and its URL.
 *
 *     azure                               a profile
 *     https://example.com/openai          the base URL; empty: the profile's own
 *     {"model": "gpt-4o", ...             the body
 *
 * An estimate can be charged. A URL begins with its base, fits, and contains nothing that would end
 * it early; with less room the result is an error, not a cut URL.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>

#define WIDE 2048

static bool is_whole(const char *why)
{
    size_t n = strnlen(why, PROFILE_WHY_BYTES);
    return n > 0 && n < PROFILE_WHY_BYTES;
}

static void check_request(const struct profile *profile, json_object *body)
{
    char why[PROFILE_WHY_BYTES] = "";
    struct profile_request request = {0};
    if (profile_read_request(profile, body, &request, why) < 0) {
        CHECK(is_whole(why));
        return;
    }
    CHECK(request.input_tokens >= 0 && request.input_tokens <= RATION_MAX_COST);
    CHECK(request.output_tokens >= 0 && request.output_tokens <= RATION_MAX_COST);
}

static void check_url(const struct profile *profile, const char *base, json_object *body)
{
    char why[PROFILE_WHY_BYTES] = "";
    char url[WIDE];
    memset(url, 'x', sizeof(url));
    if (profile_url(profile, base, NULL, NULL, body, url, sizeof(url), why) < 0) {
        CHECK(is_whole(why));
        return;
    }
    size_t n = strnlen(url, sizeof(url));
    CHECK(n < sizeof(url) && strncmp(url, "http", 4) == 0);
    CHECK(url[strcspn(url, " \t\r\n")] == '\0');
    char *exact = malloc(n + 1);
    CHECK(profile_url(profile, base, NULL, NULL, body, exact, n + 1, why) == 0);
    CHECK(strcmp(exact, url) == 0);
    CHECK(profile_url(profile, base, NULL, NULL, body, exact, n, why) < 0);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    char line[512];
    unsigned number = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    fuzz_line(&input, line, sizeof(line));
    char *base = fuzz_text(line, strlen(line));
    json_object *body = fuzz_json(input.bytes, input.n);
    check_request(profile, body);
    check_url(profile, base[0] ? base : NULL, body);
    json_object_put(body);
    free(base);
    return 0;
}
