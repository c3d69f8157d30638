/*
 * What a batch has done so far, beside its output: OUTPUT.journal.
 *
 *     HASH ration-batch-1 input=3f0c... bytes=51200 requests=500 form=batch
 *     HASH 17 answered 1 210 95 {"id": ... }
 *     HASH 3 refused 1 0 0 {"id": ... }
 *
 * The first line binds it to its input. Each other one is a result: the request's place in the input, how it ended, tries,
 * tokens in and out, and the line that goes to the output. HASH is 16 hexadecimal digits over all that follows it. Lines are
 * only added; of two about one request the later one counts.
 *
 * A line is written with one write() as soon as its result is there, so that killing the program loses none; they are
 * brought to the disk in groups, by batch_journal_sync(). A line that is torn or damaged is one that was not written: its
 * request is called again. The file is locked while it is open, so that two runs cannot share it.
 *
 * The output is made from it at the end, in the order of the input, under another name, which then takes the output's.
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

/* What a line says besides its JSON. */
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
    char *output; /* borrows nothing: both are copies */
    int64_t end;  /* where the next line goes */
    struct batch_entry *entries;
    size_t n;
    size_t done;
    size_t found; /* of these, done by earlier runs */
    size_t of_class[BATCH_CLASS_COUNT];
    int64_t tokens; /* of all that is done, in and out */
    bool dirty;     /* something waits for batch_journal_sync() */
    bool bare;      /* it is ours and has no result: it goes when it is closed */
};

/*
 * Opens the journal of `output` or begins one. What failed before counts as not done where retry_failed says so.
 * False after saying why: another input, another run that has it open, an output that is there without a journal and may
 * not be overwritten, a folder that cannot be written.
 */
bool batch_journal_open(struct batch_journal *journal, const char *output,
                        const struct batch_input *input, bool retry_failed, bool overwrite);

/* Adds a result. False after saying why; then the journal is as it was. */
bool batch_journal_add(struct batch_journal *journal, const struct batch_done *done,
                       const char *json, size_t bytes);

/* Brings what was added to the disk. */
bool batch_journal_sync(struct batch_journal *journal);

/* Makes the output from a journal in which all is done. False after saying why; the journal stays. */
bool batch_journal_render(struct batch_journal *journal);

/* remove: it is needed no more. */
void batch_journal_close(struct batch_journal *journal, bool remove);

#endif
