/*
 * A client connection: bytes in, requests in a queue, replies out in the order of the requests.
 *
 * Operations complete in any order; an answered request waits in the queue until all before it are
 * answered. The head of conn.c describes the states.
 */
#ifndef RATIOND_CONN_H
#define RATIOND_CONN_H

#include <sys/queue.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <event2/event_struct.h>

#include "buf.h"
#include "net/resp.h"

struct front;
struct request;

enum conn_state {
    CONN_OPEN, /* in front->conns: reads, parses, answers */
    CONN_LAST, /* in front->conns: reads no more, parses and answers what it has, then closes */
    CONN_ANSWERING, /* in front->conns: answers what was asked, then closes; reads nothing */
    CONN_LINGER,    /* in front->conns: all answered, sending shut down; discards input */
    CONN_CLOSED,    /* in front->closed until the end of the turn */
};

enum conn_auth { AUTH_NONE, AUTH_OPERATOR, AUTH_TENANT };

/* The name of the tenant as which a connection authenticated. */
struct identity {
    size_t n;
    char name[]; /* NUL-terminated */
};

struct identity *identity_new(const char *name, size_t n); /* NULL: no memory; free() frees it */

struct conn {
    struct front *front;
    TAILQ_ENTRY(conn) link;        /* in front->conns or front->closed */
    TAILQ_ENTRY(conn) dirty_link;  /* in front->dirty, if dirty */
    TAILQ_ENTRY(conn) resume_link; /* in front->resume, if resuming */
    struct event read_event;
    struct event write_event;
    /* a half-read request, or requests that wait for their turn; no storage when empty */
    struct buf in;
    struct buf out;            /* replies not yet sent; no storage when empty */
    struct resp_parser parser; /* of the request at the beginning of `in` */
    struct request *first;     /* the queue: the oldest request */
    struct request *last;      /* the newest */
    unsigned under_way;        /* requests in the queue */
    size_t held_bytes;         /* of replies that wait in the queue for those before them */
    size_t discarded;          /* CONN_LINGER: bytes thrown away */
    uint64_t id;
    const char *reason;      /* why it will close; static */
    struct identity *tenant; /* AUTH_TENANT: whose credential */
    char *name;              /* CLIENT SETNAME; NULL: none */
    int fd;
    enum conn_state state;
    enum conn_auth auth;
    uint8_t resp; /* 2 or 3 */
    bool dirty;
    bool resuming;
    bool stalled; /* RATION_MAX_PIPELINE was reached: nothing is read until some are answered */
    bool write_waiting; /* the socket is full: write_event is pending */
    /* CONN_ANSWERING: the peer may still send, and closing at once could lose our last reply */
    bool lingers;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
};

/* Closes; the first call decides the reason (static, logged), later ones do nothing. Frees nothing
 * before the end of the turn. */
void conn_close(struct conn *conn, const char *reason);
/* Like conn_close, and counts it as the peer's fault (rubbish, unread replies). */
void conn_drop(struct conn *conn, const char *reason);
/* Takes no more requests; closes once all earlier ones are answered. For QUIT. */
void conn_finish(struct conn *conn, const char *reason);

/* CLIENT SETNAME; an empty name removes it. False: not a valid name, and the old one stays. */
#define CONN_MAX_NAME_BYTES 128
bool conn_set_name(struct conn *conn, const char *name, size_t n);

/* Where the answer to the queue's first request is written. */
struct buf *conn_out(struct conn *conn);
/* Sends the answers that are due: called whenever a request of this connection is done. */
void conn_answer(struct conn *conn);
/* Counts n more bytes of replies that wait (request.c). */
void conn_hold(struct conn *conn, size_t n);

/* "127.0.0.1:1234" into buf; returns buf. */
#define CONN_PEER_BYTES 72
const char *conn_peer(const struct conn *conn, char buf[CONN_PEER_BYTES]);

#endif
