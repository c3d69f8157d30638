#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
    abort();
}

uint64_t fuzz_mix(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return (hash ^ n) * 0x100000001b3u;
}

void fuzz_line(struct fuzz_input *input, char *out, size_t cap)
{
    const char *end = input->n ? memchr(input->bytes, '\n', input->n) : NULL;
    size_t n = end ? (size_t)(end - input->bytes) : input->n;
    size_t kept = n < cap ? n : cap - 1;
    for (size_t i = 0; i < kept; i++) {
        out[i] = input->bytes[i];
        if (out[i] == '\0')
            out[i] = ' ';
    }
    out[kept] = '\0';
    input->bytes += n + (end != NULL);
    input->n -= n + (end != NULL);
}

char *fuzz_copy(const char *bytes, size_t n)
{
    char *copy = malloc(n);
    CHECK(copy != NULL || n == 0);
    if (n > 0)
        memcpy(copy, bytes, n);
    return copy;
}

char *fuzz_text(const char *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    CHECK(copy != NULL);
    if (n > 0)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

int fuzz_file(const char *bytes, size_t n, char path[FUZZ_PATH_BYTES])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0);
    for (size_t at = 0; at < n;) {
        ssize_t put = write(fd, bytes + at, n - at);
        CHECK(put > 0);
        at += (size_t)put;
    }
    snprintf(path, FUZZ_PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

/* ---- RESP ------------------------------------------------------------------------------------ */

/* The number after the first byte of a line, and what follows the line. */
static const char *take_number(const char *at, const char *end, long long *number)
{
    const char *line_end = memchr(at, '\r', (size_t)(end - at));
    char digits[32];
    CHECK(line_end != NULL && line_end + 1 < end && line_end[1] == '\n');
    size_t n = (size_t)(line_end - at) - 1;
    CHECK(n > 0 && n < sizeof(digits));
    memcpy(digits, at + 1, n);
    digits[n] = '\0';
    char *rest = NULL;
    *number = strtoll(digits, &rest, 10);
    CHECK(*rest == '\0');
    return line_end + 2;
}

/* Skips one value, whatever it contains. */
static const char *skip_value(const char *at, const char *end, unsigned depth)
{
    long long n = 0;
    CHECK(at < end && depth < 8);
    switch (*at) {
    case '+':
    case '-': {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        CHECK(lf != NULL && lf > at + 1 && lf[-1] == '\r');
        CHECK(memchr(at, '\r', (size_t)(lf - at) - 1) == NULL);
        return lf + 1;
    }
    case ':':
        return take_number(at, end, &n);
    case '_':
        CHECK(end - at >= 3 && at[1] == '\r' && at[2] == '\n');
        return at + 3;
    case '$':
        at = take_number(at, end, &n);
        CHECK(n >= -1);
        if (n < 0)
            return at;
        CHECK(end - at >= n + 2 && at[n] == '\r' && at[n + 1] == '\n');
        return at + n + 2;
    case '*':
    case '%': {
        bool map = *at == '%';
        at = take_number(at, end, &n);
        CHECK(n >= -1);
        for (long long i = 0; i < (map ? 2 * n : n); i++)
            at = skip_value(at, end, depth + 1);
        return at;
    }
    default:
        fuzz_fail("a RESP value begins", __FILE__, __LINE__);
    }
}

size_t fuzz_count_replies(const char *bytes, size_t n)
{
    size_t count = 0;
    const char *end = bytes + n;
    for (const char *at = bytes; at < end; count++)
        at = skip_value(at, end, 0);
    return count;
}
