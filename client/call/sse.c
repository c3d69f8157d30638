/*
 * Bytes become lines, lines become fields, and an empty line completes an event.
 *
 * Whole lines are read in place; only what is left over at the end of a piece is copied. So a
 * stream whose pieces are whole lines, as most are, copies only its data.
 *
 * How it fails: a line or an event that grows past the bound, or no memory. Neither can be mended,
 * because part of the event is lost, so the parser keeps its error.
 */
#include "call/sse.h"

#include <ration/ration.h>

#include <string.h>

void sse_init(struct sse *sse, sse_event_fn on_event, void *arg)
{
    memset(sse, 0, sizeof(*sse));
    sse->on_event = on_event;
    sse->arg = arg;
    grow_init(&sse->line, SSE_MAX_EVENT_BYTES);
    grow_init(&sse->data, SSE_MAX_EVENT_BYTES);
}

void sse_close(struct sse *sse)
{
    grow_close(&sse->line);
    grow_close(&sse->data);
}

/* ---- Fields ---- */

static void copy_name(char *to, const char *value, size_t n)
{
    n = n < SSE_MAX_NAME_BYTES ? n : SSE_MAX_NAME_BYTES - 1;
    memcpy(to, value, n);
    to[n] = '\0';
}

static int read_data(struct sse *sse, const char *value, size_t n)
{
    int err = sse->has_data ? grow_add(&sse->data, "\n", 1) : 0;
    sse->has_data = true;
    return err < 0 ? err : grow_add(&sse->data, value, n);
}

static bool is_field(const char *name, const char *line, size_t n)
{
    return n == strlen(name) && memcmp(line, name, n) == 0;
}

static int read_field(struct sse *sse, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    size_t len = (size_t)(line + n - value);
    if (len > 0 && *value == ' ') {
        value++;
        len--;
    }
    if (is_field("data", line, name))
        return read_data(sse, value, len);
    if (is_field("event", line, name))
        copy_name(sse->name, value, len);
    return 0; /* id and retry are for clients that connect again; a comment has an empty name */
}

/* An empty line: the fields so far are an event, unless no data came. */
static int dispatch(struct sse *sse)
{
    int err = 0;
    if (sse->has_data)
        err = sse->on_event(sse->arg, sse->name, sse->data.bytes, sse->data.n);
    sse->data.n = 0;
    sse->has_data = false;
    sse->name[0] = '\0';
    return err;
}

/* ---- Lines ---- */

static int read_line(struct sse *sse, const char *line, size_t n)
{
    return n == 0 ? dispatch(sse) : read_field(sse, line, n);
}

/* A line whose end is here; its beginning may have been kept. */
static int end_line(struct sse *sse, const char *rest, size_t n)
{
    if (sse->line.n == 0)
        return n > SSE_MAX_EVENT_BYTES ? RATION_EPROTOCOL : read_line(sse, rest, n);
    int err = grow_add(&sse->line, rest, n);
    if (err == 0)
        err = read_line(sse, sse->line.bytes, sse->line.n);
    sse->line.n = 0;
    return err;
}

/* Skips a byte order mark at the very start, even one in pieces. What only began like one is put
 * back into the line. */
static int skip_mark(struct sse *sse, const char **bytes, size_t *n)
{
    static const char mark[] = "\xef\xbb\xbf";
    while (*n > 0 && sse->mark < 3) {
        if (**bytes != mark[sse->mark]) {
            unsigned begun = sse->mark;
            sse->mark = 3;
            return begun ? grow_add(&sse->line, mark, begun) : 0;
        }
        sse->mark++;
        (*bytes)++;
        (*n)--;
    }
    return 0;
}

static size_t find_end(const char *bytes, size_t n)
{
    const char *lf = memchr(bytes, '\n', n);
    size_t end = lf ? (size_t)(lf - bytes) : n;
    const char *cr = memchr(bytes, '\r', end);
    return cr ? (size_t)(cr - bytes) : end;
}

static int feed(struct sse *sse, const char *bytes, size_t n)
{
    int err = skip_mark(sse, &bytes, &n);
    while (err == 0 && n > 0) {
        if (sse->after_cr && *bytes == '\n') {
            sse->after_cr = false;
            bytes++;
            n--;
            continue;
        }
        sse->after_cr = false;
        size_t end = find_end(bytes, n);
        if (end == n)
            return grow_add(&sse->line, bytes, n);
        sse->after_cr = bytes[end] == '\r';
        err = end_line(sse, bytes, end);
        bytes += end + 1;
        n -= end + 1;
    }
    return err;
}

int sse_feed(struct sse *sse, const char *bytes, size_t n)
{
    if (sse->failed == 0)
        sse->failed = feed(sse, bytes, n);
    return sse->failed;
}
