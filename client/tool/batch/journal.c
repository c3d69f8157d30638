/*
 * How it fails:
 *   - killed at any moment: at most the last line is torn. It lacks its line end or its hash does
 *     not fit, and it is cut off
 *   - power lost: what was not synced may be there in pieces. Each line stands for itself, so whole
 *     ones count
 *   - the disk is full: the piece that was written is cut off again, and the run ends with what is
 *     done so far
 *   - killed while the output is made: it has another name until then, and is made again
 *   - killed between renaming the output and removing the journal: the journal is complete, the
 *     output is made again
 */
#include "tool/batch/journal.h"

#include "tool/say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_CHARS 16
#define HEAD_BYTES 256 /* before the JSON, at most */
#define FORMAT     "ration-batch-1"
#define COPY_BYTES 65536

/* ---- Lines ---- */

/* Checks the hash of a line (without its end). Gives what follows the hash, or NULL. */
static const char *open_line(const char *line, size_t bytes)
{
    if (bytes <= HASH_CHARS + 1 || line[HASH_CHARS] != ' ')
        return NULL;
    char want[HASH_CHARS + 1];
    const char *rest = line + HASH_CHARS + 1;
    snprintf(want, sizeof(want), "%016" PRIx64,
             batch_hash(BATCH_HASH_START, rest, bytes - HASH_CHARS - 1));
    return memcmp(want, line, HASH_CHARS) == 0 ? rest : NULL;
}

static int find_class(const char *word)
{
    for (int i = 0; i < BATCH_CLASS_COUNT; i++) {
        if (strcmp(batch_class_words[i], word) == 0)
            return i;
    }
    return -1;
}

/* Whether a call may have used that many: a file from elsewhere may say anything. */
static bool is_cost(int64_t tokens)
{
    return tokens >= 0 && tokens <= RATION_MAX_COST;
}

/* "17 answered 1 210 95 {...": false if it is not a result of this input. */
static bool read_done(const char *text, size_t n, struct batch_done *done, size_t *json_at)
{
    char word[16] = "";
    int at = 0;
    if (sscanf(text, "%zu %15s %" SCNu32 " %" SCNd64 " %" SCNd64 " %n", &done->index, word,
               &done->tries, &done->input_tokens, &done->output_tokens, &at) != 5 ||
        at == 0 || text[at] != '{' || done->index >= n || !is_cost(done->input_tokens) ||
        !is_cost(done->output_tokens))
        return false;
    int class = find_class(word);
    done->class = (enum batch_class) class;
    *json_at = (size_t)at;
    return class >= 0;
}

static void forget(struct batch_journal *journal, struct batch_entry *entry)
{
    if (entry->bytes == 0)
        return;
    journal->of_class[entry->class]--;
    journal->done--;
    entry->bytes = 0;
}

static void count(struct batch_journal *journal, const struct batch_done *done, int64_t offset,
                  size_t bytes)
{
    struct batch_entry *entry = &journal->entries[done->index];
    forget(journal, entry);
    *entry = (struct batch_entry){
        .offset = offset, .bytes = (uint32_t)bytes, .class = (uint8_t)done->class};
    journal->of_class[done->class]++;
    journal->done++;
    int64_t tokens = done->input_tokens + done->output_tokens;
    journal->tokens = tokens > INT64_MAX - journal->tokens ? INT64_MAX : journal->tokens + tokens;
}

/* ---- Opening ---- */

static void make_head(const struct batch_input *input, char *head, size_t size)
{
    char text[HEAD_BYTES];
    snprintf(text, sizeof(text),
             FORMAT " input=%016" PRIx64 " bytes=%" PRId64 " requests=%zu form=%s", input->hash,
             input->bytes, input->n, batch_forms[input->format].word);
    snprintf(head, size, "%016" PRIx64 " %s\n", batch_hash(BATCH_HASH_START, text, strlen(text)),
             text);
}

static bool fail(const char *path, const char *doing)
{
    int error = errno;
    say("%s cannot be %s: %s", path, doing, strerror(error));
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        say("make room; nothing that is done is lost");
    return false;
}

/* All of it or nothing: a piece is cut off again. */
static bool append(struct batch_journal *journal, const char *data, size_t bytes)
{
    size_t put = 0;
    while (put < bytes) {
        ssize_t n = pwrite(journal->fd, data + put, bytes - put, journal->end + (int64_t)put);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        put += (size_t)n;
    }
    if (put < bytes) {
        fail(journal->path, "written");
        if (put > 0 && ftruncate(journal->fd, journal->end) < 0)
            fail(journal->path, "cut");
        return false;
    }
    journal->end += (int64_t)bytes;
    journal->dirty = true;
    return true;
}

