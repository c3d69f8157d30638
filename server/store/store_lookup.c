/*
 * Names to addresses, off the event loop.
 *
 * Only getaddrinfo resolves a name the way the host's administrator intended, and it blocks, for
 * many seconds if DNS is away. libevent's own resolver does not block, but it ignores nsswitch.conf
 * and changes of resolv.conf. So each lookup runs in a short-lived thread. Thread and loop share
 * one reference-counted job: a lookup that nobody waits for any more (store freed) is left to end
 * by itself, and the last of the two frees the job.
 */
#include "store/store_lookup.h"

#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Written by the thread until it writes to `done`, read by the loop after that. */
struct job {
    atomic_int refs;
    int done; /* an eventfd */
    char *host;
    char addresses[LOOKUP_ADDRESSES][LOOKUP_TEXT];
    size_t n;
    char problem[128];
};

struct store_lookup {
    struct job *job;
    struct event *event;
    store_lookup_fn *on_done;
    void *arg;
};

static void job_unref(struct job *job)
{
    if (atomic_fetch_sub(&job->refs, 1) != 1)
        return;
    if (job->done >= 0)
        close(job->done);
    free(job->host);
    free(job);
}

static struct job *job_new(const char *host)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    atomic_init(&job->refs, 1);
    job->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->host = strdup(host);
    if (job->done < 0 || !job->host) {
        job_unref(job);
        return NULL;
    }
    return job;
}

static void look_up(struct job *job)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int err = getaddrinfo(job->host, NULL, &hints, &found);
    if (err) {
        snprintf(job->problem, sizeof job->problem, "%s", gai_strerror(err));
        return;
    }
    for (struct addrinfo *a = found; a && job->n < LOOKUP_ADDRESSES; a = a->ai_next)
        if (!getnameinfo(a->ai_addr, a->ai_addrlen, job->addresses[job->n], LOOKUP_TEXT, NULL, 0,
                         NI_NUMERICHOST))
            job->n++;
    freeaddrinfo(found);
    if (!job->n)
        snprintf(job->problem, sizeof job->problem, "the name has no address");
}

static void *lookup_thread(void *arg)
{
    struct job *job = arg;
    look_up(job);
    uint64_t one = 1;
    /* Adding 1 to an eventfd at 0 cannot fail. */
    ssize_t ignored = write(job->done, &one, sizeof one);
    (void)ignored;
    job_unref(job);
    return NULL;
}

/* Signals belong to the threads that asked for them, not to a short-lived one. */
static int thread_start(struct job *job)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attr))
        return -1;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&job->refs, 1);
    int err = pthread_create(&thread, &attr, lookup_thread, job);
    if (err)
        atomic_fetch_sub(&job->refs, 1); /* never the last reference: the caller has its own */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err ? -1 : 0;
}

static void on_looked_up(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct store_lookup *lookup = arg;
    struct job *job = lookup->job;
    uint64_t count = 0;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
    store_lookup_fn *on_done = lookup->on_done;
    void *on_done_arg = lookup->arg;
    event_free(lookup->event);
    free(lookup);
    on_done(on_done_arg, (const char(*)[LOOKUP_TEXT])job->addresses, job->n, job->problem);
    job_unref(job);
}

bool store_lookup_is_numeric(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found))
        return false;
    freeaddrinfo(found);
    return true;
}

struct store_lookup *store_lookup_start(struct event_base *base, const char *host,
                                        store_lookup_fn *on_done, void *arg)
{
    struct store_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    lookup->on_done = on_done;
    lookup->arg = arg;
    lookup->job = job_new(host);
    if (!lookup->job)
        goto err_after_lookup;
    lookup->event = event_new(base, lookup->job->done, EV_READ, on_looked_up, lookup);
    if (!lookup->event || event_add(lookup->event, NULL))
        goto err_after_job;
    if (thread_start(lookup->job))
        goto err_after_job;
    return lookup;

err_after_job:
    if (lookup->event)
        event_free(lookup->event);
    job_unref(lookup->job);
err_after_lookup:
    free(lookup);
    return NULL;
}

void store_lookup_cancel(struct store_lookup *lookup)
{
    if (!lookup)
        return;
    event_free(lookup->event);
    job_unref(lookup->job);
    free(lookup);
}
