/*
 * Listening sockets: the address for everybody, and a path for clients on the same host, which is
 * faster.
 *
 * Several workers share the address through SO_REUSEPORT, each with its own socket. Paths have no
 * such option, so the workers share one socket there (workers.c).
 *
 * How it fails: an address in use is refused. A path in use is probed first: a socket at which
 * nobody answers was left behind by a server that was killed, and is replaced; anything else there
 * is left alone. Between bind() and listen() a starting server's socket looks abandoned too, so
 * servers take turns by locking the folder.
 */
#define _GNU_SOURCE
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG    511
#define LOCK_TRIES 1000

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

/* A shared address would let a second rationd in unnoticed, so first check that it is free for a
 * socket that does not share. */
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

int listen_tcp(const struct config_listen *where, uint16_t port_number, bool shared, bool first,
               char *errmsg, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof port, "%u", port_number);
    int err = getaddrinfo(where->resp_host, port, &hints, &found);
    if (err != 0) {
        snprintf(errmsg, size, "listen.resp: cannot resolve the host '%s': %s", where->resp_host,
                 gai_strerror(err));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = shared ? listen_shared(a, first) : listen_at(a, false);
    err = errno;
    freeaddrinfo(found);
    if (fd >= 0)
        return fd;
    if (err == EADDRINUSE)
        snprintf(errmsg, size,
                 "address %s:%s is in use; stop the program that listens there, or set listen.resp "
                 "to another port (0 picks a free one)",
                 where->resp_host, port);
    else
        snprintf(errmsg, size,
                 "cannot listen at %s:%s: %s; set listen.resp to an address of this host",
                 where->resp_host, port, strerror(err));
    return -1;
}

uint16_t listen_port(int fd)
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

const char *listen_address(const struct config *config, uint16_t port,
                           char to[LISTEN_ADDRESS_BYTES])
{
    const char *host = config->listen.resp_host;
    snprintf(to, LISTEN_ADDRESS_BYTES, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    return to;
}

/* ---- A path ---------------------------------------------------------------------------------- */

static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* cannot tell */
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool refused = result < 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static bool is_left_behind(const struct sockaddr_un *address)
{
    struct stat status;
    return lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
           !somebody_answers(address);
}

/*
 * Locks the folder of the path until the descriptor is closed; -1 if it cannot be opened, which
 * bind() explains better. Servers hold the lock for less than a millisecond: after LOCK_TRIES ms it
 * is somebody else's, and we go on without it.
 */
static int lock_folder(const struct sockaddr_un *address)
{
    char folder[sizeof address->sun_path];
    memcpy(folder, address->sun_path, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        memcpy(folder, ".", 2);
    else
        slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && i < LOCK_TRIES; i++)
        poll(NULL, 0, 1);
    return fd;
}

/* Returns 0, or -1 with errno. */
static int bind_and_listen(int fd, const struct sockaddr_un *address)
{
    int result = bind(fd, (const struct sockaddr *)address, sizeof *address);
    if (result < 0 && errno == EADDRINUSE && is_left_behind(address)) {
        unlink(address->sun_path);
        result = bind(fd, (const struct sockaddr *)address, sizeof *address);
    }
    return result == 0 ? listen(fd, BACKLOG) : -1;
}

int listen_path(const char *path, char *errmsg, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path)); /* the configuration has checked that it fits */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int folder = lock_folder(&address);
    bool listens = fd >= 0 && bind_and_listen(fd, &address) == 0;
    int err = errno;
    if (folder >= 0)
        close(folder);
    if (listens)
        return fd;
    if (fd >= 0)
        close(fd);
    if (err == EADDRINUSE)
        snprintf(errmsg, size,
                 "%s is in use; stop the program that listens there, or set listen.unix to another "
                 "path",
                 path);
    else
        snprintf(errmsg, size,
                 "cannot listen at %s: %s; set listen.unix to a path in a folder where this user "
                 "may write, or to null",
                 path, strerror(err));
    return -1;
}
