/*
 * Lines are cut out of large reads. A line that does not fit the buffer makes it grow, up to the
 * longest line that is allowed, so that a file without line ends is refused rather than read into
 * memory. Each line is parsed, checked and forgotten; only its place stays.
 *
 * Duplicate ids are found by sorting their hashes; if two are equal, the lines are read again and
 * their ids compared.
 *
 * How it fails: all problems are counted, the first ones are printed with their line, and nothing
 * is sent. A file that cannot be opened or read, or memory that runs out, ends the check at once.
 */
#include "tool/batch/input.h"

#include "tool/batch/json.h"
#include "tool/batch/spool.h"
#include "tool/say.h"

#include "clock.h"
#include "grow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES   (1u << 20)
#define MAX_PROBLEMS 10   /* printed; the others are counted */
#define TELL_MS      2000 /* a check that takes longer shows progress this often */

struct id_hash {
    uint64_t hash;
    uint32_t index;
};

/* The check of a whole file. */
struct reading {
    struct batch_input *input;
    batch_check_fn check;
    void *arg;
    struct grow buf; /* what has been read and not taken */
    size_t lines_room;
    struct id_hash *ids;
    json_tokener *tokener;
    uint32_t number;
    size_t problems;
    bool has_form; /* the first request has set it for all */
    bool out_of_memory;
    bool quiet;
    int64_t tell_ms; /* when to show progress */
};

/* ---- One line ---- */

static void complain(struct reading *r, uint32_t number, const char *what)
{
    if (r->problems++ < MAX_PROBLEMS)
        say("%s line %" PRIu32 ": %s", r->input->name, number, what);
}

/* A JSON object and nothing after it; NULL and what is wrong. */
static json_object *parse(json_tokener *tokener, const char *text, size_t bytes, const char **why)
{
    size_t start = 0;
    while (start < bytes && (text[start] == ' ' || text[start] == '\t'))
        start++;
    *why = "it is not a JSON object";
    return start < bytes && text[start] == '{' ? batch_json_parse(tokener, text, bytes, why) : NULL;
}

static bool streams(const struct batch_request *request)
{
    json_object *value = NULL;
    return json_object_object_get_ex(request->body, "stream", &value) &&
           json_object_get_boolean(value);
}

/* Gives the id too, which lives as long as `root`; NULL: none. */
static bool check_request(struct reading *r, json_object *root, const char **id)
{
    struct batch_input *input = r->input;
    struct batch_request request;
    char why[BATCH_ERROR_BYTES] = "";
    enum batch_format format = batch_form_of(root);
    if (!r->has_form)
        input->format = format;
    r->has_form = true;
    if (format != input->format) {
        snprintf(why, sizeof(why),
                 "this is %s, but the first request is %s; all requests of a file have one form",
                 batch_forms[format].text, batch_forms[input->format].text);
        complain(r, r->number, why);
        return false;
    }
    batch_form_take_apart(format, root, &request);
    *id = request.custom_id;
    bool ok = batch_form_check(&request, why, sizeof(why));
    if (ok && streams(&request)) {
        snprintf(why, sizeof(why),
                 "\"stream\" is set; a batch takes whole answers, so leave it out");
        ok = false;
    }
    ok = ok && r->check(r->arg, &request, why);
    if (!ok)
        complain(r, r->number, why);
    return ok;
}

static bool make_room(struct reading *r)
{
    struct batch_input *input = r->input;
    if (input->n < r->lines_room)
        return true;
    size_t room = r->lines_room ? r->lines_room * 2 : 1024;
    struct batch_line *lines = realloc(input->lines, room * sizeof(*lines));
    if (lines)
        input->lines = lines;
    struct id_hash *ids = realloc(r->ids, room * sizeof(*ids));
    if (ids)
        r->ids = ids;
    r->out_of_memory = !lines || !ids;
    if (!r->out_of_memory)
        r->lines_room = room;
    return !r->out_of_memory;
}

static bool is_blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (!strchr(" \t\r", text[i]) || !text[i])
            return false;
    }
    return true;
}

