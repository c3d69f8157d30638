/*
 * getaddrinfo() has no deadline: with a DNS server that does not answer it blocks for tens of
 * seconds, which would break the promise that no call blocks beyond its deadline. So names (not IP
 * addresses) are looked up in a thread of their own, and the caller waits for it as long as it has
 * time.
 *
 * Normal path: caller and thread share one struct lookup; the thread fills it and signals; the
 * caller takes the result. Failure: the caller's deadline passes first. It lets go of the struct,
 * and the thread, once getaddrinfo() returns, frees both the struct and its result. Whoever lets go
 * last frees: `holders` counts them.
 */
#include "wire/resolve.h"

#include "wire/addr.h"
#include "clock.h"

#include <ration/ration.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    pthread_mutex_t mutex; /* over everything below */
    pthread_cond_t done_cond;
    int holders; /* caller and thread */
    bool done;
    int status; /* of getaddrinfo */
    struct addrinfo *found;
    char host[ADDR_HOST_BYTES];
    char port[8];
};

static int look_up(const char *host, const char *port, int flags, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    hints.ai_flags = AI_NUMERICSERV | flags;
    return getaddrinfo(host, port, &hints, out);
}

static struct lookup *lookup_new(const char *host, const char *port)
{
    struct lookup *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&l->mutex, NULL);
    l->holders = 1;
    snprintf(l->host, sizeof(l->host), "%s", host);
    snprintf(l->port, sizeof(l->port), "%s", port);
    return l;
}

/* Called with the mutex held, which it gives up. */
static void lookup_release(struct lookup *l)
{
    bool last = --l->holders == 0;
    pthread_mutex_unlock(&l->mutex);
    if (!last)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    pthread_cond_destroy(&l->done_cond);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static void *lookup_main(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo *found = NULL;
    int status = look_up(l->host, l->port, 0, &found);
    pthread_mutex_lock(&l->mutex);
    l->status = status;
    l->found = status == 0 ? found : NULL;
    l->done = true;
    pthread_cond_signal(&l->done_cond);
    lookup_release(l);
    return NULL;
}

static int lookup_start(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attr) != 0)
        return RATION_ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* The program's signals are not for a thread that it does not know. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->holders++;
    int failed = pthread_create(&thread, &attr, lookup_main, l);
    if (failed)
        l->holders--;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return failed ? RATION_ENOMEM : 0;
}

static int lookup_wait(struct lookup *l, int64_t deadline_ms, struct addrinfo **out,
                       const char **why)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int timed_out = 0;
    while (!l->done && !timed_out)
        timed_out = pthread_cond_timedwait(&l->done_cond, &l->mutex, &until);
    if (!l->done)
        return RATION_ETIMEOUT;
    if (l->status != 0) {
        *why = gai_strerror(l->status);
        return l->status == EAI_MEMORY ? RATION_ENOMEM : RATION_ECONNECT;
    }
    *out = l->found;
    l->found = NULL;
    return 0;
}

int resolve(const char *host, uint16_t port, int64_t deadline_ms, struct addrinfo **out,
            const char **why)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int status = look_up(host, service, AI_NUMERICHOST, out);
    if (status == 0)
        return 0;
    if (status == EAI_MEMORY)
        return RATION_ENOMEM;

    struct lookup *l = lookup_new(host, service);
    if (!l)
        return RATION_ENOMEM;
    pthread_mutex_lock(&l->mutex);
    int err = lookup_start(l);
    if (err == 0)
        err = lookup_wait(l, deadline_ms, out, why);
    lookup_release(l);
    return err;
}
