/*
 * The lengths of answers whose request does not say: drawn from a recorded trace, or made up.
 */
#ifndef UPSTREAM_LENGTHS_H
#define UPSTREAM_LENGTHS_H

#include <stddef.h>
#include <stdint.h>

/* When zeroed, lengths are made up. */
struct lengths {
    int64_t *outputs; /* of the trace's calls */
    size_t count, room;
};

/* Reads a CSV of TIMESTAMP,ContextTokens,GeneratedTokens and keeps the last column; a first line
 * that is not a row is a heading. 0, or -1 after saying on stderr what is wrong. */
int lengths_read(struct lengths *l, const char *path);
void lengths_close(struct lengths *l);

/* The length of one answer, from 1 to `most` tokens. With a trace: that of one of its calls, all
 * equally likely, capped at `most`. Made up: from a fifth of `most` to all of it, short ones more
 * often than long ones. */
int64_t lengths_draw(const struct lengths *l, int64_t most, uint64_t *random);

/* From 0 to less than 1; advances *random. The same on every machine. */
double lengths_random(uint64_t *random);

#endif
