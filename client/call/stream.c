/*
 * Bytes go to their parser, events are read by the profile and passed on.
 *
 * How it fails: an event that is an error (the first one counts), bytes that are not events, an
 * event larger than an answer may be, no memory. Only the last event of a stream, or the reason
 * that it gives for its end, shows that it came to its end; a connection that was closed in good
 * order shows nothing, since a proxy closes like that when a stream breaks off behind it.
 */
#include "call/stream.h"

#include "parse.h"

#include <stdio.h>
#include <string.h>

#define MAX_HELD_BYTES 1048576 /* after that much without text, the caller gets to see it */
#define MAX_HELD_HEAD  256     /* name and length of the event that crosses this line */

static int on_event(void *arg, const char *name, const char *data, size_t bytes);

static int on_value(void *arg, const char *data, size_t bytes)
{
    return on_event(arg, "", data, bytes);
}

void stream_init(struct stream *stream, const struct profile *profile, json_tokener *tokener,
                 bool wanted, ration_stream_fn fn, void *arg)
{
    *stream = (struct stream){
        .profile = profile, .tokener = tokener, .wanted = wanted, .fn = fn, .arg = arg};
    grow_init(&stream->held, MAX_HELD_BYTES + MAX_HELD_HEAD);
}

static void close_parsers(struct stream *stream)
{
    if (stream->kind != STREAM_EVENTS)
        return;
    if (stream->form == PROFILE_SSE)
        sse_close(&stream->sse);
    jvalues_close(&stream->values);
    aws_events_close(&stream->aws);
}

void stream_close(struct stream *stream)
{
    close_parsers(stream);
    grow_close(&stream->held);
    json_object_put(stream->error);
    stream->error = NULL;
    stream->kind = STREAM_UNKNOWN;
}

/* ---- To the caller ---- */

static int give(struct stream *stream, const char *name, const char *data, size_t bytes,
                const char *text)
{
    if (!stream->fn || stream->fn(stream->arg, name, data, bytes, text) == 0)
        return 0;
    stream->aborted = true;
    return RATION_EABORTED;
}

static int hold_back(struct stream *stream, const char *name, const char *data, size_t bytes)
{
    size_t n = strlen(name) + 1;
    int err = grow_reserve(&stream->held, n + sizeof(bytes) + bytes + 1);
    if (err < 0)
        return err;
    grow_add(&stream->held, name, n);
    grow_add(&stream->held, &bytes, sizeof(bytes));
    return grow_add(&stream->held, data, bytes + 1);
}

static int give_held(struct stream *stream)
{
    int err = 0;
    for (size_t at = 0; err == 0 && at < stream->held.n;) {
        const char *name = stream->held.bytes + at;
        size_t bytes = 0;
        at += strlen(name) + 1;
        memcpy(&bytes, stream->held.bytes + at, sizeof(bytes));
        at += sizeof(bytes);
        err = give(stream, name, stream->held.bytes + at, bytes, NULL);
        at += bytes + 1;
    }
    stream->held.n = 0;
    stream->flowing = true;
    return err;
}

/* ---- Events ---- */

/* The first error counts. Its event is kept, because waits and messages are read from it at the
 * end. */
static void note_error(struct stream *stream, const char *name, const char *data,
                       json_object *event)
{
    enum profile_class which = profile_classify_event(stream->profile, name, event);
    if (which == PROFILE_ANSWERED || stream->failed)
        return;
    stream->failed = true;
    stream->error_class = which;
    stream->error = json_object_get(event);
    if (!event)
        snprintf(stream->error_text, sizeof(stream->error_text), "%.200s", data);
}

static int pass_on(struct stream *stream, const char *name, const char *data, size_t bytes,
                   const char *text, const struct profile_piece *piece)
{
    int err = 0;
    bool empty = !text && !piece->arguments && piece->characters == 0;
    if (!stream->fn || (stream->failed && !stream->flowing))
        return 0;
    if (!stream->flowing && empty && stream->held.n + bytes < MAX_HELD_BYTES)
        return hold_back(stream, name, data, bytes);
    if (!stream->flowing)
        err = give_held(stream);
    if (err == 0 && (text || piece->arguments))
        stream->delivered = true;
    return err < 0 ? err : give(stream, name, data, bytes, text);
}

static int on_event(void *arg, const char *name, const char *data, size_t bytes)
{
    struct stream *stream = arg;
    const struct profile *profile = stream->profile;
    struct profile_piece piece;
    json_object *event = parse_value(stream->tokener, data, bytes);
    if (profile_read_event(profile, name, data, event, &stream->usage))
        stream->ended = true;
    profile_read_piece(profile, name, event, &piece);
    stream->begun |= piece.begun;
    stream->finished |= piece.finished;
    stream->characters += piece.characters;
    note_error(stream, name, data, event);
    const char *text = event ? profile_event_text(profile, name, event) : NULL;
    int err = pass_on(stream, name, data, bytes, text, &piece);
    json_object_put(event);
    return err;
}

