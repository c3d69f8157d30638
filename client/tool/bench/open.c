/*
 * Connecting. Each server is tried once, over all addresses of its name; all connections then use
 * the address that answered. They are opened in groups, each begun as a whole before it is awaited,
 * so that thousands take only some round trips and the server's queue of new connections does not
 * overflow.
 *
 * How it fails: a server that cannot be reached, or fewer file descriptors than needed, ends the
 * run before it begins.
 */
#include "tool/bench/run.h"
#include "tool/say.h"

#include "clock.h"
#include "wire/addr.h"
#include "wire/resolve.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GROUP     64
#define OTHER_FDS 32 /* standard ones, epoll, timer, signals, and some to spare */

struct target {
    struct sockaddr_storage address;
    socklen_t n;
};

static bool say_failed(const char *server, const char *why)
{
    return say(
        "%s: %s\nration: is a server running there? 'rationd' starts one; --server names another",
        server, why);
}

static bool raise_limit(const struct bench_options *options)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)(options->connections + options->idle + OTHER_FDS);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return true;
    if (limit.rlim_max < wanted)
        return say("this many connections need %" PRIu64
                   " open files and this process may have %" PRIu64 "; raise it with 'ulimit -Hn'",
                   (uint64_t)wanted, (uint64_t)limit.rlim_max);
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* ---- One socket ---- */

/* A socket that is connecting, or -1 with errno set. */
static int start_socket(const struct target *target, int64_t timeout_ms)
{
    bool local = target->address.ss_family == AF_UNIX;
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (local) {
        /* A non-blocking connect to a unix socket whose queue is full fails with EAGAIN and is not
         * retried, so it must block. */
        struct timeval limit = {.tv_sec = (time_t)(timeout_ms / 1000),
                                .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    } else {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    int status = connect(fd, (const struct sockaddr *)&target->address, target->n);
    if (status < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    if (local)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* 0 once it is connected, or an errno. */
static int await_socket(int fd, int64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int64_t left = deadline_ms - clock_ms();
    int error = 0;
    socklen_t n = sizeof(error);
    if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? errno : error;
}

/* ---- Servers ---- */

static int probe(const struct target *target, int64_t timeout_ms)
{
    int fd = start_socket(target, timeout_ms);
    if (fd < 0)
        return errno;
    int error = await_socket(fd, clock_ms() + timeout_ms);
    close(fd);
    return error;
}

static bool find_tcp(const struct addr *addr, int64_t timeout_ms, struct target *out)
{
    struct addrinfo *found = NULL;
    const char *why = "the name was not resolved in time";
    if (resolve(addr->host, addr->port, clock_ms() + timeout_ms, &found, &why) < 0)
        return say_failed(addr->text, why);
    int error = ECONNREFUSED;
    for (struct addrinfo *ai = found; ai && error != 0; ai = ai->ai_next) {
        out->n = ai->ai_addrlen;
        memcpy(&out->address, ai->ai_addr, ai->ai_addrlen);
        error = probe(out, timeout_ms);
    }
    freeaddrinfo(found);
    return error == 0 || say_failed(addr->text, strerror(error));
}

static bool find_unix(const struct addr *addr, int64_t timeout_ms, struct target *out)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(addr->host);
    if (len >= sizeof(sun.sun_path)) /* the parser of the list has checked that */
        return say_failed(addr->text, "the path is too long for a unix socket");
    memcpy(sun.sun_path, addr->host, len + 1);
    out->n = sizeof(sun);
    memcpy(&out->address, &sun, sizeof(sun));
    int error = probe(out, timeout_ms);
    return error == 0 || say_failed(addr->text, strerror(error));
}

/* ---- All of them ---- */

static bool open_group(struct bench_run *run, const struct target *targets, size_t n_targets,
                       size_t first, size_t end)
{
    int64_t timeout_ms = run->options->session->timeout_ms;
    for (size_t i = first; i < end; i++) {
        run->conns[i].fd = start_socket(&targets[i % n_targets], timeout_ms);
        if (run->conns[i].fd < 0)
            return say("connection %zu: %s", i + 1, strerror(errno));
    }
    int64_t deadline_ms = clock_ms() + timeout_ms;
    for (size_t i = first; i < end; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &run->conns[i]};
        int error = await_socket(run->conns[i].fd, deadline_ms);
        if (error == 0 && epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, run->conns[i].fd, &event) < 0)
            error = errno;
        if (error != 0)
            return say("connection %zu: %s", i + 1, strerror(error));
    }
    return true;
}

bool bench_open(struct bench_run *run)
{
    struct addr_list servers = {.n = 0};
    struct target targets[ADDR_MAX] = {0};
    int64_t timeout_ms = run->options->session->timeout_ms;
    if (!raise_limit(run->options))
        return false;
    if (addr_list_parse(session_servers(run->options->session), &servers) < 0 || servers.n == 0)
        return say_failed(session_servers(run->options->session), "this is not a list of servers");
    for (size_t i = 0; i < servers.n; i++) {
        const struct addr *addr = &servers.at[i];
        if (!(addr->port == 0 ? find_unix(addr, timeout_ms, &targets[i])
                              : find_tcp(addr, timeout_ms, &targets[i])))
            return false;
    }
    for (size_t at = 0; at < run->n_conns; at += GROUP) {
        size_t end = at + GROUP < run->n_conns ? at + GROUP : run->n_conns;
        if (!open_group(run, targets, servers.n, at, end))
            return false;
    }
    return true;
}
