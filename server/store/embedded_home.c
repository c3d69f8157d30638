/*
 * The embedded store's directory, state_dir/store:
 *
 *     lock            flock'ed by the rationd that owns the directory; its process id, for messages
 *     redis.sock      bound by redis-server
 *     redis.log       redis-server's log
 *     appendonlydir/  redis-server's data
 *
 * The kernel releases the lock when its owner ends, however that happens, so there is nothing stale
 * to clean up.
 *
 * A socket's path has at most 107 bytes. redis-server binds relative to its own directory, and we
 * connect through /proc/self/fd if the full path would be too long; so the length of --state does
 * not matter.
 */
#include "store/embedded_home.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

enum { PING_MS = 500, LOG_MAX_BYTES = 1 << 20 };

int message_fail(struct message message, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message.text, message.cap, format, args);
    va_end(args);
    return -1;
}

/* "directory/name", on the heap. */
static char *path_join(const char *directory, size_t n, const char *name)
{
    size_t cap = n + 1 + strlen(name) + 1;
    char *path = malloc(cap);
    if (path)
        snprintf(path, cap, "%.*s/%s", (int)n, directory, name);
    return path;
}

/* Absolute, because the child changes its directory; the last link is not resolved, because
 * redis-server may be one of several names of a program that checks how it was called. */
static char *program_in(const char *directory, size_t n, const char *name)
{
    struct stat st;
    char *relative = n ? path_join(directory, n, ".") : path_join(".", 1, ".");
    char *absolute = relative ? realpath(relative, NULL) : NULL;
    char *path = absolute ? path_join(absolute, strlen(absolute), name) : NULL;
    free(relative);
    free(absolute);
    if (path && !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK))
        return path;
    free(path);
    return NULL;
}

static char *find_in_path(const char *path, const char *name)
{
    for (;;) {
        size_t n = strcspn(path, ":");
        char *found = program_in(path, n, name);
        if (found || !path[n])
            return found;
        path += n + 1;
    }
}

static int find_program(struct embedded_home *home, struct message message)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    home->program = find_in_path(path, "redis-server");
    if (!home->program)
        home->program = find_in_path(path, "valkey-server");
    if (home->program)
        return 0;
    return message_fail(message,
                        "the embedded store needs the program redis-server (or valkey-server), "
                        "and neither is in PATH (%s): install it with `apt-get install "
                        "redis-server`, or set store.url to a Redis that runs elsewhere",
                        path);
}

/* mkdir -p */
static int make_dirs(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0700) && errno != EEXIST;
        *slash = '/';
        if (failed)
            return -1;
    }
    return mkdir(path, 0700) && errno != EEXIST ? -1 : 0;
}

static int open_dir(struct embedded_home *home, const char *state_dir, struct message message)
{
    char *dir = path_join(state_dir, strlen(state_dir), "store");
    if (!dir)
        return message_fail(message, "out of memory");
    int failed = make_dirs(dir) || !(home->dir = realpath(dir, NULL)) ||
                 (home->dir_fd = open(home->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
                 access(home->dir, R_OK | W_OK | X_OK);
    if (failed)
        message_fail(message,
                     "cannot use the state directory %s: %s; name a writable one with --state", dir,
                     strerror(errno));
    free(dir);
    return failed ? -1 : 0;
}

static int choose_socket(struct embedded_home *home, struct message message)
{
    struct sockaddr_un address;
    home->socket = path_join(home->dir, strlen(home->dir), "redis.sock");
    if (home->socket && strlen(home->socket) >= sizeof address.sun_path) {
        char through_fd[64];
        int n = snprintf(through_fd, sizeof through_fd, "/proc/self/fd/%d", home->dir_fd);
        free(home->socket);
        home->socket = path_join(through_fd, (size_t)n, "redis.sock");
    }
    return home->socket ? 0 : message_fail(message, "out of memory");
}

static int lock_is_taken(const struct embedded_home *home, struct message message)
{
    char owner[32];
    ssize_t n = pread(home->lock_fd, owner, sizeof owner - 1, 0);
    owner[n > 0 ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return message_fail(message,
                        "another rationd (process %s) already runs its embedded store in %s: stop "
                        "it, or give this one a directory of its own with --state",
                        owner[0] ? owner : "unknown", home->dir);
}

static int take_lock(struct embedded_home *home, struct message message)
{
    char owner[32];
    home->lock_fd = openat(home->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (home->lock_fd < 0)
        return message_fail(message, "cannot open %s/lock: %s", home->dir, strerror(errno));
    if (flock(home->lock_fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return lock_is_taken(home, message);
        return message_fail(message, "cannot lock %s/lock: %s", home->dir, strerror(errno));
    }
    int n = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    if (ftruncate(home->lock_fd, 0) || pwrite(home->lock_fd, owner, (size_t)n, 0) != n)
        return message_fail(message, "cannot write to %s/lock: %s", home->dir, strerror(errno));
    return 0;
}

int embedded_home_open(struct embedded_home *home, const char *state_dir, struct message message)
{
    memset(home, 0, sizeof *home);
    home->dir_fd = home->lock_fd = -1;
    if (!find_program(home, message) && !open_dir(home, state_dir, message) &&
        !choose_socket(home, message) && !take_lock(home, message))
        return 0;
    embedded_home_close(home);
    return -1;
}

void embedded_home_close(struct embedded_home *home)
{
    if (home->lock_fd >= 0)
        close(home->lock_fd);
    if (home->dir_fd >= 0)
        close(home->dir_fd);
    free(home->socket);
    free(home->program);
    free(home->dir);
}

static enum answer read_answer(int fd)
{
    char text[64] = "";
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    if (send(fd, "PING\r\n", 6, MSG_NOSIGNAL) != 6 || poll(&wanted, 1, PING_MS) <= 0 ||
        recv(fd, text, sizeof text - 1, 0) <= 0)
        return ANSWER_OTHER;
    if (!strncmp(text, "+PONG", strlen("+PONG")))
        return ANSWER_PONG;
    return strncmp(text, "-LOADING", strlen("-LOADING")) ? ANSWER_OTHER : ANSWER_LOADING;
}

enum answer embedded_home_ping(const struct embedded_home *home)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ANSWER_NONE;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", home->socket);
    enum answer answer = ANSWER_NONE;
    if (!connect(fd, (const struct sockaddr *)&address, sizeof address))
        answer = read_answer(fd);
    close(fd);
    return answer;
}

int embedded_home_open_log(const struct embedded_home *home)
{
    struct stat st;
    int fd = openat(home->dir_fd, "redis.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && !fstat(fd, &st) && st.st_size > LOG_MAX_BYTES && ftruncate(fd, 0))
        log_warn("log file not emptied", "path=%s/redis.log reason=\"%s\"", home->dir,
                 strerror(errno));
    return fd;
}

void embedded_home_last_words(const struct embedded_home *home, char *text, unsigned long cap)
{
    text[0] = '\0';
    int fd = openat(home->dir_fd, "redis.log", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t size = lseek(fd, 0, SEEK_END), room = (off_t)cap - 1;
    ssize_t n = pread(fd, text, (size_t)room, size > room ? size - room : 0);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = p[1] ? ';' : '\0';
}