/* Makes the file's name survive a loss of power. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static bool begin(struct batch_journal *journal, const struct batch_input *input)
{
    char head[HEAD_BYTES];
    make_head(input, head, sizeof(head));
    if (ftruncate(journal->fd, 0) < 0)
        return fail(journal->path, "cut");
    journal->end = 0;
    if (!append(journal, head, strlen(head)) || !batch_journal_sync(journal))
        return false;
    sync_folder(journal->path);
    journal->bare = true;
    return true;
}

/* Whether it is the first line of some journal. */
static bool is_head(const char *line, size_t bytes)
{
    const char *text = open_line(line, bytes);
    return text && strncmp(text, FORMAT " ", strlen(FORMAT) + 1) == 0;
}

static bool check_head(const struct batch_journal *journal, const struct batch_input *input,
                       const char *line, size_t bytes)
{
    char want[HEAD_BYTES];
    make_head(input, want, sizeof(want));
    if (bytes + 1 == strlen(want) && memcmp(line, want, bytes) == 0)
        return true;
    if (is_head(line, bytes))
        say("%s is about another input: %s has changed since. Use the file as it was, name another "
            "--output, or remove the journal to begin anew",
            journal->path, input->name);
    else
        say("%s is not a journal of 'ration batch'; move it away, or name another --output",
            journal->path);
    return false;
}

/* Reads every line after the first, and sets journal->end to where the last whole one ends. */
static void take_lines(struct batch_journal *journal, FILE *file, char **line, size_t *room,
                       bool retry_failed)
{
    size_t damaged = 0;
    ssize_t got;
    while ((got = getline(line, room, file)) > 0 && (*line)[got - 1] == '\n') {
        struct batch_done done;
        size_t json_at = 0;
        size_t bytes = (size_t)got - 1;
        (*line)[bytes] = '\0';
        const char *text = open_line(*line, bytes);
        if (!text || !read_done(text, journal->n, &done, &json_at)) {
            damaged++;
        } else {
            size_t at = HASH_CHARS + 1 + json_at;
            count(journal, &done, journal->end + (int64_t)at, bytes - at);
            if (retry_failed && done.class != BATCH_ANSWERED)
                forget(journal, &journal->entries[done.index]);
        }
        journal->end += got;
    }
    damaged += got > 0;
    if (damaged > 0)
        say("%s has %zu damaged line%s; those requests are done again", journal->path, damaged,
            damaged == 1 ? "" : "s");
}

/* Reads what earlier runs have done. */
static bool load(struct batch_journal *journal, const struct batch_input *input, bool retry_failed)
{
    char *line = NULL;
    size_t room = 0;
    int fd = dup(journal->fd);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        if (fd >= 0)
            close(fd);
        return fail(journal->path, "read");
    }
    bool ok = true;
    ssize_t got = getline(&line, &room, file);
    struct stat st = {0};
    bool whole = got > 0 && line[got - 1] == '\n';
    if (!whole || (is_head(line, (size_t)got - 1) && fstat(fd, &st) == 0 && st.st_size == got)) {
        /* The run was killed before its first result, or even before the first line was whole. */
        ok = got <= HEAD_BYTES ? begin(journal, input)
                               : check_head(journal, input, line, (size_t)got);
    } else if (!check_head(journal, input, line, (size_t)got - 1)) {
        ok = false;
    } else {
        journal->end = got;
        take_lines(journal, file, &line, &room, retry_failed);
        journal->found = journal->done;
        ok = !ferror(file) || fail(journal->path, "read");
        if (ok && ftruncate(journal->fd, journal->end) < 0)
            ok = fail(journal->path, "cut");
    }
    free(line);
    fclose(file);
    return ok;
}

static bool open_locked(struct batch_journal *journal, bool overwrite)
{
    struct stat st;
    bool has_output = stat(journal->output, &st) == 0;
    if (has_output && !S_ISREG(st.st_mode))
        return say("--output %s is not a regular file", journal->output);
    journal->fd = open(journal->path, O_RDWR | O_CLOEXEC);
    if (journal->fd < 0 && errno == ENOENT && has_output && !overwrite)
        return say("%s exists and is complete; name another --output, or allow replacing it with "
                   "--overwrite",
                   journal->output);
    if (journal->fd < 0 && errno == ENOENT)
        journal->fd = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (journal->fd < 0)
        return fail(journal->path, "opened");
    if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fail(journal->path, "locked");
        return say("another 'ration batch' is writing %s", journal->output);
    }
    /* Between our open() and the lock another run may have ended and removed the file that we
     * hold. */
    if (fstat(journal->fd, &st) < 0 || st.st_nlink == 0)
        return say("another 'ration batch' has just written %s", journal->output);
    return true;
}

