/*
 * The file of requests of `ration batch`.
 *
 * JSON lines in one of the forms of form.h; the first line decides for all. Empty lines are
 * skipped. The whole file is checked before anything is sent, and problems are printed with their
 * line.
 *
 * A pipe is first copied to a file without a name in TMPDIR, since a request may be read more than
 * once. The file must not change while the program runs: each line is compared with its hash when
 * it is read again.
 */
#ifndef RATION_TOOL_BATCH_INPUT_H
#define RATION_TOOL_BATCH_INPUT_H

#include "tool/batch/batch.h"
#include "tool/batch/form.h"

struct batch_line {
    int64_t offset;
    uint32_t bytes;  /* without the line's end */
    uint32_t number; /* from 1, as editors count */
    uint32_t hash;
};

struct batch_input {
    int fd;
    const char *name; /* for messages */
    enum batch_format format;
    struct batch_line *lines;
    size_t n;
    uint64_t hash; /* of the whole content */
    int64_t bytes;
};

/* Whether the provider takes this request; if not, why[BATCH_ERROR_BYTES] gets the reason. */
typedef bool (*batch_check_fn)(void *arg, const struct batch_request *request, char *why);

/* Opens, checks and indexes a file, with progress if it takes long and `quiet` is false. False
 * after saying what is wrong; then there is nothing to close. */
bool batch_input_open(struct batch_input *input, const char *name, bool quiet, batch_check_fn check,
                      void *arg);
void batch_input_close(struct batch_input *input);

/* Reads request i again; `text` (may be NULL) gets its line as it stands, to be freed. False after
 * saying why. */
bool batch_input_read(const struct batch_input *input, size_t i, struct batch_request *request,
                      char **text);

#endif
