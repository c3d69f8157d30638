/*
 * What a batch has done so far, in a file beside its output: OUTPUT.journal.
 *
 *     HASH ration-batch-1 input=3f0c... bytes=51200 requests=500 form=batch
 *     HASH 17 answered 1 210 95 {"id": ... }
 *     HASH 3 refused 1 0 0 {"id": ... }
 *
 * The first line binds it to its input. Every other line is a result: the request's place in the
 * input, how it ended, tries, tokens in and out, and the line that goes to the output. HASH is 16
 * hexadecimal digits over all that follows it. Lines are only added; of two for one request the
 * later counts.
 *
 * A line is written with one write() as soon as its result is there, so that killing the program
 * loses none; lines are synced to the disk in groups, by batch_journal_sync(). A torn or damaged
 * line counts as not written: its request is called again. The file is locked while it is open, so
 * that two runs cannot share it.
 *
 * At the end the output is made from it in the order of the input, under another name, and then
 * renamed.
 */
#ifndef RATION_TOOL_BATCH_JOURNAL_H
#define RATION_TOOL_BATCH_JOURNAL_H

#include "tool/batch/batch.h"
#include "tool/batch/input.h"

/* Where a request's result is. */
struct batch_entry {
    int64_t offset; /* of its JSON in the journal */
    uint32_t bytes; /* 0: not done */
    uint8_t class;
};

/* What a line has besides its JSON. */
struct batch_done {
    size_t index;
    enum batch_class class;
    uint32_t tries;
    int64_t input_tokens;
    int64_t output_tokens;
};

struct batch_journal {
    int fd;
    char *path;
    char *output; /* both are copies */
    int64_t end;  /* where the next line goes */
    struct batch_entry *entries;
    size_t n;
    size_t done;
    size_t found; /* of `done`: by earlier runs */
    size_t of_class[BATCH_CLASS_COUNT];
    int64_t tokens; /* of all results, in and out */
    bool dirty;     /* something has not been synced */
    bool bare;      /* begun by this run and without a result: removed when closed */
};

/*
 * Opens the journal of `output` or begins one. retry_failed: what failed before counts as not done.
 * False after saying why: another input, another run that has it open, an output without a journal
 * that may not be overwritten, a folder that cannot be written.
 */
bool batch_journal_open(struct batch_journal *journal, const char *output,
                        const struct batch_input *input, bool retry_failed, bool overwrite);

/* Adds a result. False after saying why; then the journal is as before. */
bool batch_journal_add(struct batch_journal *journal, const struct batch_done *done,
                       const char *json, size_t bytes);

/* Syncs what was added to the disk. */
bool batch_journal_sync(struct batch_journal *journal);

/* Makes the output from a complete journal. False after saying why; the journal stays. */
bool batch_journal_render(struct batch_journal *journal);

/* remove: delete the file too. */
void batch_journal_close(struct batch_journal *journal, bool remove);

#endif
