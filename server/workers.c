/*
 * Threads for the workers beside the first.
 *
 * Everything is made and freed in the main thread; in between a worker's things belong to its thread alone. A mailbox is
 * an eventfd and two atomics: the main thread writes them and rings, the worker reads them in its event loop.
 */
#define _GNU_SOURCE
#include "workers.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "batch/batch.h"
#include "command/command.h"
#include "net/front.h"
#include "log.h"
#include "store/store.h"

#define DRAIN_SECONDS 5

enum crew_word { WORD_NONE, WORD_DRAIN, WORD_END };

struct crew_member {
    struct worker worker;
    pthread_t thread;
    bool runs;
    int bell; /* eventfd; -1: none */
    struct event *bell_event, *drain_timer;
    _Atomic(struct config *) config; /* a reference for the worker to take, or NULL */
    _Atomic int word;                /* enum crew_word */
};

/* ---- In the worker's thread ----------------------------------------------------------------------------------- */

void crew_store_changed(struct worker *worker, bool ready)
{
    struct crew *crew = worker->crew;
    atomic_store(&worker->store_ready, ready);
    if (ready && !worker->was_ready) {
        worker->was_ready = true;
        if (atomic_fetch_add(&crew->ready, 1) + 1 == crew->n)
            crew->on_ready(crew->on_ready_arg);
    }
    batch_store_changed(worker->batcher);
}

static void on_store_changed(void *arg, bool ready)
{
    crew_store_changed(arg, ready);
}

static void on_drained(void *arg)
{
    struct worker *worker = arg;
    event_base_loopbreak(worker->base);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    on_drained(arg);
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval patience = {DRAIN_SECONDS, 0};
    struct crew_member *member = arg;
    struct worker *worker = &member->worker;
    uint64_t rings;
    (void)what;
    ssize_t ignored = read(fd, &rings, sizeof rings);
    (void)ignored;
    struct config *config = atomic_exchange(&member->config, NULL);
    if (config)
        worker_config_set(worker, config);
    int word = atomic_load(&member->word);
    if (word == WORD_END) {
        event_base_loopbreak(worker->base);
    } else if (word == WORD_DRAIN && !worker->draining) {
        worker->draining = true;
        event_add(member->drain_timer, &patience);
        front_drain(worker->front, on_drained, worker);
    }
}

static void *run(void *arg)
{
    struct crew_member *member = arg;
    event_base_dispatch(member->worker.base);
    return NULL;
}

/* ---- In the main thread --------------------------------------------------------------------------------------- */

/* Members there are; none before crew_start() and after crew_stop(). */
static size_t threads(const struct crew *crew)
{
    return crew->members ? crew->n - 1 : 0;
}

static void ring(struct crew_member *member)
{
    static const uint64_t one = 1;
    ssize_t ignored = write(member->bell, &one, sizeof one);
    (void)ignored; /* an eventfd that is full has been rung */
}

size_t crew_size(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = config->threads > 0 ? config->threads : cores > 0 ? (size_t)cores : 1;
    return n < CREW_MAX ? n : CREW_MAX;
}

static int make_member(struct crew_member *member, struct crew *crew, const struct crew_plan *plan,
                       char *errmsg, size_t cap)
{
    struct worker *worker = &member->worker;
    snprintf(errmsg, cap, "out of memory");
    worker->config = config_ref(crew->workers[0]->config);
    worker->config_path = plan->config_path;
    worker->started_ms = plan->started_ms;
    worker->crew = crew;
    member->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->base = crew_base_new();
    if (member->bell < 0 || !worker->base)
        return -1;
    member->bell_event =
        event_new(worker->base, member->bell, EV_READ | EV_PERSIST, on_bell, member);
    member->drain_timer = event_new(worker->base, -1, 0, on_drain_timeout, worker);
    if (!member->bell_event || !member->drain_timer || event_add(member->bell_event, NULL) != 0)
        return -1;
    worker->store = store_new(worker->base, plan->store, on_store_changed, worker);
    if (worker->store)
        worker->batcher = batcher_new(worker->base, worker->store, plan->store->timeout_ms);
    if (!worker->batcher)
        return -1;
    return front_new(worker, &worker->front, errmsg, cap);
}

static void free_member(struct crew_member *member)
{
    struct worker *worker = &member->worker;
    store_free(worker->store);
    worker->store = NULL;
    batcher_free(worker->batcher);
    cmd_audit_end(worker);
    front_free(worker->front);
    if (member->bell_event)
        event_free(member->bell_event);
    if (member->drain_timer)
        event_free(member->drain_timer);
    if (worker->base)
        event_base_free(worker->base);
    if (member->bell >= 0)
        close(member->bell);
    worker_config_set(worker, NULL);
    config_unref(atomic_load(&member->config));
}

/* Signals are the main thread's: the others are started with all of them blocked. */
static int start_threads(struct crew *crew)
{
    sigset_t all, before;
    int err = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i + 1 < crew->n && err == 0; i++) {
        err = pthread_create(&crew->members[i].thread, NULL, run, &crew->members[i]);
        crew->members[i].runs = err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err == 0 ? 0 : -1;
}

int crew_start(struct crew *crew, struct worker *first, const struct crew_plan *plan, char *errmsg,
               size_t errmsg_cap)
{
    crew->n = plan->n;
    crew->workers[0] = first;
    if (plan->n == 1)
        return 0;
    crew->members = calloc(plan->n - 1, sizeof *crew->members);
    if (!crew->members) {
        crew->n = 1;
        snprintf(errmsg, errmsg_cap, "out of memory");
        return -1;
    }
    for (size_t i = 0; i + 1 < plan->n; i++) {
        crew->members[i].bell = -1;
        crew->workers[i + 1] = &crew->members[i].worker;
    }
    for (size_t i = 0; i + 1 < plan->n; i++)
        if (make_member(&crew->members[i], crew, plan, errmsg, errmsg_cap) != 0)
            return -1;
    if (start_threads(crew) == 0)
        return 0;
    snprintf(errmsg, errmsg_cap, "threads cannot be started; set \"threads\" to fewer");
    return -1;
}

void crew_reload(struct crew *crew, struct config *config)
{
    for (size_t i = 0; i < threads(crew); i++) {
        struct crew_member *member = &crew->members[i];
        config_unref(atomic_exchange(&member->config, config_ref(config)));
        ring(member);
    }
}

void crew_drain(struct crew *crew, bool at_once)
{
    for (size_t i = 0; i < threads(crew); i++) {
        int none = WORD_NONE;
        if (at_once)
            atomic_store(&crew->members[i].word, WORD_END);
        else
            atomic_compare_exchange_strong(&crew->members[i].word, &none, WORD_DRAIN);
        ring(&crew->members[i]);
    }
}

void crew_stop(struct crew *crew)
{
    for (size_t i = 0; i < threads(crew); i++)
        if (crew->members[i].runs)
            pthread_join(crew->members[i].thread, NULL);
    for (size_t i = 0; i < threads(crew); i++)
        free_member(&crew->members[i]);
    free(crew->members);
    crew->members = NULL;
    crew->n = crew->n > 0 ? 1 : 0;
}
