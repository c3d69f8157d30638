/*
 * What the files of the front (front.c, conn.c, request.c) share about one front. Nobody else
 * includes this.
 *
 * Rules: all of it belongs to the worker's thread. Nothing is freed inside a callback chain: a
 * closed connection waits in `closed` until the end of the event loop's turn (on_turn_end), when
 * each connection's replies are sent in one write.
 */
#ifndef RATIOND_FRONT_INNER_H
#define RATIOND_FRONT_INNER_H

#include <sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "buf.h"
#include "net/conn.h"
#include "net/front.h"
#include "net/listen.h"
#include "net/request.h"
#include "worker.h"

/* The most that one read takes, parsed in place: about a thousand short requests. */
#define FRONT_READ_BYTES 32768
/* Requests of one connection in one turn; then it is the others' turn. */
#define FRONT_REQUESTS_PER_TURN 1024

/* A half-read request up to this size is moved to the scratch space for the next read; a longer one
 * grows in place. */
#define CONN_IN_SMALL_BYTES 1024
/* A request that is nearly complete, and one read more. */
#define CONN_IN_MAX_BYTES (RATION_MAX_REQUEST_BYTES + FRONT_READ_BYTES + CONN_IN_SMALL_BYTES)

TAILQ_HEAD(conn_list, conn);

struct front {
    struct worker *worker;
    struct front_listener {
        int fd;
        struct event *event;
    } listeners[LISTEN_SOCKETS]; /* the address and, if configured, the path */
    size_t n_listeners;          /* 0: no longer listening */
    struct event *pause_event;   /* timer: accept again after EMFILE */
    struct event *turn_event;    /* made active by hand: the end of this turn */
    /* timer of 0 ms: the next turn, after the other sockets had theirs */
    struct event *resume_event;
    uint64_t complained_ms; /* when the last "cannot accept" was logged */
    uint64_t last_conn_id;
    struct conn_list conns;  /* every connection that is not closed: worker->connections */
    struct conn_list closed; /* closed, to be freed at the end of the turn */
    struct conn_list dirty;  /* have something to send at the end of the turn */
    struct conn_list resume; /* have unparsed bytes that wait for the next turn */
    size_t n_resume;         /* in `resume` */
    struct request *free_requests;
    size_t n_free_requests;
    size_t n_requests; /* in use: in a connection's queue, or under way for one that is gone */
    struct buf_pool in_blocks;   /* storage of half-read requests */
    struct buf_pool out_blocks;  /* storage of unsent replies */
    request_run_fn *run;         /* runs a request: the command table */
    void (*on_empty)(void *arg); /* draining: to be called when the last connection is gone */
    void *on_empty_arg;
    bool turn_wanted; /* turn_event will run in this turn */
    /* where connections with nothing half-read read into: conn_in.c */
    char scratch[FRONT_READ_BYTES + CONN_IN_SMALL_BYTES];
};

/* Makes on_turn_end run in this turn of the event loop. */
void front_turn_end_wanted(struct front *front);

/* Gives a new connection for an accepted, non-blocking socket, which it takes; NULL: out of memory,
 * and the socket remains the caller's. peer is copied. */
struct sockaddr;
struct conn *conn_new(struct front *front, int fd, const struct sockaddr *peer);
/* Sends what can be sent; called at the end of the turn. */
void conn_flush(struct conn *conn);
/* Continues parsing what lies in the connection's own buffer. */
void conn_resume(struct conn *conn);
/* Reads no more; closes once everything asked so far is answered. */
void conn_drain(struct conn *conn);
/* Frees a closed connection. */
void conn_free(struct conn *conn);

/* ---- Between conn.c (states), conn_in.c and conn_out.c --------------------------------------- */

extern const char conn_reason_eof[], conn_reason_memory[];

/* Has something to send, or may be done: conn_flush checks at the end of the turn. */
void conn_mark_dirty(struct conn *conn);
/* Has bytes to parse: conn_resume continues in the next turn. */
void conn_mark_resuming(struct conn *conn);
/* OPEN > LAST. */
void conn_end_input(struct conn *conn, const char *reason);
/* OPEN, LAST > ANSWERING. lingers: the peer may still be sending. */
void conn_stop_reading(struct conn *conn, const char *reason, bool lingers);
/* Closes a connection that takes no more requests, or lets it linger, once nothing is left to
 * do. */
void conn_settle(struct conn *conn);
/* How many requests it may have under way. */
unsigned conn_pipeline_limit(const struct conn *conn);
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
void conn_on_writable(evutil_socket_t fd, short what, void *arg);

#endif
