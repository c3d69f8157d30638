/*
 * Normal path: conn_open() makes a non-blocking socket and waits for it to connect, conn_exchange()
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

/* strerror() may share its buffer between threads; strerror_r() has two incompatible forms, this is
 * GNU's. */
static int fail_errno(int code, int error, char *why, size_t why_size)
{
    char buf[128];
    snprintf(why, why_size, "%s", strerror_r(error, buf, sizeof(buf)));
    return code;
}

static int fail(int code, const char *text, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s", text);
    return code;
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

static int connect_socket(const struct sockaddr *sa, socklen_t len, int64_t deadline_ms, int *out,
                          char *why, size_t why_size)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(RATION_ECONNECT, errno, why, why_size);
    if (connect(fd, sa, len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        int error = errno;
        close(fd);
        return fail_errno(RATION_ECONNECT, error, why, why_size);
    }
    if (!wait_for(fd, POLLOUT, deadline_ms)) {
        close(fd);
        return fail(RATION_ETIMEOUT, "no answer to the connection attempt", why, why_size);
    }
    int error = 0;
    socklen_t error_len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        error = errno;
    if (error) {
        close(fd);
        return fail_errno(RATION_ECONNECT, error, why, why_size);
    }
    *out = fd;
    return 0;
}

static int open_unix(const struct addr *addr, int64_t deadline_ms, int *out, char *why,
                     size_t why_size)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(addr->host);
    if (len >= sizeof(sun.sun_path)) /* the parser of the list saw to it */
        return fail(RATION_ECONNECT, "the path is too long", why, why_size);
    memcpy(sun.sun_path, addr->host, len + 1);
    return connect_socket((struct sockaddr *)&sun, sizeof(sun), deadline_ms, out, why, why_size);
}

/* Neither option is worth failing for: without them a connection is slower, or its silent end is
 * noticed later. */
static void tune_tcp(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int open_tcp(const struct addr *addr, int64_t deadline_ms, int *out, char *why,
                    size_t why_size)
{
    struct addrinfo *found = NULL;
    const char *text = "the name was not resolved in time";
    int err = resolve(addr->host, addr->port, deadline_ms, &found, &text);
    if (err < 0)
        return fail(err, err == RATION_ENOMEM ? "out of memory" : text, why, why_size);

    int left = 0;
    for (struct addrinfo *ai = found; ai; ai = ai->ai_next)
        left++;
    err = RATION_ECONNECT;
    for (struct addrinfo *ai = found; ai; ai = ai->ai_next, left--) {
        /* An address that swallows packets must leave time for those behind it. */
        int64_t now = clock_ms();
        int64_t until = now + (deadline_ms - now) / left;
        err = connect_socket(ai->ai_addr, ai->ai_addrlen, until, out, why, why_size);
        if (err == 0) {
            tune_tcp(*out);
            break;
        }
    }
    freeaddrinfo(found);
    return err;
}

int conn_open(struct conn *conn, const struct addr *addr, int64_t deadline_ms, char *why,
              size_t why_size)
{
    int fd = -1;
    int err = addr->port == 0 ? open_unix(addr, deadline_ms, &fd, why, why_size)
                              : open_tcp(addr, deadline_ms, &fd, why, why_size);
    if (err < 0)
        return err;
    struct reply_reader *reader = reply_reader_new();
    if (!reader) {
        close(fd);
        return fail(RATION_ENOMEM, "out of memory", why, why_size);
    }
    conn->fd = fd;
    conn->reader = reader;
    return 0;
}

/* ---- One exchange ---- */

static int send_all(int fd, const char *buf, size_t len, int64_t deadline_ms, char *why,
                    size_t why_size)
{
    while (len > 0) {
        ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return fail_errno(RATION_ECONNECT, errno, why, why_size);
        } else if (!wait_for(fd, POLLOUT, deadline_ms)) {
            return fail(RATION_ETIMEOUT, "the server does not read", why, why_size);
        }
    }
    return 0;
}

/* Reads what is there. 1: *out is the reply; 0: it is not there yet, or not whole. */
static int read_some(struct conn *conn, struct reply **out, char *why, size_t why_size)
{
    char buf[16384];
    ssize_t n = recv(conn->fd, buf, sizeof(buf), 0);
    if (n == 0)
        return fail(RATION_ECONNECT, "the server closed the connection", why, why_size);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        return fail_errno(RATION_ECONNECT, errno, why, why_size);
    }
    struct reply *reply = NULL;
    int err = reply_reader_feed(conn->reader, buf, (size_t)n);
    if (err == 0)
        err = reply_reader_next(conn->reader, &reply);
    if (err < 0)
        return fail(err,
                    err == RATION_ENOMEM ? "out of memory" : "the answer is not RESP, or too large",
                    why, why_size);
    if (!reply)
        return 0;
    *out = reply;
    return 1;
}

static int receive(struct conn *conn, int64_t deadline_ms, struct reply **out, char *why,
                   size_t why_size)
{
    int got = 0;
    while (got == 0) {
        if (!wait_for(conn->fd, POLLIN, deadline_ms))
            return fail(RATION_ETIMEOUT, "no answer in time", why, why_size);
        got = read_some(conn, out, why, why_size);
    }
    return got < 0 ? got : 0;
}

int conn_send(struct conn *conn, const struct command *cmd, int64_t deadline_ms, char *why,
              size_t why_size)
{
    int err = send_all(conn->fd, cmd->buf + cmd->start, cmd->len - cmd->start, deadline_ms, why,
                       why_size);
    if (err < 0)
        conn_close(conn);
    return err;
}

int conn_receive(struct conn *conn, int64_t deadline_ms, struct reply **out, char *why,
                 size_t why_size)
{
    int err = receive(conn, deadline_ms, out, why, why_size);
    if (err < 0)
        conn_close(conn);
    return err;
}

int conn_exchange(struct conn *conn, const struct command *cmd, int64_t deadline_ms,
                  struct reply **out, char *why, size_t why_size)
{
    int err = conn_send(conn, cmd, deadline_ms, why, why_size);
    return err < 0 ? err : conn_receive(conn, deadline_ms, out, why, why_size);
}
