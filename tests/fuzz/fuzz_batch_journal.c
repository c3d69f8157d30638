/*
 * Fuzz target: the journal of `ration batch`, as left by an earlier run or a crash.
 *
 *     3 answered 1 210 95 {"id": ...     a line, which is given its valid hash
 *     #0123456789abcdef 3 ans            after a "#", a line as it is: torn, damaged, or from
 *                                        another journal
 *
 * If the first line of the input is "raw", the journal's own first line is missing. Whatever the
 * journal is, what counts as done is a place within the file and a result of this input, the next
 * run finds a result that was added, and opening the journal twice finds the same.
 */
#define _GNU_SOURCE /* asprintf */
#include "fuzz.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/batch/journal.h"

#define REQUESTS 5

/* Everything is in one folder, which is removed when the run ends. */
static struct {
    char folder[64];
    char output[96];
    char journal[112];
    char head[512]; /* the first line, as the journal itself writes it */
    size_t head_bytes;
    struct batch_input input;
} place;

static void remove_place(void)
{
    unlink(place.journal);
    unlink(place.output);
    rmdir(place.folder);
}

static void make_place(void)
{
    struct batch_journal journal;
    const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(place.folder, sizeof(place.folder), "%s/ration-fuzz-journal-XXXXXX", shm);
    CHECK(mkdtemp(place.folder) != NULL);
    atexit(remove_place);
    snprintf(place.output, sizeof(place.output), "%s/out", place.folder);
    snprintf(place.journal, sizeof(place.journal), "%s.journal", place.output);
    place.input = (struct batch_input){
        .fd = -1, .name = "in", .format = BATCH_OPENAI, .n = REQUESTS, .hash = 7, .bytes = 1000};
    CHECK(batch_journal_open(&journal, place.output, &place.input, false, false));
    ssize_t n = pread(journal.fd, place.head, sizeof(place.head), 0);
    CHECK(n > 0 && place.head[n - 1] == '\n');
    place.head_bytes = (size_t)n;
    batch_journal_close(&journal, true);
}

static void put_line(FILE *file, const char *line)
{
    if (line[0] == '#')
        fprintf(file, "%s\n", line + 1);
    else
        fprintf(file, "%016" PRIx64 " %s\n", batch_hash(BATCH_HASH_START, line, strlen(line)),
                line);
}

/* The last line of the input is kept as it is, without an end. */
static void write_journal(struct fuzz_input input)
{
    char line[1024];
    FILE *file = fopen(place.journal, "we");
    CHECK(file != NULL);
    fuzz_line(&input, line, sizeof(line));
    if (strcmp(line, "raw") != 0)
        fwrite(place.head, 1, place.head_bytes, file);
    while (input.n > 0 && memchr(input.bytes, '\n', input.n)) {
        fuzz_line(&input, line, sizeof(line));
        put_line(file, line);
    }
    fwrite(input.bytes, 1, input.n, file);
    CHECK(fclose(file) == 0);
}

static void check_entry(const struct batch_journal *journal, size_t i, int64_t size)
{
    const struct batch_entry *entry = &journal->entries[i];
    char first = 0;
    CHECK(entry->offset >= (int64_t)place.head_bytes);
    CHECK(entry->offset + entry->bytes < size && entry->class < BATCH_CLASS_COUNT);
    CHECK(pread(journal->fd, &first, 1, entry->offset) == 1 && first == '{');
    CHECK(pread(journal->fd, &first, 1, entry->offset + entry->bytes) == 1 && first == '\n');
}

static void check_journal(const struct batch_journal *journal)
{
    struct stat st;
    size_t done = 0;
    size_t of_class = 0;
    CHECK(fstat(journal->fd, &st) == 0 && journal->end == st.st_size && journal->n == REQUESTS);
    for (size_t i = 0; i < journal->n; i++) {
        if (journal->entries[i].bytes == 0)
            continue;
        done++;
        check_entry(journal, i, st.st_size);
    }
    for (size_t i = 0; i < BATCH_CLASS_COUNT; i++)
        of_class += journal->of_class[i];
    CHECK(done == journal->done && of_class == done && journal->found <= REQUESTS);
}

/* Adds a result of request `index` and finds it again. */
static void check_add(bool retry_failed)
{
    static const char json[] = "{\"id\":1}";
    struct batch_journal journal;
    struct batch_done done = {.index = 2, .class = BATCH_ANSWERED, .tries = 1};
    CHECK(batch_journal_open(&journal, place.output, &place.input, retry_failed, false));
    size_t before = journal.done;
    bool had = journal.entries[2].bytes > 0;
    CHECK(batch_journal_add(&journal, &done, json, sizeof(json) - 1));
    check_journal(&journal);
    CHECK(journal.done == before + (had ? 0 : 1));
    batch_journal_close(&journal, false);

    CHECK(batch_journal_open(&journal, place.output, &place.input, retry_failed, false));
    check_journal(&journal);
    CHECK(journal.done == before + (had ? 0 : 1));
    CHECK(journal.entries[2].bytes == sizeof(json) - 1 &&
          journal.entries[2].class == BATCH_ANSWERED);
    if (journal.done == journal.n)
        CHECK(batch_journal_render(&journal));
    batch_journal_close(&journal, true);
    unlink(place.output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_journal journal;
    if (!place.input.name)
        make_place();
    bool retry_failed = size > 0 && data[size - 1] == 'r';
    write_journal((struct fuzz_input){(const char *)data, size});
    if (!batch_journal_open(&journal, place.output, &place.input, retry_failed, false)) {
        unlink(place.journal);
        return 0;
    }
    check_journal(&journal);
    batch_journal_close(&journal, false);
    check_add(retry_failed);
    return 0;
}
