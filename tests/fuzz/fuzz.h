/*
 * Shared by the fuzz targets: checks that end the run, a hash for comparing two runs, and the input
 * as lines, texts and files.
 *
 * Inputs are meant to be readable: whatever a target needs besides the bytes themselves (a profile,
 * a status, the number of pieces to cut the rest into) is in a first line of words, and every such
 * line means something.
 */
#ifndef RATION_FUZZ_H
#define RATION_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Must hold for every input; the fuzzer prints the stack. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(#condition, __FILE__, __LINE__);                                             \
    } while (0)
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/* FNV-1a over bytes and their number, continued from `hash`. */
#define FUZZ_HASH 0xcbf29ce484222325u
uint64_t fuzz_mix(uint64_t hash, const void *bytes, size_t n);

/* The part of the input that has not been taken yet. Borrows it. */
struct fuzz_input {
    const char *bytes;
    size_t n;
};

/* Takes the next line without its end, cut to fit, with NULs as spaces. The last line needs no end.
 */
void fuzz_line(struct fuzz_input *input, char *out, size_t cap);

/* Gives a copy of exactly n bytes, so that an overrun is noticed; fuzz_text() adds a NUL. The
 * caller frees it. */
char *fuzz_copy(const char *bytes, size_t n);
char *fuzz_text(const char *bytes, size_t n);

/* Makes an in-memory file with this content and gives its path; the caller closes it. */
#define FUZZ_PATH_BYTES 64
int fuzz_file(const char *bytes, size_t n, char path[FUZZ_PATH_BYTES]);

/* How many RESP values these bytes are; fails if they are anything else or the last one is cut. */
size_t fuzz_count_replies(const char *bytes, size_t n);

#endif
