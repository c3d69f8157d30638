/*
 * How long answers are that nobody has said the length of: drawn from a recorded trace, or made up.
 */
#ifndef UPSTREAM_LENGTHS_H
#define UPSTREAM_LENGTHS_H

#include <stddef.h>
#include <stdint.h>

/* A zeroed one makes lengths up. */
struct lengths {
    int64_t *outputs; /* of the trace's calls */
    size_t count, room;
};

/* Reads a CSV of TIMESTAMP,ContextTokens,GeneratedTokens, of which the last column counts; a first
 * line that is no row is a heading. 0, or -1 with what is wrong on stderr. */
int lengths_read(struct lengths *l, const char *path);
void lengths_close(struct lengths *l);

/* The length of one answer of at most `most` tokens, at least 1. From a trace: that of any of its
 * calls, each as likely, cut to the most. Made up: between a fifth and the whole of it, short ones
 * more often than long ones. */
int64_t lengths_draw(const struct lengths *l, int64_t most, uint64_t *random);

/* From 0 to less than 1; moves *random on. The same on every machine. */
double lengths_random(uint64_t *random);

#endif
