/*
 * Accepting, and what happens once per turn of the event loop.
 *
 * A turn: sockets are read and their requests run; the batch and the store answer some; then
 * on_turn_end sends each connection's replies in one write and frees the connections that were
 * closed. Connections with more requests than one turn's share continue in the next turn
 * (on_resume: a timer of 0 ms, so that other sockets get their turn in between).
 *
 * How accepting fails: beyond max_connections the peer gets an error and is closed. Out of file
 * descriptors, the listeners pause, because the waiting peer would wake them again and again, and
 * retry in 100 ms.
 */
#define _GNU_SOURCE /* accept4 */
#include "net/front.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "net/front_inner.h"

#define ACCEPTS_PER_TURN  64
#define PAUSE_US          100000
#define COMPLAIN_EVERY_MS 10000
#define IN_BLOCK_BYTES    1024
#define OUT_BLOCK_BYTES   16384
#define IN_BLOCKS_KEPT    1024
#define OUT_BLOCKS_KEPT   256

void front_turn_end_wanted(struct front *front)
{
    if (front->turn_wanted)
        return;
    front->turn_wanted = true;
    event_active(front->turn_event, EV_TIMEOUT, 0);
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct front *front = arg;
    struct conn *c;
    (void)fd;
    (void)what;
    front->turn_wanted = false;
    while ((c = TAILQ_FIRST(&front->dirty)) != NULL) {
        TAILQ_REMOVE(&front->dirty, c, dirty_link);
        conn_flush(c);
    }
    while ((c = TAILQ_FIRST(&front->closed)) != NULL)
        conn_free(c);
    if (front->worker->connections == 0 && front->on_empty != NULL) {
        void (*on_empty)(void *) = front->on_empty;
        front->on_empty = NULL;
        on_empty(front->on_empty_arg);
    }
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct front *front = arg;
    (void)fd;
    (void)what;
    /* Only those that wait now: a connection that is not done comes again in the next turn. */
    for (size_t n = front->n_resume; n > 0 && !TAILQ_EMPTY(&front->resume); n--) {
        struct conn *c = TAILQ_FIRST(&front->resume);
        TAILQ_REMOVE(&front->resume, c, resume_link);
        front->n_resume--;
        c->resuming = false;
        conn_resume(c);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static void refuse(struct front *front, int fd)
{
    static const char text[] = "-ERR max number of clients reached; raise max_connections in the "
                               "configuration, or close some\r\n";
    counter_add(&front->worker->counters.connections_refused, 1);
    ssize_t ignored = send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* a courtesy */
    close(fd);
}

static void take(struct front *front, int fd, const struct sockaddr *peer)
{
    static const int on = 1;
    if (worker_connections(front->worker) >= front->worker->config->max_connections) {
        refuse(front, fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (conn_new(front, fd, peer) == NULL) {
        log_error("connection refused", "reason=\"out of memory\"");
        close(fd);
        return;
    }
    counter_add(&front->worker->counters.connections_accepted, 1);
}

static int listen_again(struct front *front)
{
    int result = 0;
    for (size_t i = 0; i < front->n_listeners; i++)
        if (event_add(front->listeners[i].event, NULL) != 0)
            result = -1;
    return result;
}

static void pause_accepting(struct front *front)
{
    static const struct timeval pause = {0, PAUSE_US};
    uint64_t now = clock_ms();
    int err = errno;
    for (size_t i = 0; i < front->n_listeners; i++)
        event_del(front->listeners[i].event);
    event_add(front->pause_event, &pause);
    if (front->complained_ms != 0 && now - front->complained_ms < COMPLAIN_EVERY_MS)
        return;
    front->complained_ms = now;
    log_warn("cannot accept",
             "reason=\"%s\" connections=%zu remedy=\"raise the limit of open "
             "files (ulimit -n), or lower max_connections\"",
             strerror(err), atomic_load(&front->worker->connections));
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct front *front = arg;
    (void)fd;
    (void)what;
    listen_again(front);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct front *front = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t n = sizeof peer;
        int client = accept4(fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0)
            take(front, client, (struct sockaddr *)&peer);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(front);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        /* Any other error (ECONNABORTED, EPROTO, ...) concerns that one connection. */
    }
}

/* ---- Listening ------------------------------------------------------------------------------- */

static int make_events(struct front *front)
{
    struct event_base *base = front->worker->base;
    bool complete = true;
    for (size_t i = 0; i < front->n_listeners; i++) {
        struct front_listener *listener = &front->listeners[i];
        listener->event = event_new(base, listener->fd, EV_READ | EV_PERSIST, on_acceptable, front);
        complete = complete && listener->event != NULL;
    }
    front->pause_event = event_new(base, -1, 0, on_pause_over, front);
    front->turn_event = event_new(base, -1, 0, on_turn_end, front);
    front->resume_event = event_new(base, -1, 0, on_resume, front);
    if (!complete || front->pause_event == NULL || front->turn_event == NULL ||
        front->resume_event == NULL)
        return -1;
    return listen_again(front);
}

struct front *front_new(struct worker *worker, const int sockets[], size_t n, request_run_fn *run)
{
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL) {
        while (n > 0)
            close(sockets[--n]);
        return NULL;
    }
    front->worker = worker;
    front->run = run;
    assert(n <= LISTEN_SOCKETS);
    for (; front->n_listeners < n; front->n_listeners++)
        front->listeners[front->n_listeners].fd = sockets[front->n_listeners];
    TAILQ_INIT(&front->conns);
    TAILQ_INIT(&front->closed);
    TAILQ_INIT(&front->dirty);
    TAILQ_INIT(&front->resume);
    buf_pool_init(&front->in_blocks, IN_BLOCK_BYTES, IN_BLOCKS_KEPT);
    buf_pool_init(&front->out_blocks, OUT_BLOCK_BYTES, OUT_BLOCKS_KEPT);
    if (make_events(front) != 0) {
        front_free(front);
        return NULL;
    }
    return front;
}

static void free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

static void stop_listening(struct front *front)
{
    if (front->pause_event != NULL)
        event_del(front->pause_event);
    for (size_t i = 0; i < front->n_listeners; i++) {
        free_event(front->listeners[i].event);
        close(front->listeners[i].fd);
    }
    front->n_listeners = 0;
}

void front_drain(struct front *front, void (*on_empty)(void *arg), void *arg)
{
    struct conn *next;
    stop_listening(front);
    front->on_empty = on_empty;
    front->on_empty_arg = arg;
    for (struct conn *c = TAILQ_FIRST(&front->conns); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        conn_drain(c);
    }
    front_turn_end_wanted(front); /* there may be no connection at all */
}

void front_free(struct front *front)
{
    struct conn *c;
    if (front == NULL)
        return;
    stop_listening(front);
    front->on_empty = NULL;
    while ((c = TAILQ_FIRST(&front->dirty)) != NULL) {
        TAILQ_REMOVE(&front->dirty, c, dirty_link);
        conn_flush(c);
    }
    while ((c = TAILQ_FIRST(&front->conns)) != NULL)
        conn_close(c, "draining");
    while ((c = TAILQ_FIRST(&front->closed)) != NULL)
        conn_free(c);
    request_free_all(front);
    assert(front->n_requests == 0 && front->worker->connections == 0);
    buf_pool_close(&front->in_blocks);
    buf_pool_close(&front->out_blocks);
    free_event(front->pause_event);
    free_event(front->turn_event);
    free_event(front->resume_event);
    free(front);
}