/* Some editors begin a file with a byte order mark. */
static const char mark[] = "\xef\xbb\xbf";

static void take_line(struct reading *r, const char *text, size_t bytes, int64_t offset)
{
    struct batch_input *input = r->input;
    const char *why = NULL;
    const char *id = NULL;
    if (r->number++ == 0 && bytes >= sizeof(mark) - 1 &&
        memcmp(text, mark, sizeof(mark) - 1) == 0) {
        text += sizeof(mark) - 1;
        bytes -= sizeof(mark) - 1;
        offset += (int64_t)sizeof(mark) - 1;
    }
    if (is_blank(text, bytes))
        return;
    json_object *root = parse(r->tokener, text, bytes, &why);
    if (!root) {
        complain(r, r->number, why);
        return;
    }
    if (check_request(r, root, &id) && make_room(r)) {
        if (id)
            r->ids[input->n] = (struct id_hash){
                .hash = batch_hash(BATCH_HASH_START, id, strlen(id)), .index = (uint32_t)input->n};
        input->lines[input->n++] =
            (struct batch_line){.offset = offset,
                                .bytes = (uint32_t)bytes,
                                .number = r->number,
                                .hash = (uint32_t)batch_hash(BATCH_HASH_START, text, bytes)};
    }
    json_object_put(root);
}

/* ---- All lines ---- */

/* Takes the whole lines out of the buffer and moves the rest to its start. */
static void take_lines(struct reading *r, int64_t offset)
{
    struct grow *buf = &r->buf;
    size_t at = 0;
    char *end;
    while (!r->out_of_memory && r->input->n < BATCH_MAX_REQUESTS &&
           (end = memchr(buf->bytes + at, '\n', buf->n - at))) {
        size_t bytes = (size_t)(end - buf->bytes) - at;
        take_line(r, buf->bytes + at, bytes, offset + (int64_t)at);
        at += bytes + 1;
    }
    memmove(buf->bytes, buf->bytes + at, buf->n - at);
    buf->n -= at;
}

static void tell(struct reading *r)
{
    int64_t now_ms = clock_ms();
    if (r->quiet || now_ms < r->tell_ms)
        return;
    say("checking %s: %zu requests, %" PRId64 " MiB", r->input->name, r->input->n,
        r->input->bytes >> 20);
    r->tell_ms = now_ms + TELL_MS;
}

/* The whole file, line by line. False when it cannot go on. */
static bool read_lines(struct reading *r)
{
    struct batch_input *input = r->input;
    struct grow *buf = &r->buf;
    input->hash = BATCH_HASH_START;
    for (;;) {
        if (buf->n > BATCH_MAX_LINE_BYTES) {
            complain(r, r->number + 1, "longer than 64 MiB; the rest is not read");
            return true;
        }
        r->out_of_memory = grow_reserve(buf, READ_BYTES) < 0;
        if (r->out_of_memory)
            return false;
        ssize_t n = pread(input->fd, buf->bytes + buf->n, READ_BYTES, input->bytes);
        if (n < 0)
            return say("%s: %s", input->name, strerror(errno));
        if (n == 0)
            break;
        input->hash = batch_hash(input->hash, buf->bytes + buf->n, (size_t)n);
        int64_t offset = input->bytes - (int64_t)buf->n; /* of the buffer's start */
        input->bytes += n;
        buf->n += (size_t)n;
        take_lines(r, offset);
        tell(r);
        if (r->out_of_memory || input->n == BATCH_MAX_REQUESTS)
            break;
    }
    if (buf->n > 0 && !r->out_of_memory && input->n < BATCH_MAX_REQUESTS)
        take_line(r, buf->bytes, buf->n, input->bytes - (int64_t)buf->n);
    if (input->n == BATCH_MAX_REQUESTS)
        complain(r, r->number, "there are ten million requests or more; split the file");
    return !r->out_of_memory;
}

