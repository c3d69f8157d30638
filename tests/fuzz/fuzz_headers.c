/*
 * Fuzz target: an answer's headers, which report waits and limits.
 *
 *     openai 1790000000     a profile, and the wall clock in seconds
 *     retry-after: 20       one header per line
 *
 * What they report is usable, and unless a header occurs twice, their order does not affect the
 * wait.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HEADERS 16
#define MAX_BYTES   256

struct header {
    char name[MAX_BYTES];
    const char *value;
};

static size_t take_headers(struct fuzz_input *input, struct header headers[MAX_HEADERS])
{
    size_t n = 0;
    while (input->n > 0 && n < MAX_HEADERS) {
        struct header *header = &headers[n];
        fuzz_line(input, header->name, sizeof(header->name));
        char *colon = strchr(header->name, ':');
        if (!colon)
            continue;
        *colon = '\0';
        header->value = colon + 1;
        n++;
    }
    return n;
}

static bool all_differ(const struct header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcasecmp(headers[i].name, headers[j].name) == 0)
                return false;
        }
    }
    return true;
}

static void read_one(const struct profile *profile, const struct header *header, int64_t now_ms,
                     struct profile_hints *hints)
{
    char *name = fuzz_text(header->name, strlen(header->name));
    char *value = fuzz_text(header->value, strlen(header->value));
    profile_read_header(profile, name, value, now_ms, hints);
    fuzz_check_hints(hints);
    free(name);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    struct header headers[MAX_HEADERS];
    struct profile_hints forth = {0};
    struct profile_hints back = {0};
    unsigned number = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    int64_t now_ms = (int64_t)number * 1000;
    size_t n = take_headers(&input, headers);
    for (size_t i = 0; i < n; i++)
        read_one(profile, &headers[i], now_ms, &forth);
    for (size_t i = n; i-- > 0;)
        read_one(profile, &headers[i], now_ms, &back);
    if (all_differ(headers, n)) {
        CHECK(forth.waits == back.waits && forth.retry_after_ms == back.retry_after_ms);
        CHECK(forth.n_limits == back.n_limits);
    }
    return 0;
}
