/*
 * A connection's life.
 *
 *     OPEN --eof, drain--> LAST --all answered and sent------------------> CLOSED
 *       |                   |                                                ^
 *       +--QUIT, rubbish----+--> ANSWERING --all answered, sent-+------------+
 *                                                               |            |
 *                                     (rubbish)                 +--> LINGER -+
 *     any --socket error, unread replies, out of memory--> CLOSED
 *
 * The normal path: conn_on_readable reads once, into the front's scratch space, where the requests
 * are parsed and run; an incomplete one moves into `in`. Commands answer at once or through
 * operations; either way conn_answer moves the answers that are due into `out`, and conn_flush
 * sends them in one write at the end of the turn.
 *
 * A peer is bounded by: one read and FRONT_REQUESTS_PER_TURN requests a turn (then `resume`);
 * RATION_MAX_PIPELINE requests under way (then nothing is read: `stalled`), far fewer while the
 * whole server is crowded; RATION_MAX_OUTPUT_BYTES of unsent replies (then it is closed). A peer
 * that sends rubbish gets an error, and LINGER makes sure it arrives: closing a socket with unread
 * input makes the kernel discard what was sent.
 *
 * Closing detaches the requests under way; the results of their operations are dropped (request.c).
 */
#include "net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "net/front_inner.h"

#define LINGER_SECONDS 1

const char conn_reason_eof[] = "eof";
const char conn_reason_memory[] = "out of memory";

struct identity *identity_new(const char *name, size_t n)
{
    struct identity *identity = malloc(sizeof *identity + n + 1);
    if (identity == NULL)
        return NULL;
    identity->n = n;
    memcpy(identity->name, name, n);
    identity->name[n] = '\0';
    return identity;
}

const char *conn_peer(const struct conn *c, char buf[CONN_PEER_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (c->peer.any.sa_family == AF_UNIX) {
        snprintf(buf, CONN_PEER_BYTES, "unix");
    } else if (c->peer.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &c->peer.v6.sin6_addr, host, sizeof host);
        snprintf(buf, CONN_PEER_BYTES, "[%s]:%u", host, ntohs(c->peer.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &c->peer.v4.sin_addr, host, sizeof host);
        snprintf(buf, CONN_PEER_BYTES, "%s:%u", host, ntohs(c->peer.v4.sin_port));
    }
    return buf;
}

bool conn_set_name(struct conn *c, const char *name, size_t n)
{
    char *copy = NULL;
    if (n > CONN_MAX_NAME_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] <= 0x20 || name[i] >= 0x7f)
            return false;
    if (n > 0 && (copy = strndup(name, n)) == NULL)
        return false;
    free(c->name);
    c->name = copy;
    return true;
}

/* ---- States ---------------------------------------------------------------------------------- */

static void move_to(struct conn *c, enum conn_state to)
{
    static const bool allowed[][CONN_CLOSED + 1] = {
        [CONN_OPEN] = {[CONN_LAST] = true, [CONN_ANSWERING] = true, [CONN_CLOSED] = true},
        [CONN_LAST] = {[CONN_ANSWERING] = true, [CONN_CLOSED] = true},
        [CONN_ANSWERING] = {[CONN_LINGER] = true, [CONN_CLOSED] = true},
        [CONN_LINGER] = {[CONN_CLOSED] = true},
        [CONN_CLOSED] = {false},
    };
    assert(allowed[c->state][to]);
    (void)allowed; /* in a build without assertions */
    c->state = to;
}

void conn_mark_dirty(struct conn *c)
{
    if (c->dirty || c->state == CONN_CLOSED)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&c->front->dirty, c, dirty_link);
    front_turn_end_wanted(c->front);
}

void conn_mark_resuming(struct conn *c)
{
    static const struct timeval now = {0, 0};
    if (c->resuming || c->state == CONN_CLOSED)
        return;
    c->resuming = true;
    TAILQ_INSERT_TAIL(&c->front->resume, c, resume_link);
    c->front->n_resume++;
    event_add(c->front->resume_event, &now);
}

/* Requests of a closing connection: those at the store go on without it, the rest are dropped. */
static void detach_requests(struct conn *c)
{
    struct request *next;
    for (struct request *r = c->first; r != NULL; r = next) {
        next = r->next;
        r->conn = NULL;
        r->next = NULL;
        if (r->state == REQUEST_DONE)
            request_free(r);
    }
    c->first = c->last = NULL;
    c->under_way = 0;
}

