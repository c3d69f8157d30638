/*
 * The fuzzers' own test: a word planted in code that is compiled like all other code under test
 * (fuzz_self_reader.c) and that nobody finds by chance. A run must find it, which ends the run like
 * a crash, with a message of its own.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "fuzz_self_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_self_read((const char *)data, size)) {
        fputs("the planted word was found\n", stderr);
        abort();
    }
    return 0;
}