bool batch_journal_open(struct batch_journal *journal, const char *output,
                        const struct batch_input *input, bool retry_failed, bool overwrite)
{
    *journal = (struct batch_journal){.fd = -1, .n = input->n};
    journal->output = strdup(output);
    journal->entries = calloc(input->n, sizeof(*journal->entries));
    bool ok =
        journal->output && journal->entries && asprintf(&journal->path, "%s.journal", output) >= 0;
    if (!ok) {
        journal->path = NULL;
        say("out of memory");
    }
    ok = ok && open_locked(journal, overwrite) && load(journal, input, retry_failed);
    if (!ok)
        batch_journal_close(journal, false);
    return ok;
}

/* ---- Adding ---- */

bool batch_journal_add(struct batch_journal *journal, const struct batch_done *done,
                       const char *json, size_t bytes)
{
    size_t room = HASH_CHARS + HEAD_BYTES + bytes + 2;
    char *line = malloc(room);
    if (!line)
        return say("out of memory for a result");
    char *text = line + HASH_CHARS + 1;
    int head = snprintf(text, HEAD_BYTES, "%zu %s %" PRIu32 " %" PRId64 " %" PRId64 " ",
                        done->index, batch_class_words[done->class], done->tries,
                        done->input_tokens, done->output_tokens);
    memcpy(text + head, json, bytes);
    size_t len = (size_t)head + bytes;
    char hash[HASH_CHARS + 1];
    snprintf(hash, sizeof(hash), "%016" PRIx64, batch_hash(BATCH_HASH_START, text, len));
    memcpy(line, hash, HASH_CHARS);
    line[HASH_CHARS] = ' ';
    text[len] = '\n';
    int64_t offset = journal->end + HASH_CHARS + 1 + head;
    bool ok = append(journal, line, HASH_CHARS + 1 + len + 1);
    if (ok)
        count(journal, done, offset, bytes);
    journal->bare &= !ok;
    free(line);
    return ok;
}

bool batch_journal_sync(struct batch_journal *journal)
{
    if (journal->dirty && fdatasync(journal->fd) < 0)
        return fail(journal->path, "synced");
    journal->dirty = false;
    return true;
}

/* ---- The output ---- */

static bool copy_entry(const struct batch_journal *journal, const struct batch_entry *entry,
                       char *buf, FILE *to)
{
    int64_t at = entry->offset;
    int64_t end = entry->offset + entry->bytes;
    while (at < end) {
        size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t n = pread(journal->fd, buf, want, at);
        if (n <= 0)
            return fail(journal->path, "read");
        if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
            return false;
        at += n;
    }
    return putc('\n', to) != EOF;
}

static bool write_output(const struct batch_journal *journal, const char *path)
{
    FILE *to = fopen(path, "we");
    char *buf = malloc(COPY_BYTES);
    bool ok = to && buf;
    for (size_t i = 0; ok && i < journal->n; i++)
        ok = copy_entry(journal, &journal->entries[i], buf, to);
    ok = ok && fflush(to) == 0 && fsync(fileno(to)) == 0;
    if (!ok)
        fail(path, "written");
    free(buf);
    if (to && fclose(to) != 0 && ok)
        ok = fail(path, "written");
    return ok;
}

bool batch_journal_render(struct batch_journal *journal)
{
    char *path = NULL;
    if (asprintf(&path, "%s.new", journal->output) < 0)
        return say("out of memory");
    bool ok = write_output(journal, path);
    if (ok && rename(path, journal->output) < 0)
        ok = fail(journal->output, "written");
    if (ok)
        sync_folder(journal->output);
    else
        unlink(path);
    free(path);
    return ok;
}

void batch_journal_close(struct batch_journal *journal, bool remove)
{
    /* A journal without a result would only refuse the input after it was corrected. */
    if ((remove || journal->bare) && journal->fd >= 0 && journal->path)
        unlink(journal->path);
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->path);
    free(journal->output);
    free(journal->entries);
    *journal = (struct batch_journal){.fd = -1};
}
