/* Stands for a reader of outside bytes in the fuzzers' own test; in a library, like the real ones.
 */
#ifndef RATION_FUZZ_SELF_READER_H
#define RATION_FUZZ_SELF_READER_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes begin with the planted word. */
bool fuzz_self_read(const char *bytes, size_t n);

#endif