static bool is_ordinary(const char *reason)
{
    return reason == conn_reason_eof || strcmp(reason, "quit") == 0 ||
           strcmp(reason, "draining") == 0;
}

void conn_close(struct conn *c, const char *reason)
{
    struct front *front = c->front;
    char peer[CONN_PEER_BYTES];
    if (c->state == CONN_CLOSED)
        return;
    move_to(c, CONN_CLOSED);
    log_line(is_ordinary(reason) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "connection closed",
             "peer=%s conn=%llu reason=\"%s\"", conn_peer(c, peer), (unsigned long long)c->id,
             reason);
    event_del(&c->read_event);
    event_del(&c->write_event);
    if (c->dirty)
        TAILQ_REMOVE(&front->dirty, c, dirty_link);
    if (c->resuming) {
        TAILQ_REMOVE(&front->resume, c, resume_link);
        front->n_resume--;
    }
    c->dirty = c->resuming = false;
    close(c->fd);
    c->fd = -1;
    detach_requests(c);
    TAILQ_REMOVE(&front->conns, c, link);
    front->worker->connections--;
    TAILQ_INSERT_TAIL(&front->closed, c, link);
    front_turn_end_wanted(front);
}

void conn_drop(struct conn *c, const char *reason)
{
    if (c->state == CONN_CLOSED)
        return;
    counter_add(&c->front->worker->counters.connections_dropped, 1);
    conn_close(c, reason);
}

/* Takes no more requests and no longer parses what has arrived. */
void conn_stop_reading(struct conn *c, const char *reason, bool lingers)
{
    if (c->state != CONN_OPEN && c->state != CONN_LAST)
        return;
    event_del(&c->read_event);
    move_to(c, CONN_ANSWERING);
    c->reason = reason;
    c->lingers = lingers;
    c->stalled = false;
    conn_mark_dirty(c);
}

void conn_finish(struct conn *c, const char *reason)
{
    conn_stop_reading(c, reason, false);
}

void conn_end_input(struct conn *c, const char *reason)
{
    event_del(&c->read_event);
    move_to(c, CONN_LAST);
    c->reason = reason;
    conn_mark_dirty(c);
}

void conn_drain(struct conn *c)
{
    if (c->state == CONN_OPEN)
        conn_end_input(c, "draining");
    else if (c->state == CONN_LINGER)
        conn_close(c, c->reason);
}

/* Ends a connection that takes no more requests, once nothing is left to do for it. */
void conn_settle(struct conn *c)
{
    static const struct timeval linger = {LINGER_SECONDS, 0};
    if (c->first != NULL || buf_size(&c->out) > 0 || c->resuming || c->stalled)
        return;
    if (c->state == CONN_LAST || (c->state == CONN_ANSWERING && !c->lingers)) {
        conn_close(c, c->reason);
    } else if (c->state == CONN_ANSWERING) {
        move_to(c, CONN_LINGER);
        if (shutdown(c->fd, SHUT_WR) != 0 || event_add(&c->read_event, &linger) != 0)
            conn_close(c, c->reason);
    }
}

/* ---- Birth and death ------------------------------------------------------------------------- */

struct conn *conn_new(struct front *front, int fd, const struct sockaddr *peer)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->front = front;
    c->fd = fd;
    c->id = ++front->last_conn_id;
    c->resp = 2;
    if (peer->sa_family == AF_INET6)
        memcpy(&c->peer.v6, peer, sizeof c->peer.v6);
    else if (peer->sa_family == AF_INET)
        memcpy(&c->peer.v4, peer, sizeof c->peer.v4);
    else
        c->peer.any.sa_family = peer->sa_family;
    buf_init(&c->in, CONN_IN_MAX_BYTES, &front->in_blocks);
    buf_init(&c->out, RATION_MAX_OUTPUT_BYTES, &front->out_blocks);
    resp_parser_reset(&c->parser);
    struct event_base *base = front->worker->base;
    if (event_assign(&c->read_event, base, fd, EV_READ | EV_PERSIST, conn_on_readable, c) != 0 ||
        event_assign(&c->write_event, base, fd, EV_WRITE, conn_on_writable, c) != 0 ||
        event_add(&c->read_event, NULL) != 0) {
        free(c);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&front->conns, c, link);
    front->worker->connections++;
    return c;
}

void conn_free(struct conn *c)
{
    assert(c->state == CONN_CLOSED && c->first == NULL && !c->dirty && !c->resuming);
    TAILQ_REMOVE(&c->front->closed, c, link);
    buf_close(&c->in);
    buf_close(&c->out);
    free(c->tenant);
    free(c->name);
    free(c);
}
