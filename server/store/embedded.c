/*
 * The embedded store: one child process, redis-server, watched from the event loop.
 *
 * The normal path: make and lock its directory (embedded_home.c), start redis-server, and wait
 * until it answers. From then on a pidfd in the event loop reports its end, without a signal
 * handler. To stop it, send SIGTERM (it writes out its append-only file), and kill it only if it
 * does not end in time.
 *
 * How it fails:
 *   - another rationd uses the directory: the lock reports it
 *   - rationd is killed: the kernel sends redis-server SIGTERM (PR_SET_PDEATHSIG). The next rationd
 *     waits until nobody answers at the socket any more
 *   - redis-server ends by itself: it is started again, with backoff; the store module sees a
 *     broken connection, and connects again
 *   - unreadable data, a full disk, ...: the message includes the last lines of redis-server's log
 *
 * PR_SET_PDEATHSIG is tied to the thread that forked, so embedded_start and the event base belong
 * to the main thread. The child has its own session: Ctrl-C in a terminal reaches rationd alone,
 * which still needs the store for draining.
 */
#include "store/embedded.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "store/embedded_home.h"

enum {
    START_MS = 10000,
    STOP_MS = 5000,
    POLL_MS = 10,  /* between two checks, while starting and stopping */
    LOOK_MS = 250, /* between two checks of the child if there is no pidfd */
    RESTART_MIN_MS = 100,
    RESTART_MAX_MS = 5000,
    STEADY_MS = 10000, /* after running this long, the next failure counts as the first */
};

struct embedded {
    struct event_base *base;
    struct embedded_home home;
    pid_t pid;             /* 0: not running */
    int pidfd;             /* -1: not running, or the kernel has none: then `ended` polls */
    struct event *ended;   /* the child has ended */
    struct event *restart; /* it is time to start it again */
    unsigned failures;     /* in a row */
    uint64_t started_ms;
};

/* Waits between two checks: briefly, or until the child ends if there is one to watch. */
static void pause_briefly(const struct embedded *embedded)
{
    struct pollfd wanted = {.fd = embedded->pidfd, .events = POLLIN};
    poll(&wanted, 1, POLL_MS);
}

/* A killed rationd leaves a redis-server that is about to end; two of them on the same files would
 * ruin the data. */
static int wait_for_predecessor(const struct embedded *embedded, struct message message)
{
    const char *dir = embedded->home.dir;
    uint64_t deadline = clock_ms() + START_MS;
    bool told = false;
    while (embedded_home_ping(&embedded->home) != ANSWER_NONE) {
        if (clock_ms() > deadline)
            return message_fail(message,
                                "a redis-server that is not ours answers at %s/redis.sock: stop "
                                "it with `redis-cli -s %s/redis.sock shutdown`, then start again",
                                dir, dir);
        if (!told)
            log_warn("waiting for an earlier redis-server to end", "dir=%s", dir);
        told = true;
        pause_briefly(embedded);
    }
    return 0;
}

/* In the child: only what is allowed between fork and exec in a program with threads. */
_Noreturn static void child_run(int dir_fd, char *const argv[], int log_fd, pid_t parent)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    for (int number = 1; number <= SIGRTMAX; number++)
        sigaction(number, &by_default, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* The parent may have died before that call. */
    if (getppid() != parent || fchdir(dir_fd))
        _exit(126);
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
        _exit(126);
    /* Closes whatever some library has opened without close-on-exec. */
    syscall(SYS_close_range, 3U, ~0U, 0U);
    execv(argv[0], argv);
    static const char words[] = "rationd: cannot run the redis-server program\n";
    ssize_t ignored = write(2, words, sizeof words - 1);
    (void)ignored;
    _exit(127);
}

static void on_ended(evutil_socket_t fd, short what, void *arg);

static void watch(struct embedded *embedded)
{
    static const struct timeval look = {.tv_usec = LOOK_MS * 1000L};
    embedded->pidfd = (int)syscall(SYS_pidfd_open, embedded->pid, 0);
    bool has_pidfd = embedded->pidfd >= 0;
    event_assign(embedded->ended, embedded->base, embedded->pidfd,
                 (short)(has_pidfd ? EV_READ | EV_PERSIST : EV_PERSIST), on_ended, embedded);
    event_add(embedded->ended, has_pidfd ? NULL : &look);
}

/* Starts and watches it; it need not answer yet. */
static int spawn(struct embedded *embedded)
{
    const struct embedded_home *home = &embedded->home;
    /* Relative to its directory. */
    char *const argv[] = {home->program,
                          "--port",
                          "0",
                          "--unixsocket",
                          "redis.sock",
                          "--unixsocketperm",
                          "700",
                          "--dir",
                          home->dir,
                          "--appendonly",
                          "yes",
                          "--appendfsync",
                          "everysec",
                          "--maxmemory-policy",
                          "noeviction",
                          "--save",
                          "",
                          "--daemonize",
                          "no",
                          "--logfile",
                          "redis.log",
                          NULL};
    int log_fd = embedded_home_open_log(home);
    if (log_fd < 0)
        return -1;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (!pid)
        child_run(home->dir_fd, argv, log_fd, parent);
    int saved = errno;
    close(log_fd);
    errno = saved;
    if (pid < 0)
        return -1;
    embedded->pid = pid;
    embedded->started_ms = clock_ms();
    watch(embedded);
    log_info("embedded store started", "program=%s pid=%ld dir=%s", home->program, (long)pid,
             home->dir);
    return 0;
}

