/*
 * Fuzz target: answers and errors of every provider, as a body and as one event of a stream.
 *
 *     gemini 503        a profile and an HTTP status
 *     {"error": ...     the body
 *
 * Usage can be charged, reading the same event twice gives no more than reading it once, the class
 * is in the table, and the message for people is one printable line, which is only cut if there is
 * less room.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>

static void check_words(const struct profile *profile, json_object *body)
{
    enum { ROOM = 300 };
    char words[ROOM];
    memset(words, 'x', sizeof(words));
    profile_error_text(profile, body, words, sizeof(words));
    size_t n = strnlen(words, sizeof(words));
    CHECK(n < sizeof(words));
    for (size_t i = 0; i < n; i++)
        CHECK((unsigned char)words[i] >= 0x20 && words[i] != 0x7f);
    for (size_t cap = 1; cap < 12; cap++) {
        char *few = malloc(cap);
        profile_error_text(profile, body, few, cap);
        CHECK(strlen(few) == (n < cap ? n : cap - 1));
        CHECK(memcmp(few, words, strlen(few)) == 0);
        free(few);
    }
}

static void check_answer(const struct profile *profile, int status, json_object *body)
{
    struct profile_usage usage = {.input = -7};
    struct profile_hints hints = {0};
    if (profile_read_usage(profile, body, &usage))
        fuzz_check_usage(profile, &usage);
    else
        CHECK(usage.input == -7);
    CHECK(fuzz_is_answers_class(profile_classify(profile, status, body)));
    check_words(profile, body);
    profile_read_error(profile, body, 1790000000000, &hints);
    fuzz_check_hints(&hints);
}

static void check_event(const struct profile *profile, const char *data, json_object *event)
{
    struct profile_usage once = {0};
    bool ended = profile_read_event(profile, "", data, event, &once);
    fuzz_check_usage(profile, &once);
    struct profile_usage twice = once;
    CHECK(profile_read_event(profile, "", data, event, &twice) == ended);
    CHECK(once.known == twice.known && once.input == twice.input && once.output == twice.output &&
          once.cached == twice.cached && once.reasoning == twice.reasoning);
    fuzz_classify_event(profile, "", event);
    const char *text = profile_event_text(profile, "", event);
    CHECK(!text || text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    unsigned number = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    char *text = fuzz_text(input.bytes, input.n);
    json_object *body = fuzz_json(text, input.n);
    check_answer(profile, number >= 100 && number <= 599 ? (int)number : 200, body);
    check_event(profile, text, body);
    json_object_put(body);
    free(text);
    return 0;
}
