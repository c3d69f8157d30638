/*
 * The listener, and what happens once per turn of the event loop.
 *
 * A turn: sockets are read and their requests run; the batch and the store answer some; then on_turn_end sends each
 * connection's replies in one write and frees the connections that were closed. Connections with more requests than one
 * turn's share go on in the next turn (on_resume: a timer of 0 ms, so that the other sockets are looked at in between).
 *
 * How accepting fails: beyond max_connections the peer is told so and closed. Out of file descriptors, the listener
 * pauses, since the waiting peer would wake it over and over, and tries again in 100 ms.
 */
#define _GNU_SOURCE /* accept4 */
#include "front.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "crew.h"
#include "front_inner.h"
#include "log.h"

#define ACCEPTS_PER_TURN  64
#define BACKLOG           511
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
    if (front->n_conns == 0 && front->on_empty != NULL) {
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
    /* Only those that are there now: who is not done comes again in the next turn. */
    for (size_t n = front->n_resume; n > 0 && !TAILQ_EMPTY(&front->resume); n--) {
        struct conn *c = TAILQ_FIRST(&front->resume);
        TAILQ_REMOVE(&front->resume, c, resume_link);
        front->n_resume--;
        c->resuming = false;
        conn_resume(c);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------------------------ */

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
    if (crew_connections(front->worker) >= front->worker->config->max_connections) {
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

static void pause_accepting(struct front *front)
{
    static const struct timeval pause = {0, PAUSE_US};
    uint64_t now = clock_ms();
    int err = errno;
    event_del(front->listen_event);
    event_add(front->pause_event, &pause);
    if (front->complained_ms != 0 && now - front->complained_ms < COMPLAIN_EVERY_MS)
        return;
    front->complained_ms = now;
    log_warn("cannot accept",
             "reason=\"%s\" connections=%zu remedy=\"raise the limit of open "
             "files (ulimit -n), or lower max_connections\"",
             strerror(err), front->n_conns);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct front *front = arg;
    (void)fd;
    (void)what;
    if (front->listen_fd >= 0)
        event_add(front->listen_event, NULL);
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
        /* Anything else (ECONNABORTED, EPROTO, ...) is about that one connection. */
    }
}

/* ---- Listening ------------------------------------------------------------------------------------------------ */

static int listen_at(const struct addrinfo *address, bool shared)
{
    static const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* A shared address would let a second rationd in unnoticed: first it must be free for one that does not share. */
static int listen_shared(const struct addrinfo *address, bool first)
{
    if (first) {
        int probe = listen_at(address, false);
        if (probe < 0)
            return -1;
        close(probe);
    }
    return listen_at(address, true);
}

static int listen_configured(const struct worker *worker, char *errmsg, size_t cap)
{
    const struct config_listen *where = &worker->config->listen;
    bool shared = worker->crew != NULL && worker->crew->n > 1;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof port, "%u", crew_port(worker));
    int err = getaddrinfo(where->resp_host, port, &hints, &found);
    if (err != 0) {
        snprintf(errmsg, cap, "listen.resp: cannot resolve the host '%s': %s", where->resp_host,
                 gai_strerror(err));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = shared ? listen_shared(a, crew_is_first(worker)) : listen_at(a, false);
    err = errno;
    freeaddrinfo(found);
    if (fd >= 0)
        return fd;
    if (err == EADDRINUSE)
        snprintf(errmsg, cap,
                 "address %s:%s is in use; stop the program that listens there, or set listen.resp "
                 "to another port (0 picks a free one)",
                 where->resp_host, port);
    else
        snprintf(errmsg, cap,
                 "cannot listen at %s:%s: %s; set listen.resp to an address of this host",
                 where->resp_host, port, strerror(err));
    return -1;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t n = sizeof address;
    if (getsockname(fd, &address.any, &n) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int make_events(struct front *front)
{
    struct event_base *base = front->worker->base;
    front->listen_event =
        event_new(base, front->listen_fd, EV_READ | EV_PERSIST, on_acceptable, front);
    front->pause_event = event_new(base, -1, 0, on_pause_over, front);
    front->turn_event = event_new(base, -1, 0, on_turn_end, front);
    front->resume_event = event_new(base, -1, 0, on_resume, front);
    if (front->listen_event == NULL || front->pause_event == NULL || front->turn_event == NULL ||
        front->resume_event == NULL)
        return -1;
    return event_add(front->listen_event, NULL);
}

int front_new(struct worker *worker, struct front **out, char *errmsg, size_t errmsg_cap)
{
    int fd = listen_configured(worker, errmsg, errmsg_cap);
    if (fd < 0)
        return -1;
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL) {
        close(fd);
        snprintf(errmsg, errmsg_cap, "out of memory");
        return -1;
    }
    front->worker = worker;
    front->listen_fd = fd;
    front->port = port_of(fd);
    TAILQ_INIT(&front->conns);
    TAILQ_INIT(&front->closed);
    TAILQ_INIT(&front->dirty);
    TAILQ_INIT(&front->resume);
    buf_pool_init(&front->in_blocks, IN_BLOCK_BYTES, IN_BLOCKS_KEPT);
    buf_pool_init(&front->out_blocks, OUT_BLOCK_BYTES, OUT_BLOCKS_KEPT);
    if (!answer_forms_init(&front->forms) || make_events(front) != 0) {
        front_free(front);
        snprintf(errmsg, errmsg_cap, "out of memory");
        return -1;
    }
    *out = front;
    return 0;
}

uint16_t front_port(const struct front *front)
{
    return front->port;
}

size_t front_connections(const struct front *front)
{
    return front->n_conns;
}

static void stop_listening(struct front *front)
{
    if (front->listen_fd < 0)
        return;
    if (front->listen_event != NULL)
        event_del(front->listen_event);
    if (front->pause_event != NULL)
        event_del(front->pause_event);
    close(front->listen_fd);
    front->listen_fd = -1;
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
    front_turn_end_wanted(front); /* there may be none */
}

static void free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
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
    assert(front->n_requests == 0);
    buf_pool_close(&front->in_blocks);
    buf_pool_close(&front->out_blocks);
    answer_forms_close(&front->forms);
    free_event(front->listen_event);
    free_event(front->pause_event);
    free_event(front->turn_event);
    free_event(front->resume_event);
    free(front);
}
