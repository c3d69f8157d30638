/*
 * Fuzz target: the client's parser of server-sent events, and the profiles that read what it gives.
 *
 * The first byte of the input chooses the profile and into how many pieces the rest is cut. Whatever the bytes, the pieces must
 * give the same events, in the same order, as the whole; and whatever an event says, what was used of it stays in its range.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

struct outcome {
    const struct profile *profile;
    struct profile_usage usage;
    uint64_t hash;
    int err;
};

static void mix(struct outcome *outcome, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        outcome->hash = (outcome->hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    outcome->hash = (outcome->hash ^ n) * 0x100000001b3u;
}

static void check_usage(const struct profile *profile, const struct profile_usage *usage)
{
    struct ration_amounts used = {0};
    if (usage->input < 0 || usage->output < 0 || usage->input + usage->output > RATION_MAX_COST ||
        usage->cached < 0 || usage->cached > usage->input || usage->reasoning > usage->output)
        abort();
    profile_count(profile, usage, &used);
    if (used.tokens < RATION_ZERO || used.tokens > RATION_MAX_COST || used.tokens == 0 ||
        used.input_tokens == 0 || used.output_tokens == 0)
        abort();
}

static int on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct outcome *outcome = arg;
    char words[64];
    struct profile_hints hints = {0};
    if (data[n] != '\0' || strlen(name) >= SSE_MAX_NAME_BYTES)
        abort();
    mix(outcome, name, strlen(name));
    mix(outcome, data, n);
    json_object *event = json_tokener_parse(data);
    const char *text = profile_event_text(outcome->profile, name, event);
    if (text)
        mix(outcome, text, strlen(text));
    profile_read_event(outcome->profile, name, data, event, &outcome->usage);
    profile_classify_event(outcome->profile, event);
    profile_error_words(outcome->profile, event, words, sizeof(words));
    profile_read_error(outcome->profile, event, 0, &hints);
    if (hints.n_seen > PROFILE_MAX_SEEN || hints.retry_after_ms < 0)
        abort();
    check_usage(outcome->profile, &outcome->usage);
    json_object_put(event);
    return 0;
}

static struct outcome run(const struct profile *profile, const uint8_t *input, size_t n,
                          size_t piece)
{
    struct outcome outcome = {.profile = profile, .hash = 0xcbf29ce484222325u};
    struct sse sse;
    sse_init(&sse, on_event, &outcome);
    for (size_t from = 0; from < n; from += piece) {
        size_t more = n - from < piece ? n - from : piece;
        char *bytes = malloc(more);
        memcpy(bytes, input + from, more);
        outcome.err = sse_feed(&sse, bytes, more);
        free(bytes);
    }
    mix(&outcome, sse.id, strlen(sse.id));
    mix(&outcome, (const char *)&sse.retry_ms, sizeof(sse.retry_ms));
    sse_close(&sse);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static const char *const names[] = {"openai", "openai-responses", "anthropic", "gemini"};
    static struct profiles *profiles;
    char why[PROFILE_WHY_BYTES];
    if (!profiles && profiles_open(NULL, &profiles, why) < 0)
        abort();
    if (n < 2)
        return 0;
    const struct profile *profile = profiles_find(profiles, names[input[0] % 4]);
    size_t pieces = 1 + input[0] / 4;
    struct outcome whole = run(profile, input + 1, n - 1, n - 1);
    struct outcome split = run(profile, input + 1, n - 1, (n - 1) / pieces + 1);
    if (whole.hash != split.hash || whole.err != split.err)
        abort();
    return 0;
}
