/*
 * Fuzz target: server-sent events, and the profiles that read them.
 *
 *     anthropic 3       a profile, and into how many pieces the rest is cut
 *     event: ...        the stream
 *
 * Whatever the bytes, the pieces must give the same events in the same order as the whole; and
 * whatever an event says, its usage stays within range.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>

#include "call/sse.h"

struct outcome {
    const struct profile *profile;
    struct profile_usage usage;
    uint64_t hash;
    int err;
};

static void mix(struct outcome *outcome, const char *bytes, size_t n)
{
    outcome->hash = fuzz_mix(outcome->hash, bytes, n);
}

static int on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct outcome *outcome = arg;
    char words[64];
    struct profile_hints hints = {0};
    CHECK(data[n] == '\0' && strlen(name) < SSE_MAX_NAME_BYTES);
    mix(outcome, name, strlen(name));
    mix(outcome, data, n);
    json_object *event = fuzz_json(data, n);
    const char *text = profile_event_text(outcome->profile, name, event);
    if (text)
        mix(outcome, text, strlen(text));
    profile_read_event(outcome->profile, name, data, event, &outcome->usage);
    fuzz_classify_event(outcome->profile, name, event);
    profile_error_text(outcome->profile, event, words, sizeof(words));
    profile_read_error(outcome->profile, event, 0, &hints);
    fuzz_check_hints(&hints);
    fuzz_check_usage(outcome->profile, &outcome->usage);
    json_object_put(event);
    return 0;
}

static struct outcome run(const struct profile *profile, const struct fuzz_input *input,
                          size_t piece)
{
    struct outcome outcome = {.profile = profile, .hash = FUZZ_HASH};
    struct sse sse;
    sse_init(&sse, on_event, &outcome);
    for (size_t from = 0; from < input->n; from += piece) {
        size_t more = input->n - from < piece ? input->n - from : piece;
        char *bytes = fuzz_copy(input->bytes + from, more);
        outcome.err = sse_feed(&sse, bytes, more);
        free(bytes);
    }
    CHECK(sse_feed(&sse, "", 0) == outcome.err); /* an error sticks */
    sse_close(&sse);
    sse_close(&sse);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    unsigned number = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    size_t pieces = 1 + number % 256;
    if (input.n == 0)
        return 0;
    struct outcome whole = run(profile, &input, input.n);
    struct outcome split = run(profile, &input, (input.n - 1) / pieces + 1);
    CHECK(whole.hash == split.hash && whole.err == split.err);
    CHECK(whole.usage.input == split.usage.input && whole.usage.output == split.usage.output);
    return 0;
}
