/*
 * A request: one command of one connection, from its bytes to its reply.
 *
 * A command's handler gets the request and its arguments and does one of three things before it
 * returns:
 *   - writes the reply at once, to request_out() or by request_error(), or
 *   - hands the request's operation to the batch (operation_submit), from which the reply is
 *     written later, or
 *   - starts something else (an audit), returns after request_wait(), and calls request_finish()
 *     later.
 * The arguments point into the connection's read buffer and are valid until the handler returns.
 *
 * Requests come from a free list of the worker's front; in the steady state none is allocated. A
 * request under way outlives its connection (conn is then NULL), and its answer is dropped.
 */
#ifndef RATIOND_REQUEST_H
#define RATIOND_REQUEST_H

#include <stdint.h>

#include "batch/op.h"
#include "buf.h"
#include "net/resp.h"

struct command;
struct config;
struct conn;
struct front;
struct worker;

enum request_state {
    REQUEST_NEW,     /* in its connection's queue: the handler runs */
    REQUEST_WAITING, /* in its connection's queue, or detached: an operation is under way */
    REQUEST_DONE,    /* in its connection's queue: waits for those before it */
    REQUEST_FREE,    /* in the front's free list */
};

/* Where the reply is. */
enum request_answer {
    ANSWER_IN_OP,   /* to be written from `op` when its turn comes */
    ANSWER_HELD,    /* in `reply`, because others are before it */
    ANSWER_WRITTEN, /* in the connection's output already */
};

struct request;

/* Writes the reply to its operation, which has come back. */
typedef void request_write_fn(struct request *request, struct buf *out);

struct request {
    struct op op;
    struct request *next; /* in the queue of conn, or in the free list */
    struct conn *conn;    /* NULL once it is closed */
    struct front *front;
    struct worker *worker;
    const struct command *command; /* NULL: unknown */
    struct buf reply;              /* a reply that waits for those before it */
    enum request_state state;
    uint8_t resp; /* the connection's version when it was asked */
    enum request_answer answer;
    request_write_fn *write; /* ANSWER_IN_OP: writes it */
};

/* Runs a request; the command table does. args[0] is the command's name; n >= 1. */
typedef void request_run_fn(struct request *request, const struct arg *args, size_t n);

/* Takes a request from the front and puts it at the end of conn's queue; NULL: no memory. */
struct request *request_new(struct front *front, struct conn *conn);
/* Returns a request that is done, and in no queue, to the free list. */
void request_free(struct request *request);
/* Frees the free list. */
void request_free_all(struct front *front);

/* Where to write the reply: straight to the connection if no other request comes before it, else
 * aside. Ask again after each return to the event loop. */
struct buf *request_out(struct request *request);
/* Replies with an error: a word of protocol.h, a space, and the text. Pass outside bytes through
 * resp_show first. */
void request_error(struct request *request, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The answer will come later, by request_finish(). */
void request_wait(struct request *request);
/* The reply is written. Called once after request_wait(), from the event loop. */
void request_finish(struct request *request);

#endif