/* Returns true, and forgets it, if it has ended. Somebody else may have reaped it (an ignored
 * SIGCHLD does). */
static bool reap(struct embedded *embedded, int *status)
{
    *status = 0;
    if (!embedded->pid)
        return true;
    pid_t ended = waitpid(embedded->pid, status, WNOHANG);
    if (ended != embedded->pid && !(ended < 0 && errno == ECHILD))
        return false;
    event_del(embedded->ended);
    if (embedded->pidfd >= 0)
        close(embedded->pidfd);
    embedded->pidfd = -1;
    embedded->pid = 0;
    return true;
}

static void describe_end(int status, char *text, size_t cap)
{
    if (WIFSIGNALED(status))
        snprintf(text, cap, "killed by signal %d, %s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, cap, "exit status %d", WEXITSTATUS(status));
}

static void schedule_restart(struct embedded *embedded)
{
    unsigned delay_ms = RESTART_MAX_MS;
    if (embedded->failures < 6)
        delay_ms = (unsigned)RESTART_MIN_MS << embedded->failures;
    embedded->failures++;
    struct timeval tv = {.tv_sec = delay_ms / 1000, .tv_usec = (long)(delay_ms % 1000) * 1000};
    event_add(embedded->restart, &tv);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct embedded *embedded = arg;
    int status = 0;
    if (!reap(embedded, &status))
        return;
    char how[64];
    describe_end(status, how, sizeof how);
    if (clock_ms() - embedded->started_ms >= STEADY_MS)
        embedded->failures = 0;
    log_error("embedded store ended", "how=\"%s\" log=%s/redis.log; it will be started again", how,
              embedded->home.dir);
    schedule_restart(embedded);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct embedded *embedded = arg;
    if (!spawn(embedded))
        return;
    log_error("embedded store not started again", "reason=\"%s\"", strerror(errno));
    schedule_restart(embedded);
}

static int ended_while_starting(const struct embedded *embedded, int status, struct message message)
{
    char how[64], words[400];
    describe_end(status, how, sizeof how);
    embedded_home_last_words(&embedded->home, words, sizeof words);
    return message_fail(message,
                        "%s ended while starting (%s); the end of its log, %s/redis.log: %s",
                        embedded->home.program, how, embedded->home.dir, words);
}

static int wait_until_it_answers(struct embedded *embedded, struct message message)
{
    uint64_t deadline = clock_ms() + START_MS;
    bool told = false;
    for (;;) {
        int status = 0;
        enum answer answer = embedded_home_ping(&embedded->home);
        if (answer == ANSWER_PONG)
            return 0;
        if (reap(embedded, &status))
            return ended_while_starting(embedded, status, message);
        if (answer == ANSWER_LOADING && !told) {
            log_info("embedded store is loading", "dir=%s", embedded->home.dir);
            told = true;
        }
        if (clock_ms() > deadline) {
            /* A large append-only file: it is alive, and the store module reports what it waits
             * for. */
            if (answer == ANSWER_LOADING)
                return 0;
            return message_fail(message, "%s does not answer within %d s; see %s/redis.log",
                                embedded->home.program, START_MS / 1000, embedded->home.dir);
        }
        pause_briefly(embedded);
    }
}

int embedded_start(struct event_base *base, const char *state_dir, struct embedded **out,
                   char *errmsg, unsigned long errmsg_cap)
{
    struct message message = {errmsg, errmsg_cap};
    struct embedded *embedded = calloc(1, sizeof *embedded);
    if (!embedded)
        return message_fail(message, "out of memory");
    if (embedded_home_open(&embedded->home, state_dir, message)) {
        free(embedded);
        return -1;
    }
    embedded->base = base;
    embedded->pidfd = -1;
    embedded->ended = evtimer_new(base, on_ended, embedded);
    embedded->restart = evtimer_new(base, on_restart, embedded);
    if (!embedded->ended || !embedded->restart) {
        message_fail(message, "out of memory");
        goto err_after_home;
    }
    if (wait_for_predecessor(embedded, message))
        goto err_after_home;
    if (spawn(embedded)) {
        message_fail(message, "cannot start %s: %s", embedded->home.program, strerror(errno));
        goto err_after_home;
    }
    if (wait_until_it_answers(embedded, message))
        goto err_after_home;
    *out = embedded;
    return 0;

err_after_home:
    embedded_stop(embedded);
    return -1;
}

const char *embedded_socket(const struct embedded *embedded)
{
    return embedded->home.socket;
}

static void stop_child(struct embedded *embedded)
{
    uint64_t deadline = clock_ms() + STOP_MS;
    int status = 0;
    if (!embedded->pid)
        return;
    /* Not reaped yet, so the process id is still its own. */
    kill(embedded->pid, SIGTERM);
    while (!reap(embedded, &status) && clock_ms() < deadline)
        pause_briefly(embedded);
    if (!embedded->pid) {
        log_info("embedded store stopped", "dir=%s", embedded->home.dir);
        return;
    }
    log_warn("embedded store killed", "reason=\"it did not stop within %d s\" dir=%s",
             STOP_MS / 1000, embedded->home.dir);
    kill(embedded->pid, SIGKILL);
    while (!reap(embedded, &status))
        pause_briefly(embedded);
}

void embedded_stop(struct embedded *embedded)
{
    if (!embedded)
        return;
    stop_child(embedded);
    if (embedded->ended)
        event_free(embedded->ended);
    if (embedded->restart)
        event_free(embedded->restart);
    embedded_home_close(&embedded->home);
    free(embedded);
}
