/*
 * One host of a replay: threads that take requests off the trace when they are due and make the
 * calls.
 *
 * Normal path: the threads share an index into the trace under one mutex; one of them takes the
 * next request of this host, waits until it is due, and calls. When all threads are busy, requests
 * are taken up late rather than left out, as in a real host's queue. The main thread only writes
 * snapshots and waits for signals.
 *
 * How it ends: the trace or the duration is over, or a signal asked to stop. Then no more requests
 * are taken up, those in flight are finished, and the last snapshot says done. If the parent dies,
 * the host gets the same signal.
 */
#include "tool/replay/replay.h"

#include "clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SNAPSHOT_MS 500

struct host {
    const struct replay *replay;
    size_t index;
    char servers[2048];    /* rotated, so that hosts start at different ones */
    pthread_mutex_t mutex; /* over everything below */
    pthread_cond_t turn;   /* a thread may take a request, or all must stop */
    size_t next;           /* index into the trace */
    bool waiting;          /* a thread waits for the next request's time */
    bool stop;
    size_t running; /* threads that have not ended */
    struct replay_snapshot count;
};

struct thread {
    struct host *host;
    size_t number; /* in its host */
    pthread_t id;
};

/* "a,b,c" from its n-th entry on: "b,c,a". A list that does not fit stays as it is. */
static void rotate_servers(const char *servers, size_t n, char *out, size_t size)
{
    size_t entries = 1;
    for (const char *s = servers; *s; s++)
        entries += *s == ',';
    const char *from = servers;
    for (size_t i = 0; i < n % entries; i++)
        from = strchr(from, ',') + 1;
    int len = from == servers
                  ? snprintf(out, size, "%s", servers)
                  : snprintf(out, size, "%s,%.*s", from, (int)(from - servers - 1), servers);
    if (len < 0 || (size_t)len >= size)
        out[0] = '\0';
}

/* ---- Taking requests ---- */

int64_t replay_due_ms(const struct replay *replay, size_t n)
{
    double at_ms = (double)replay->trace.rows[n].at_us / 1000.0;
    double warm_up_ms = replay->warm_up_s * 1000;
    double passed_ms = warm_up_ms * replay->warm_up_speed; /* of the trace, when it is warm */
    double due = at_ms < passed_ms ? at_ms / replay->warm_up_speed
                                   : warm_up_ms + (at_ms - passed_ms) / replay->speed;
    return replay->start_ms + (int64_t)due;
}

static bool is_over(const struct host *host)
{
    const struct replay *replay = host->replay;
    if (host->stop || host->next >= replay->trace.n)
        return true;
    int64_t end_ms = replay->start_ms + (int64_t)(replay->duration_s * 1000);
    return replay->duration_s > 0 &&
           (replay_due_ms(replay, host->next) >= end_ms || clock_ms() >= end_ms);
}

/* Takes the next request when it is due. False: there are no more. */
static bool take_request(struct host *host, size_t *n)
{
    pthread_mutex_lock(&host->mutex);
    while (!is_over(host)) {
        int64_t due = replay_due_ms(host->replay, host->next);
        int64_t now = clock_ms();
        if (now >= due) {
            *n = host->next;
            host->next += (size_t)host->replay->hosts;
            host->count.late_ms = (uint64_t)(now - due);
            if (host->count.late_ms > host->count.most_late_ms)
                host->count.most_late_ms = host->count.late_ms;
            host->count.group[host->replay->tenants[replay_tenant_of(host->replay, *n)].group]
                .arrivals++;
            pthread_cond_signal(&host->turn);
            pthread_mutex_unlock(&host->mutex);
            return true;
        }
        struct timespec until = {.tv_sec = (time_t)(due / 1000),
                                 .tv_nsec = (long)(due % 1000) * 1000000};
        if (host->waiting) { /* one waits for the time, the others for their turn */
            pthread_cond_wait(&host->turn, &host->mutex);
        } else {
            host->waiting = true;
            pthread_cond_timedwait(&host->turn, &host->mutex, &until);
            host->waiting = false;
        }
    }
    pthread_cond_broadcast(&host->turn);
    pthread_mutex_unlock(&host->mutex);
    return false;
}

/* ---- Calling ---- */

static void note_error(struct host *host, const char *text)
{
    if (!host->count.error[0])
        snprintf(host->count.error, sizeof(host->count.error), "%s", text);
}

