/*
 * Normal path: conn_open() makes a non-blocking socket and waits for it to connect; conn_ask()
 * writes the command, then sleeps until something arrives and feeds it to the parser until it has
 * one whole reply.
 *
 * How it fails: the peer refuses or does not answer (the next address of a name is tried, then
 * RATION_ECONNECT); the deadline passes (RATION_ETIMEOUT); the peer closes or resets in the middle
 * (RATION_ECONNECT: the caller sends the same id to another server); the peer sends what is not a
 * reply, or too much of one (RATION_EPROTOCOL).
 */
#include "wire/conn.h"

#include "clock.h"
#include "wire/resolve.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void conn_init(struct conn *conn)
{
    *conn = (struct conn){.fd = -1};
}

void conn_close(struct conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    reply_reader_free(conn->reader);
    conn->fd = -1;
    conn->reader = NULL;
}

/* strerror() may share its buffer between threads; strerror_r() has two incompatible forms, and
 * this is GNU's. */
static int fail_errno(struct conn *conn, int error)
{
    char buf[128];
    snprintf(conn->errmsg, sizeof(conn->errmsg), "%s", strerror_r(error, buf, sizeof(buf)));
    return RATION_ECONNECT;
}

static int fail(struct conn *conn, int err, const char *text)
{
    snprintf(conn->errmsg, sizeof(conn->errmsg), "%s", text);
    return err;
}

static int fail_no_memory(struct conn *conn)
{
    return fail(conn, RATION_ENOMEM, "out of memory");
}

/* Waits for `events`. 1: there; 0: the deadline passed. Errors of the socket show when it is
 * used. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - clock_ms();
        if (left <= 0)
            return 0;
        struct pollfd p = {.fd = fd, .events = events};
        if (poll(&p, 1, (int)left) > 0)
            return 1;
    }
}

bool conn_is_fresh(struct conn *conn)
{
    if (conn->fd < 0)
        return false;
    struct pollfd p = {.fd = conn->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0 && !reply_reader_has_rest(conn->reader);
}

/* ---- Connecting ---- */

/* Waits until a connection that was begun is established. */
static int await_connection(struct conn *conn, int64_t deadline_ms)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (!wait_for(conn->fd, POLLOUT, deadline_ms))
        return fail(conn, RATION_ETIMEOUT, "no answer to the connection attempt");
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error ? fail_errno(conn, error) : 0;
}

static int connect_socket(struct conn *conn, const struct sockaddr *sa, socklen_t len,
                          int64_t deadline_ms)
{
    int err = 0;
    conn->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (conn->fd < 0)
        return fail_errno(conn, errno);
    if (connect(conn->fd, sa, len) < 0 && errno != EINPROGRESS && errno != EINTR)
        err = fail_errno(conn, errno);
    else
        err = await_connection(conn, deadline_ms);
    if (err < 0)
        conn_close(conn);
    return err;
}

static int open_unix(struct conn *conn, const struct addr *addr, int64_t deadline_ms)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(addr->host);
    assert(len < sizeof(sun.sun_path)); /* addr_list_parse() saw to it */
    memcpy(sun.sun_path, addr->host, len + 1);
    return connect_socket(conn, (struct sockaddr *)&sun, sizeof(sun), deadline_ms);
}

/* Neither option is worth failing for: without them a connection is slower, or its silent end is
 * noticed later. */
static void tune_tcp(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int open_tcp(struct conn *conn, const struct addr *addr, int64_t deadline_ms)
{
    struct addrinfo *found = NULL;
    const char *text = "the name was not resolved in time";
    int err = resolve(addr->host, addr->port, deadline_ms, &found, &text);
    if (err < 0)
        return err == RATION_ENOMEM ? fail_no_memory(conn) : fail(conn, err, text);

    int left = 0;
    for (struct addrinfo *ai = found; ai; ai = ai->ai_next)
        left++;
    err = RATION_ECONNECT;
    for (struct addrinfo *ai = found; ai && err < 0; ai = ai->ai_next, left--) {
        /* An address that swallows packets must leave time for those after it. */
        int64_t now = clock_ms();
        int64_t until = now + (deadline_ms - now) / left;
        err = connect_socket(conn, ai->ai_addr, ai->ai_addrlen, until);
    }
    if (err == 0)
        tune_tcp(conn->fd);
    freeaddrinfo(found);
    return err;
}

int conn_open(struct conn *conn, const struct addr *addr, int64_t deadline_ms)
{
    assert(conn->fd < 0 && !conn->reader);
    int err =
        addr->port == 0 ? open_unix(conn, addr, deadline_ms) : open_tcp(conn, addr, deadline_ms);
    if (err < 0)
        return err;
    conn->reader = reply_reader_new();
    if (conn->reader)
        return 0;
    conn_close(conn);
    return fail_no_memory(conn);
}

/* ---- One command ---- */

static int send_all(struct conn *conn, const char *buf, size_t len, int64_t deadline_ms)
{
    while (len > 0) {
        ssize_t n = send(conn->fd, buf, len, MSG_NOSIGNAL);
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return fail_errno(conn, errno);
        } else if (!wait_for(conn->fd, POLLOUT, deadline_ms)) {
            return fail(conn, RATION_ETIMEOUT, "the server does not read");
        }
    }
    return 0;
}

/* Reads what is there. *out becomes the reply, or stays NULL while it is not there or not whole. */
static int read_some(struct conn *conn, struct reply **out)
{
    char buf[16384];
    ssize_t n = recv(conn->fd, buf, sizeof(buf), 0);
    if (n == 0)
        return fail(conn, RATION_ECONNECT, "the server closed the connection");
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : fail_errno(conn, errno);
    int err = reply_reader_feed(conn->reader, buf, (size_t)n);
    if (err == 0)
        err = reply_reader_next(conn->reader, out);
    if (err < 0)
        return err == RATION_ENOMEM ? fail_no_memory(conn)
                                    : fail(conn, err, "the answer is not RESP, or too large");
    return 0;
}

static int receive(struct conn *conn, int64_t deadline_ms, struct reply **out)
{
    struct reply *reply = NULL;
    while (!reply) {
        if (!wait_for(conn->fd, POLLIN, deadline_ms))
            return fail(conn, RATION_ETIMEOUT, "no answer in time");
        int err = read_some(conn, &reply);
        if (err < 0)
            return err;
    }
    *out = reply;
    return 0;
}

int conn_send(struct conn *conn, const struct command *cmd, int64_t deadline_ms)
{
    assert(conn->fd >= 0 && conn->reader);
    int err = send_all(conn, cmd->buf + cmd->start, cmd->len - cmd->start, deadline_ms);
    if (err < 0)
        conn_close(conn);
    return err;
}

int conn_receive(struct conn *conn, int64_t deadline_ms, struct reply **out)
{
    assert(conn->fd >= 0 && conn->reader);
    int err = receive(conn, deadline_ms, out);
    if (err < 0)
        conn_close(conn);
    return err;
}

int conn_ask(struct conn *conn, const struct command *cmd, int64_t deadline_ms, struct reply **out)
{
    int err = conn_send(conn, cmd, deadline_ms);
    return err < 0 ? err : conn_receive(conn, deadline_ms, out);
}
