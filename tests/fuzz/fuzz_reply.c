/*
 * Fuzz target: a server's replies to the client. The first byte says into how many pieces the rest
 * is cut.
 *
 * Pieces give the same replies as the whole and end the same way; a reply stays within its bounds;
 * a field that is read is printable, terminated text.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/reply.h"

#include <ration/ration.h>

struct outcome {
    uint64_t hash;
    size_t replies;
    int err;
};

static void mix(struct outcome *outcome, const void *bytes, size_t n)
{
    outcome->hash = fuzz_mix(outcome->hash, bytes, n);
}

/* Returns how many elements it has, over all levels. */
static size_t mix_reply(struct outcome *outcome, const struct reply *reply, unsigned depth)
{
    size_t items = reply->n;
    CHECK(depth < 10 && reply->type <= REPLY_ARRAY);
    mix(outcome, &reply->type, sizeof(reply->type));
    mix(outcome, &reply->integer, sizeof(reply->integer));
    CHECK(!reply->str || reply->str[reply->len] == '\0');
    CHECK((reply->str != NULL) == (reply->type == REPLY_STATUS || reply->type == REPLY_STRING ||
                                   reply->type == REPLY_ERROR));
    if (reply->str)
        mix(outcome, reply->str, reply->len);
    CHECK(reply->n == 0 || reply->type == REPLY_ARRAY);
    for (size_t i = 0; i < reply->n; i++) {
        CHECK(reply->element[i] != NULL);
        items += mix_reply(outcome, reply->element[i], depth + 1);
    }
    return items;
}

static void read_fields(const struct reply *reply)
{
    char small[8];
    char id[RATION_MAX_ID_BYTES];
    int64_t integer = 0;
    memset(small, 'x', sizeof(small));
    if (reply_field_string(reply, RATION_FIELD_STATUS, small, sizeof(small)) == 0)
        CHECK(strnlen(small, sizeof(small)) < sizeof(small));
    if (reply_field_string(reply, RATION_FIELD_ID, id, sizeof(id)) == 0) {
        for (const char *s = id; *s; s++)
            CHECK(*s >= ' ' && *s <= '~');
    }
    reply_field_integer(reply, RATION_FIELD_RETRY_AFTER_MS, &integer);
    reply_text(reply, small, sizeof(small));
    CHECK(strnlen(small, sizeof(small)) < sizeof(small));
}

static void take_replies(struct reply_reader *reader, struct outcome *outcome)
{
    while (outcome->err == 0) {
        struct reply *reply = NULL;
        outcome->err = reply_reader_next(reader, &reply);
        if (outcome->err < 0 || !reply)
            return;
        CHECK(mix_reply(outcome, reply, 0) <= REPLY_MAX_ITEMS);
        read_fields(reply);
        reply_free(reply);
        outcome->replies++;
    }
}

static struct outcome run(const char *bytes, size_t n, size_t piece)
{
    struct outcome outcome = {.hash = FUZZ_HASH};
    struct reply_reader *reader = reply_reader_new();
    CHECK(reader != NULL);
    for (size_t from = 0; from < n && outcome.err == 0; from += piece) {
        size_t more = n - from < piece ? n - from : piece;
        char *copy = fuzz_copy(bytes + from, more);
        outcome.err = reply_reader_feed(reader, copy, more);
        free(copy);
        take_replies(reader, &outcome);
    }
    if (outcome.err == 0) {
        bool rest = reply_reader_has_rest(reader);
        mix(&outcome, &rest, sizeof(rest));
    }
    reply_reader_free(reader);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t n = size - 1;
    size_t pieces = 1 + data[0];
    struct outcome whole = run(bytes, n, n);
    struct outcome split = run(bytes, n, (n - 1) / pieces + 1);
    CHECK(whole.err == split.err && whole.replies == split.replies && whole.hash == split.hash);
    return 0;
}