static void count_call(struct host *host, size_t group, const struct replay_outcome *outcome)
{
    pthread_mutex_lock(&host->mutex);
    struct replay_count *count = &host->count.group[group];
    count->granted += outcome->how == REPLAY_ANSWERED;
    count->denied += outcome->how == REPLAY_GIVEN_UP;
    count->errors += outcome->how == REPLAY_FAILED;
    count->tries += outcome->tries;
    count->status_429 += outcome->status_429;
    count->tokens += (uint64_t)outcome->tokens;
    if (outcome->how == REPLAY_FAILED)
        note_error(host, outcome->why);
    pthread_mutex_unlock(&host->mutex);
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct host *host = thread->host;
    const struct replay *replay = host->replay;
    struct replay_caller *caller = replay_caller_new(
        replay, host->servers[0] ? host->servers : NULL, (host->index << 16) + thread->number);
    size_t n = 0;
    if (caller) {
        struct replay_outcome outcome;
        while (take_request(host, &n)) {
            replay_make_call(caller, n, &outcome);
            count_call(host, replay->tenants[replay_tenant_of(replay, n)].group, &outcome);
        }
        replay_caller_free(caller);
    } else {
        pthread_mutex_lock(&host->mutex);
        note_error(host, "a handle could not be opened");
        host->count.group[0].errors++;
        pthread_mutex_unlock(&host->mutex);
    }
    pthread_mutex_lock(&host->mutex);
    host->running--;
    pthread_mutex_unlock(&host->mutex);
    kill(getpid(), SIGUSR1); /* wakes the main thread: this thread may have been the last */
    return NULL;
}

/* ---- The process ---- */

/* Gives how many have started. */
static size_t start_threads(struct host *host, struct thread *threads)
{
    pthread_mutex_lock(&host->mutex); /* none ends before all are counted */
    while (host->running < (size_t)host->replay->threads) {
        struct thread *thread = &threads[host->running];
        *thread = (struct thread){.host = host, .number = host->running};
        if (pthread_create(&thread->id, NULL, thread_main, thread) != 0) {
            note_error(host, "not all threads could be started; use fewer --threads");
            break;
        }
        host->running++;
    }
    size_t started = host->running;
    pthread_mutex_unlock(&host->mutex);
    return started;
}

/* Writes a snapshot. False: the parent no longer reads. */
static bool send_snapshot(struct host *host, int pipe_fd, bool done)
{
    struct replay_snapshot copy;
    pthread_mutex_lock(&host->mutex);
    host->count.done = done;
    copy = host->count;
    pthread_mutex_unlock(&host->mutex);
    return write(pipe_fd, &copy, sizeof(copy)) == (ssize_t)sizeof(copy);
}

static void stop_host(struct host *host)
{
    pthread_mutex_lock(&host->mutex);
    host->stop = true;
    pthread_cond_broadcast(&host->turn);
    pthread_mutex_unlock(&host->mutex);
}

static bool is_running(struct host *host)
{
    pthread_mutex_lock(&host->mutex);
    bool running = host->running > 0;
    pthread_mutex_unlock(&host->mutex);
    return running;
}

static void init_host(struct host *host, const struct replay *replay, size_t index)
{
    memset(host, 0, sizeof(*host));
    host->replay = replay;
    host->index = index;
    host->next = index;
    rotate_servers(session_servers(replay->session), index, host->servers, sizeof(host->servers));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&host->turn, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&host->mutex, NULL);
}

_Noreturn void replay_host_main(const struct replay *replay, size_t index, int pipe_fd,
                                const sigset_t *signals)
{
    static struct host host;
    static struct thread threads[REPLAY_MAX_THREADS];
    sigset_t wake = *signals;
    sigaddset(&wake, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wake, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    init_host(&host, replay, index);
    size_t started = start_threads(&host, threads);
    int64_t next_ms = clock_ms() + SNAPSHOT_MS;
    while (is_running(&host)) {
        int64_t left = next_ms - clock_ms();
        if (left <= 0) {
            if (!send_snapshot(&host, pipe_fd, false))
                stop_host(&host);
            next_ms += SNAPSHOT_MS;
            continue;
        }
        struct timespec ts = {.tv_sec = (time_t)(left / 1000),
                              .tv_nsec = (long)(left % 1000) * 1000000};
        int sig = sigtimedwait(&wake, NULL, &ts);
        if (sig > 0 && sig != SIGUSR1)
            stop_host(&host);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i].id, NULL);
    bool sent = send_snapshot(&host, pipe_fd, true);
    close(pipe_fd);
    exit(sent ? 0 : 1);
}
