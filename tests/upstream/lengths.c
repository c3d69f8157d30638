/*
 * A trace is read once, at the start; only the lengths are kept. A malformed row is refused with
 * its line number, because lengths drawn from half a file would look right.
 */
#include "lengths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"

#define FIRST_ROOM 1024

static int keep(struct lengths *l, int64_t n)
{
    if (l->count == l->room) {
        size_t bigger = l->room ? l->room * 2 : FIRST_ROOM;
        int64_t *outputs = realloc(l->outputs, bigger * sizeof(*outputs));
        if (outputs == NULL) {
            return -1;
        }
        l->outputs = outputs;
        l->room = bigger;
    }
    l->outputs[l->count++] = n;
    return 0;
}

/* The third column of a row of three. */
static int read_row(const char *line, int64_t *n)
{
    const char *comma = strchr(line, ',');
    comma = comma ? strchr(comma + 1, ',') : NULL;
    if (comma == NULL) {
        return -1;
    }
    char *end;
    errno = 0;
    *n = strtoll(comma + 1, &end, 10);
    if (errno || end == comma + 1 || end[strspn(end, " \r\n")] != '\0') {
        return -1;
    }
    return *n >= 0 && *n <= COMPLETION_MAX_TOKENS ? 0 : -1;
}

static int read_lines(struct lengths *l, FILE *f, const char *path)
{
    char line[512];
    int64_t n;
    for (size_t number = 1; fgets(line, sizeof(line), f); number++) {
        if (read_row(line, &n) < 0) {
            if (number == 1) {
                continue;
            }
            fprintf(stderr,
                    "strict-provider: --lengths: line %zu of '%s' is not "
                    "TIMESTAMP,ContextTokens,GeneratedTokens\n",
                    number, path);
            return -1;
        }
        if (keep(l, n) < 0) {
            fprintf(stderr, "strict-provider: --lengths: out of memory\n");
            return -1;
        }
    }
    if (ferror(f) || l->count == 0) {
        fprintf(stderr, "strict-provider: --lengths: '%s' has no rows that could be read\n", path);
        return -1;
    }
    return 0;
}

int lengths_read(struct lengths *l, const char *path)
{
    memset(l, 0, sizeof(*l));
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fprintf(stderr, "strict-provider: --lengths: cannot read '%s': %s\n", path,
                strerror(errno));
        return -1;
    }
    int rc = read_lines(l, f, path);
    fclose(f);
    if (rc < 0) {
        lengths_close(l);
    }
    return rc;
}

void lengths_close(struct lengths *l)
{
    free(l->outputs);
    memset(l, 0, sizeof(*l));
}

/* SplitMix64: small, seeded by any number, the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

double lengths_random(uint64_t *random)
{
    return (double)(next_random(random) >> 11) / 9007199254740992.0; /* 2^53 */
}

int64_t lengths_draw(const struct lengths *l, int64_t most, uint64_t *random)
{
    double u = lengths_random(random);
    int64_t n = l->count > 0 ? l->outputs[(size_t)(u * (double)l->count)]
                             : (int64_t)((double)most * (0.2 + 0.8 * u * u));
    n = n < most ? n : most;
    return n < 1 ? 1 : n;
}
