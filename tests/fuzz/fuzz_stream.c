/*
 * Fuzz target: the body of a 2xx answer as it arrives, in every form that streams have.
 *
 *     ollama 5          a profile, and a number: odd if a stream was asked for; half of it is the
 *                       number of pieces that the rest is cut into
 *     aws               if present, each further line is a binary AWS message: its event's name, a
 *                       space, its payload; else the rest is the body as it is
 *     <bytes>
 *
 * The pieces give the same events, texts, counts and verdict as the whole, wherever it is cut.
 */
#include "fuzz_profiles.h"

#include <stdlib.h>
#include <string.h>

#include "call/stream.h"

#define AWS_LINE "aws\n"

struct outcome {
    uint64_t hash;
    size_t events;
    int err;
};

static int on_event(void *arg, const char *name, const char *data, size_t n, const char *text)
{
    struct outcome *outcome = arg;
    CHECK(data[n] == '\0');
    outcome->hash = fuzz_mix(outcome->hash, name, strlen(name));
    outcome->hash = fuzz_mix(outcome->hash, data, n);
    if (text)
        outcome->hash = fuzz_mix(outcome->hash, text, strlen(text));
    outcome->events++;
    return 0;
}

static void check_stream(const struct stream *stream, const struct outcome *outcome)
{
    CHECK(stream->kind != STREAM_UNKNOWN || outcome->err < 0);
    CHECK(stream->characters >= 0);
    CHECK(!stream->delivered || outcome->events > 0);
    CHECK(!stream->aborted);
    CHECK(!stream->failed || fuzz_is_answers_class(stream->error_class));
    CHECK(!stream->failed || stream->error_class != PROFILE_ANSWERED);
    CHECK(strnlen(stream->error_text, sizeof(stream->error_text)) < sizeof(stream->error_text));
    fuzz_check_usage(stream->profile, &stream->usage);
}

static struct outcome run(const struct profile *profile, bool wanted, const char *bytes, size_t n,
                          size_t piece)
{
    struct outcome outcome = {.hash = FUZZ_HASH};
    struct stream stream;
    json_tokener *tokener = json_tokener_new_ex(64);
    CHECK(tokener != NULL);
    stream_init(&stream, profile, tokener, wanted, on_event, &outcome);
    for (size_t from = 0; from < n && outcome.err == 0; from += piece) {
        size_t more = n - from < piece ? n - from : piece;
        char *copy = fuzz_copy(bytes + from, more);
        outcome.err = stream_feed(&stream, copy, more);
        free(copy);
    }
    if (outcome.err == 0)
        outcome.err = stream_finish(&stream);
    check_stream(&stream, &outcome);
    const int64_t fields[] = {stream.kind,
                              stream.begun,
                              stream.ended,
                              stream.finished,
                              stream.delivered,
                              stream.failed,
                              stream.characters,
                              stream.usage.input,
                              stream.usage.output,
                              stream.usage.cached,
                              stream.usage.known,
                              stream.error_class,
                              stream_is_complete(&stream, true)};
    outcome.hash = fuzz_mix(outcome.hash, fields, sizeof(fields));
    stream_close(&stream);
    stream_close(&stream);
    json_tokener_free(tokener);
    return outcome;
}

/* ---- AWS messages ---------------------------------------------------------------------------- */

static uint32_t crc32_of(const unsigned char *bytes, size_t n)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void put_number(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static unsigned char *put_bytes(unsigned char *to, const void *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return to + n;
}

/* Writes the message of one line to `to`. Returns its length. */
static size_t put_message(unsigned char *to, const char *line)
{
    static const char header[] = {11, ':', 'e', 'v', 'e', 'n', 't', '-', 't', 'y', 'p', 'e', 7};
    size_t name = strcspn(line, " ");
    const char *payload = line + name + (line[name] != '\0');
    size_t headers = sizeof(header) + 2 + name;
    size_t bytes = strlen(payload);
    size_t all = 12 + headers + bytes + 4;
    put_number(to, (uint32_t)all);
    put_number(to + 4, (uint32_t)headers);
    put_number(to + 8, crc32_of(to, 8));
    unsigned char *at = put_bytes(to + 12, header, sizeof(header));
    *at++ = (unsigned char)(name >> 8);
    *at++ = (unsigned char)name;
    at = put_bytes(at, line, name);
    put_bytes(at, payload, bytes);
    put_number(to + all - 4, crc32_of(to, all - 4));
    return all;
}

/* Gives the body in memory of its own, for the caller to free. */
static char *make_body(struct fuzz_input input, size_t *n)
{
    enum { AROUND = 64 }; /* more than a message adds to its line */
    char line[2048];
    *n = input.n;
    if (input.n < strlen(AWS_LINE) || memcmp(input.bytes, AWS_LINE, strlen(AWS_LINE)) != 0)
        return fuzz_copy(input.bytes, input.n);
    fuzz_line(&input, line, sizeof(line));
    unsigned char *body = malloc((input.n + 1) * AROUND);
    CHECK(body != NULL);
    for (*n = 0; input.n > 0;) {
        fuzz_line(&input, line, sizeof(line));
        *n += put_message(body + *n, line);
    }
    return (char *)body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    unsigned number = 0;
    size_t n = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    bool wanted = number & 1;
    size_t pieces = 1 + number / 2 % 256;
    char *body = make_body(input, &n);
    if (n > 0) {
        struct outcome whole = run(profile, wanted, body, n, n);
        struct outcome split = run(profile, wanted, body, n, (n - 1) / pieces + 1);
        CHECK(whole.err == split.err && whole.events == split.events);
        CHECK(whole.hash == split.hash);
    }
    free(body);
    return 0;
}
