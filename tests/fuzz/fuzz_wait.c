/*
 * Fuzz target: one wait, in any form that providers use.
 *
 *     1790000000        the wall clock in seconds
 *     2m59.56s          the wait
 *
 * A wait is 0 - WAIT_MAX_MS; anything else leaves the result unchanged; leading spaces change
 * nothing; and a date does not move further away as the clock advances.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/wait.h"

#define UNTOUCHED (-5)

static int64_t read_wait(const char *text, int64_t now_ms)
{
    int64_t ms = UNTOUCHED;
    if (wait_parse(text, now_ms, &ms))
        CHECK(ms >= 0 && ms <= WAIT_MAX_MS);
    else
        CHECK(ms == UNTOUCHED);
    return ms;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    char line[32];
    fuzz_line(&input, line, sizeof(line));
    int64_t now_ms = (int64_t)strtoul(line, NULL, 10) % 100000000000 * 1000;
    char *text = fuzz_text(input.bytes, input.n);
    int64_t now = read_wait(text, now_ms);
    int64_t later = read_wait(text, now_ms + 3000);
    CHECK(now == UNTOUCHED || later == UNTOUCHED || later <= now);

    char *blanks = malloc(input.n + 3);
    sprintf(blanks, " \t%s", text);
    CHECK(read_wait(blanks, now_ms) == now);

    free(blanks);
    free(text);
    return 0;
}
