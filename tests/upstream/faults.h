/*
 * Which call meets which fault: what its header x-fault says, else what POST /faults has put up for
 * the next calls, else what --fault has for a share of all.
 */
#ifndef UPSTREAM_FAULTS_H
#define UPSTREAM_FAULTS_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#define FAULTS_MOST 64

struct json_object;

struct faults {
    struct {
        struct fault fault;
        double share;
    } standing[FAULTS_MOST];
    struct {
        struct fault fault;
        int64_t calls; /* that are still to meet it */
    } queue[FAULTS_MOST];
    size_t standing_count, queue_count;
    struct json_object *
        kept; /* a list of the forms that POST /faults brought: a call may still be in one of them */
    uint64_t random;
};

/* text is NAME[@SHARE],... with shares from 0 to 1; NULL: none. 0, or -1 with what is wrong on
 * stderr. */
int faults_init(struct faults *f, const char *text, uint64_t seed);

void faults_close(struct faults *f);

/* POST /faults with {"fault": NAME, "calls": N}, or with {"fault": "body", "calls": N} and what
 * else a form has. NULL, or static words that say what is wrong. */
const char *faults_queue(struct faults *f, const char *body, size_t len);

/* What is in the queue is forgotten. */
void faults_clear(struct faults *f);

/* The fault of a call whose header x-fault has this value (NULL: none). False when there is no such
 * fault. */
bool faults_next(struct faults *f, const char *header, struct fault *fault);

#endif
