/*
 * Fuzz target: a trace of recorded traffic (CSV). Rows begin at 0 and never go back in time, and
 * their tokens are within a request's range.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <unistd.h>

#include "tool/replay/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace trace = {0};
    char path[FUZZ_PATH_BYTES];
    int fd = fuzz_file((const char *)data, size, path);
    if (replay_read_trace(path, &trace)) {
        CHECK(trace.n > 0 && trace.rows[0].at_us == 0);
        for (size_t i = 0; i < trace.n; i++) {
            CHECK(i == 0 || trace.rows[i].at_us >= trace.rows[i - 1].at_us);
            CHECK(trace.rows[i].input_tokens >= 0 && trace.rows[i].output_tokens >= 0);
        }
    }
    free(trace.rows);
    close(fd);
    return 0;
}
