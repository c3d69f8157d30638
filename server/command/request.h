/*
 * A request: one command of one connection, from its bytes to its reply.
 *
 * A command's handler gets the request and its arguments and does one of three things before it returns:
 *   - writes the reply at once, to request_out() or by request_error(), or
 *   - hands the request's operation to the batch (request_submit); its answer is written from the operation, or
 *   - starts something else (an audit), returns after request_wait(), and calls request_finish() later.
 * The arguments are places in the connection's read buffer and end with the handler.
 *
 * Requests come from a free list of the worker's front; in the steady state none is allocated. A request outlives its
 * connection while its operation is under way (conn is then NULL) and is answered into nowhere.
 */
#ifndef RATIOND_REQUEST_H
#define RATIOND_REQUEST_H

#include <stdint.h>

#include "net/buf.h"
#include "batch/op.h"
#include "net/resp.h"

struct command;
struct config;
struct conn;
struct front;
struct worker;

enum request_state {
    REQUEST_NEW,     /* in its connection's queue: the handler runs */
    REQUEST_WAITING, /* in its connection's queue, or in nobody's: an operation is under way */
    REQUEST_DONE,    /* in its connection's queue: waits for those before it */
    REQUEST_FREE,    /* in the front's free list */
};

/* Where the reply is. */
enum request_answer {
    ANSWER_IN_OP,   /* to be written from `op` when its turn comes */
    ANSWER_HELD,    /* in `reply`, because others are before it */
    ANSWER_WRITTEN, /* in the connection's output already */
};

struct request {
    struct op op;
    struct request *next; /* in the queue of conn, or in the free list */
    struct conn *conn;    /* NULL once it is closed */
    struct front *front;
    struct worker *worker;
    const struct command *command; /* NULL: unknown */
    struct buf reply; /* a reply that waits for those before it */
    enum request_state state;
    uint8_t resp; /* the connection's version when it was asked */
    enum request_answer answer;
};

/* Takes a request from the front and puts it at the end of conn's queue; NULL: no memory. */
struct request *request_new(struct front *front, struct conn *conn);
/* Gives it back; it must be in no queue. */
void request_free(struct request *request);
/* Frees the free list. */
void request_free_all(struct front *front);

/* Where to write the reply: straight to the connection when nothing is before it, else aside. To be asked anew after
 * each return to the event loop. */
struct buf *request_out(struct request *request);
/* Replies with an error: a word of protocol.h, a space, and the text. Outside bytes go through resp_show first. */
void request_error(struct request *request, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "ERR usage: <the command's>; <what is wrong>". */
void request_usage(struct request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fills in what every operation has: kind, a reference to the configuration in force. */
void request_op_init(struct request *request, enum op_kind kind);
/* Hands request->op to the batch; or, with too many waiting there, answers BUSY. */
void request_submit(struct request *request);
/* The answer will come later, by request_finish(). */
void request_wait(struct request *request);
/* The reply is written; to be called by who called request_wait(), from the event loop. */
void request_finish(struct request *request);

/* What stands before and behind the id in the answer to a granted acquire, prepared (answer.c). */
struct answer_forms {
    struct buf before_id[2]; /* in RESP2, in RESP3 */
    struct buf behind_id;
};

/* False: out of memory. */
bool answer_forms_init(struct answer_forms *forms);
void answer_forms_close(struct answer_forms *forms);
/* Those of the request's front. */
const struct answer_forms *answer_forms(const struct request *request);

/* Writes the reply to an operation that has come back (answer.c). */
void answer_write(struct request *request, struct buf *out);
/* Counts it (answer.c). */
void answer_count(const struct request *request);

#endif
