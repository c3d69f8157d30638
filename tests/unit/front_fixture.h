/*
 * A front with nothing behind it: the real front, parser and commands on a fake batcher, store and
 * audit. Operations wait until the test answers them, in any order.
 */
#ifndef RATION_TEST_FRONT_FIXTURE_H
#define RATION_TEST_FRONT_FIXTURE_H

#include <stddef.h>

#include "batch/op.h"
#include "worker.h"

struct event_base;

struct fixture {
    struct worker worker;
    struct workers workers;
};

/* Operations that the fake batcher has not answered, oldest first. */
extern struct op *waiting[];
extern size_t n_waiting;
/* How many operations were submitted in total. */
extern size_t n_submitted;

/* Starts a front with this configuration (JSON text). */
void fixture_start(struct fixture *fixture, const char *config);
/* Takes it down; waiting operations are answered OP_UNAVAILABLE. */
void fixture_stop(struct fixture *fixture);

/* A connected, non-blocking socket. */
int client_open(struct fixture *fixture);
/* Sends, running the event loop as needed until everything is sent. */
void client_send(struct fixture *fixture, int fd, const char *bytes, size_t n);
/*
 * Reads until the reply has `n` bytes or the server closes, running the event loop (and, with
 * `grants`, answering each operation as fixture_answer does). NUL-terminates; returns how many
 * bytes came. Fails the test after 10 s.
 */
size_t client_read(struct fixture *fixture, int fd, char *to, size_t n, int grants);
/* Sends one command as a line, answers all operations, and returns the reply, of any size, in a
 * static buffer. */
const char *ask(struct fixture *fixture, int fd, const char *line);

/* One turn of the event loop, without waiting. */
void turn(struct fixture *fixture);
/* Answers waiting[index] as a willing store would, and removes it. */
void fixture_answer(size_t index, enum op_outcome outcome);

#endif