/* ---- What it is ---- */

/* The first byte that is neither white space nor of a byte order mark; NULL: it has not come. */
static const char *first_byte(const struct stream *stream)
{
    size_t i = parse_mark_bytes(stream->head, stream->head_bytes);
    while (i < stream->head_bytes && parse_is_space(stream->head[i]))
        i++;
    return i < stream->head_bytes ? stream->head + i : NULL;
}

/* A request that did not ask for a stream may still get one. */
static bool begins_like_events(const char *at, size_t n)
{
    static const char *const fields[] = {"data:", "event:"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (n >= strlen(fields[i]) && memcmp(at, fields[i], strlen(fields[i])) == 0)
            return true;
    }
    return false;
}

/* A byte order mark in pieces, or white space alone, does not say yet. */
static enum stream_kind tell_kind(struct stream *stream, bool at_end)
{
    const char *at = first_byte(stream);
    bool full = at_end || stream->head_bytes == STREAM_HEAD_BYTES;
    size_t n = at ? stream->head_bytes - (size_t)(at - stream->head) : 0;
    enum profile_form form = profile_form(stream->profile);
    if (!at || ((unsigned char)*at == 0xef && n < 3))
        return full ? STREAM_WHOLE : STREAM_UNKNOWN;
    stream->form = PROFILE_SSE;
    if (*at == '\0' && form == PROFILE_AWS && stream->wanted) {
        stream->form = PROFILE_AWS;
        return STREAM_EVENTS;
    }
    if (*at == '{' && form == PROFILE_LINES && stream->wanted) {
        stream->form = PROFILE_LINES;
        return STREAM_EVENTS;
    }
    if (*at == '{' || *at == '[')
        return STREAM_WHOLE;
    if (stream->wanted || begins_like_events(at, n))
        return STREAM_EVENTS;
    return n < 6 && !full ? STREAM_UNKNOWN : STREAM_WHOLE;
}

static void open_parser(struct stream *stream)
{
    if (stream->form == PROFILE_SSE)
        sse_init(&stream->sse, on_event, stream);
    else if (stream->form == PROFILE_LINES)
        jvalues_init(&stream->values, on_value, stream);
    else
        aws_events_init(&stream->aws, on_event, stream);
}

static int parse_bytes(struct stream *stream, const char *bytes, size_t n)
{
    if (stream->form == PROFILE_SSE)
        return sse_feed(&stream->sse, bytes, n);
    if (stream->form == PROFILE_LINES)
        return jvalues_feed(&stream->values, bytes, n);
    return aws_events_feed(&stream->aws, bytes, n);
}

/* What came first. Only server-sent events may begin with a byte order mark; for lines it is
 * skipped here. */
static int parse_head(struct stream *stream)
{
    const char *at = stream->form == PROFILE_LINES ? first_byte(stream) : stream->head;
    return parse_bytes(stream, at, stream->head_bytes - (size_t)(at - stream->head));
}

int stream_feed(struct stream *stream, const char *bytes, size_t n)
{
    int err = 0;
    if (stream->kind == STREAM_UNKNOWN) {
        size_t step = STREAM_HEAD_BYTES - stream->head_bytes;
        if (step > n)
            step = n;
        memcpy(stream->head + stream->head_bytes, bytes, step);
        stream->head_bytes += step;
        stream->kind = tell_kind(stream, false);
        if (stream->kind == STREAM_EVENTS) {
            open_parser(stream);
            err = parse_head(stream);
        }
        bytes += step;
        n -= step;
    }
    if (err == 0 && n > 0 && stream->kind == STREAM_EVENTS)
        err = parse_bytes(stream, bytes, n);
    return err;
}

/* ---- The end ---- */

int stream_finish(struct stream *stream)
{
    if (stream->kind == STREAM_UNKNOWN)
        stream->kind = STREAM_WHOLE;
    return stream->kind == STREAM_EVENTS && !stream->flowing && !stream->failed ? give_held(stream)
                                                                                : 0;
}

int stream_give_whole(struct stream *stream, json_object *answer, const char *data, size_t n)
{
    stream->delivered = true;
    return give(stream, "", data, n, profile_answer_text(stream->profile, answer));
}

bool stream_is_complete(const struct stream *stream, bool framed)
{
    if (stream->failed || !stream->begun)
        return false;
    return stream->ended || (stream->finished && (framed || stream->usage.known));
}
