/*
 * What the fuzz targets share: checks that end the run, a hash to compare two runs by, and the
 * input as lines, texts and files.
 *
 * Inputs are made to be read by people: what a target needs besides the bytes themselves (a
 * profile, a status, into how many pieces the rest is cut) stands in a first line of words, and
 * whatever stands there means something.
 */
#ifndef RATION_FUZZ_H
#define RATION_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must be true of every input; the place is in the stack that the fuzzer prints. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(#condition, __FILE__, __LINE__);                                             \
    } while (0)
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/* FNV-1a over bytes and their number, going on from `hash`. */
#define FUZZ_HASH 0xcbf29ce484222325u
uint64_t fuzz_mix(uint64_t hash, const void *bytes, size_t n);

/* What of the input has not been taken yet. Borrows it. */
struct fuzz_input {
    const char *bytes;
    size_t n;
};

/* Takes the next line off, without its end, cut to the room there is, NULs as blanks. The last one
 * needs no end. */
void fuzz_line(struct fuzz_input *input, char *out, size_t cap);

/* Gives a copy of exactly n bytes, so that one beyond is noticed; and one with a NUL behind. To be
 * freed. */
char *fuzz_copy(const char *bytes, size_t n);
char *fuzz_text(const char *bytes, size_t n);

/* Gives a file with that content, in memory only, and its path; to be closed. */
#define FUZZ_PATH_BYTES 64
int fuzz_file(const char *bytes, size_t n, char path[FUZZ_PATH_BYTES]);

/* How many RESP values these bytes are; fails where they are anything else, or the last one is cut.
 */
size_t fuzz_count_replies(const char *bytes, size_t n);

#endif