static int compare_ids(const void *a, const void *b)
{
    const struct id_hash *x = a;
    const struct id_hash *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void compare_pair(struct reading *r, size_t first, size_t second)
{
    const struct batch_input *input = r->input;
    struct batch_request a;
    struct batch_request b;
    if (!batch_input_read(input, first, &a, NULL)) {
        r->problems++;
        return;
    }
    if (!batch_input_read(input, second, &b, NULL))
        r->problems++;
    else {
        char what[BATCH_ERROR_BYTES];
        snprintf(what, sizeof(what), "\"%s\" \"%.200s\" is that of line %" PRIu32 " too",
                 batch_forms[input->format].id, b.custom_id, input->lines[first].number);
        if (strcmp(a.custom_id, b.custom_id) == 0)
            complain(r, input->lines[second].number, what);
        json_object_put(b.root);
    }
    json_object_put(a.root);
}

static void find_duplicates(struct reading *r)
{
    if (r->input->format == BATCH_PLAIN || !r->ids)
        return;
    qsort(r->ids, r->input->n, sizeof(*r->ids), compare_ids);
    for (size_t i = 1; i < r->input->n; i++) {
        if (r->ids[i].hash == r->ids[i - 1].hash)
            compare_pair(r, r->ids[i - 1].index, r->ids[i].index);
    }
}

static bool verdict(const struct reading *r, bool whole)
{
    if (r->out_of_memory)
        return say("%s: out of memory", r->input->name);
    if (r->problems > MAX_PROBLEMS)
        say("%s: %zu problems in all", r->input->name, r->problems);
    if (r->problems > 0)
        say("nothing was sent");
    else if (whole && r->input->n == 0)
        say("%s has no requests; it takes one JSON object a line", r->input->name);
    return whole && r->problems == 0 && r->input->n > 0;
}

bool batch_input_open(struct batch_input *input, const char *name, bool quiet, batch_check_fn check,
                      void *arg)
{
    struct reading r = {.input = input, .check = check, .arg = arg, .quiet = quiet};
    grow_init(&r.buf, BATCH_MAX_LINE_BYTES + 2 * READ_BYTES);
    r.tell_ms = clock_ms() + TELL_MS;
    *input = (struct batch_input){.fd = -1, .name = name};
    input->fd = batch_spool_open(&input->name);
    if (input->fd < 0)
        return false;
    r.tokener = batch_json_tokener();
    r.out_of_memory = !r.tokener;
    bool whole = r.tokener && read_lines(&r);
    if (whole)
        find_duplicates(&r);
    bool ok = verdict(&r, whole);
    if (r.tokener)
        json_tokener_free(r.tokener);
    free(r.ids);
    grow_close(&r.buf);
    if (!ok)
        batch_input_close(input);
    return ok;
}

void batch_input_close(struct batch_input *input)
{
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    input->fd = -1;
    free(input->lines);
    input->lines = NULL;
}

/* ---- One request again ---- */

static char *read_text(const struct batch_input *input, const struct batch_line *line)
{
    char *text = malloc((size_t)line->bytes + 1);
    if (!text) {
        say("out of memory");
        return NULL;
    }
    size_t got = 0;
    while (got < line->bytes) {
        ssize_t n = pread(input->fd, text + got, line->bytes - got, line->offset + (int64_t)got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    text[got] = '\0';
    if (got == line->bytes && (uint32_t)batch_hash(BATCH_HASH_START, text, got) == line->hash)
        return text;
    say("%s line %" PRIu32
        " was changed while the batch ran; put the file back as it was and run again",
        input->name, line->number);
    free(text);
    return NULL;
}

bool batch_input_read(const struct batch_input *input, size_t i, struct batch_request *request,
                      char **text)
{
    const char *why = NULL;
    char *line = read_text(input, &input->lines[i]);
    if (!line)
        return false;
    json_tokener *tokener = batch_json_tokener();
    json_object *root = tokener ? parse(tokener, line, input->lines[i].bytes, &why) : NULL;
    if (tokener)
        json_tokener_free(tokener);
    if (!root) {
        say("%s line %" PRIu32 ": %s", input->name, input->lines[i].number,
            why ? why : "out of memory");
        free(line);
        return false;
    }
    batch_form_take_apart(input->format, root, request);
    if (text)
        *text = line;
    else
        free(line);
    return true;
}
