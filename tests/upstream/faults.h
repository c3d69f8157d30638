/*
 * Which call meets which fault: the one in its header x-fault, else what POST /faults queued for
 * the next calls, else what --fault draws for a share of all calls.
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
        int64_t calls; /* still to meet it */
    } queue[FAULTS_MOST];
    size_t standing_count, queue_count;
    struct json_object
        *kept; /* all forms from POST /faults, since a call may still be using one of them */
    uint64_t random;
};

/* text is NAME[@SHARE],... with shares from 0 to 1; NULL: none. 0, or -1 after saying on stderr
 * what is wrong. */
int faults_init(struct faults *f, const char *text, uint64_t seed);

void faults_close(struct faults *f);

/* Handles POST /faults: {"fault": NAME, "calls": N}, or {"fault": "body", "calls": N} with the
 * members of a form. NULL, or a static text that says what is wrong. */
const char *faults_queue(struct faults *f, const char *body, size_t len);

/* Empties the queue. */
void faults_clear(struct faults *f);

/* The fault of a call whose header x-fault has this value (NULL: none). False if there is no such
 * fault. */
bool faults_next(struct faults *f, const char *header, struct fault *fault);

#endif
