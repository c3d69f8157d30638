/*
 * A worker from its opening to its end, and the threads of those beside the first.
 *
 * Everything is made and freed in the main thread; in between, all that a worker has belongs to its
 * own thread. A mailbox is an eventfd and two atomics: the main thread writes them and rings, the
 * worker reads them in its event loop.
 */
#define _GNU_SOURCE
#include "workers.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "batch/batch.h"
#include "command/command.h"
#include "log.h"
#include "net/front.h"
#include "net/listen.h"
#include "store/store.h"

#define WORKERS_MAX   64
#define DRAIN_SECONDS 5

enum worker_order { ORDER_NONE, ORDER_DRAIN, ORDER_END };

/* What one worker is made with. */
struct worker_setup {
    struct workers *all;
    struct config *config;
    const struct config_store *store;
    int sockets[LISTEN_SOCKETS];
    size_t n_sockets;
};

/* ---- In the worker's thread ------------------------------------------------------------------ */

static void on_store_changed(void *arg, bool ready)
{
    struct worker *worker = arg;
    struct workers *all = worker->all;
    assert(worker->store_ready != ready);
    atomic_store(&worker->store_ready, ready);
    if (ready && !worker->was_ready) {
        char where[LISTEN_ADDRESS_BYTES];
        worker->was_ready = true;
        if (atomic_fetch_add(&all->ready, 1) + 1 == all->n)
            log_info("ration ready", "resp=%s store=%s",
                     listen_address(worker->config, all->port, where), all->store_url);
    }
    batch_store_changed(worker->batcher);
}

static void on_drained(void *arg)
{
    struct worker *worker = arg;
    event_base_loopbreak(worker->base);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    (void)fd, (void)what;
    log_warn("clients are cut off", "connections=%zu reason=\"they did not finish in %d s\"",
             atomic_load(&worker->connections), DRAIN_SECONDS);
    event_base_loopbreak(worker->base);
}

static void worker_drain(struct worker *worker)
{
    static const struct timeval patience = {DRAIN_SECONDS, 0};
    if (worker->draining)
        return;
    assert(worker->front != NULL && worker->store != NULL);
    worker->draining = true;
    event_add(worker->drain_timer, &patience);
    front_drain(worker->front, on_drained, worker);
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    uint64_t rings;
    (void)what;
    ssize_t ignored = read(fd, &rings, sizeof rings);
    (void)ignored;
    struct config *config = atomic_exchange(&worker->next_config, NULL);
    if (config != NULL && !worker_config_set(worker, config))
        log_error("out of memory", "what=reload kept=\"the configuration before\"");
    int order = atomic_load(&worker->order);
    if (order == ORDER_END)
        event_base_loopbreak(worker->base);
    else if (order == ORDER_DRAIN)
        worker_drain(worker);
}

static void *run(void *arg)
{
    struct worker *worker = arg;
    event_base_dispatch(worker->base);
    return NULL;
}

/* ---- One worker ------------------------------------------------------------------------------ */

/* Interest in a socket that is added and removed within one turn of the loop costs no system
 * call. */
struct event_base *worker_base_new(void)
{
    struct event_config *how = event_config_new();
    if (how == NULL)
        return NULL;
    event_config_set_flag(how, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(how);
    event_config_free(how);
    return base;
}

/* Takes the sockets. worker_close is due whatever this returns. */
static int worker_open(struct worker *worker, const struct worker_setup *setup, char *errmsg,
                       size_t size)
{
    snprintf(errmsg, size, "out of memory");
    worker->all = setup->all;
    if (!worker_config_set(worker, config_ref(setup->config)))
        return -1;
    worker->front = front_new(worker, setup->sockets, setup->n_sockets, command_run);
    worker->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->front == NULL || worker->bell < 0)
        return -1;
    worker->bell_event =
        event_new(worker->base, worker->bell, EV_READ | EV_PERSIST, on_bell, worker);
    worker->drain_timer = event_new(worker->base, -1, 0, on_drain_timeout, worker);
    if (worker->bell_event == NULL || worker->drain_timer == NULL ||
        event_add(worker->bell_event, NULL) != 0)
        return -1;
    worker->store = store_new(worker->base, setup->store, on_store_changed, worker);
    if (worker->store != NULL)
        worker->batcher = batcher_new(worker->base, worker->store, setup->store->timeout_ms);
    return worker->batcher != NULL ? 0 : -1;
}

/* The store first, so that each operation still under way is answered before its connection
 * goes. */
static void worker_close(struct worker *worker)
{
    store_free(worker->store);
    worker->store = NULL;
    batcher_free(worker->batcher);
    cmd_audit_end(worker);
    front_free(worker->front);
    if (worker->bell_event != NULL)
        event_free(worker->bell_event);
    if (worker->drain_timer != NULL)
        event_free(worker->drain_timer);
    if (worker->bell >= 0)
        close(worker->bell);
    worker_config_set(worker, NULL);
    config_unref(atomic_load(&worker->next_config));
}

/* ---- All of them ----------------------------------------------------------------------------- */

static size_t count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = config->threads > 0 ? config->threads : cores > 0 ? (size_t)cores : 1;
    return n < WORKERS_MAX ? n : WORKERS_MAX;
}

/* Each worker has its own socket at the address. Paths have no SO_REUSEPORT, so all share the first
 * worker's socket there, and whoever is faster accepts. */
static int open_sockets(struct workers *workers, bool first, const struct config_listen *where,
                        struct worker_setup *setup, char *errmsg, size_t size)
{
    int path = first ? -1 : setup->sockets[1];
    setup->n_sockets = 0;
    int fd = listen_tcp(where, first ? where->resp_port : workers->port, workers->n > 1, first,
                        errmsg, size);
    if (fd < 0)
        return -1;
    setup->sockets[setup->n_sockets++] = fd;
    if (first)
        workers->port = listen_port(fd);
    if (where->unix_path == NULL)
        return 0;
    path = first ? listen_path(where->unix_path, errmsg, size) : fcntl(path, F_DUPFD_CLOEXEC, 0);
    if (path < 0) {
        if (!first)
            snprintf(errmsg, size, "the socket of listen.unix cannot be shared: %s",
                     strerror(errno));
        close(fd);
        return -1;
    }
    workers->own_path = where->unix_path;
    setup->sockets[setup->n_sockets++] = path;
    return 0;
}

static int open_each(struct workers *workers, const struct workers_setup *given, char *errmsg,
                     size_t size)
{
    struct worker_setup setup = {.all = workers, .config = given->config, .store = given->store};
    for (size_t i = 0; i < workers->n; i++) {
        workers->list[i].base = i == 0 ? given->base : worker_base_new();
        if (workers->list[i].base == NULL) {
            snprintf(errmsg, size, "out of memory");
            return -1;
        }
        if (open_sockets(workers, i == 0, &given->config->listen, &setup, errmsg, size) != 0 ||
            worker_open(&workers->list[i], &setup, errmsg, size) != 0)
            return -1;
    }
    return 0;
}

/* Signals belong to the main thread: the others start with all of them blocked. */
static int start_threads(struct workers *workers)
{
    sigset_t all, before;
    int err = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 1; i < workers->n && err == 0; i++) {
        struct worker *worker = &workers->list[i];
        err = pthread_create(&worker->thread, NULL, run, worker);
        worker->has_thread = err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err == 0 ? 0 : -1;
}

int workers_open(struct workers *workers, const struct workers_setup *setup, char *errmsg,
                 size_t size)
{
    char where[LISTEN_ADDRESS_BYTES];
    size_t n = count(setup->config);
    memset(workers, 0, sizeof *workers);
    workers->config_path = setup->config_path;
    workers->started_ms = setup->started_ms;
    workers->store_url = setup->store->url;
    workers->list = calloc(n, sizeof *workers->list);
    if (workers->list == NULL) {
        snprintf(errmsg, size, "out of memory");
        return -1;
    }
    workers->n = n;
    for (size_t i = 0; i < n; i++)
        workers->list[i].bell = -1;
    if (open_each(workers, setup, errmsg, size) != 0)
        return -1;
    log_info("listening", "resp=%s", listen_address(setup->config, workers->port, where));
    if (workers->own_path != NULL)
        log_info("listening", "unix=%s", workers->own_path);
    if (start_threads(workers) == 0)
        return 0;
    snprintf(errmsg, size, "threads cannot be started; lower \"threads\"");
    return -1;
}

static void ring(struct worker *worker)
{
    static const uint64_t one = 1;
    ssize_t ignored = write(worker->bell, &one, sizeof one);
    (void)ignored; /* a full eventfd has already been rung */
}

void workers_reload(struct workers *workers, struct config *config)
{
    for (size_t i = 0; i < workers->n; i++) {
        config_unref(atomic_exchange(&workers->list[i].next_config, config_ref(config)));
        ring(&workers->list[i]);
    }
}

static void remove_path(struct workers *workers)
{
    if (workers->own_path != NULL)
        unlink(workers->own_path);
    workers->own_path = NULL;
}

void workers_drain(struct workers *workers, bool at_once)
{
    remove_path(workers);
    for (size_t i = 0; i < workers->n; i++) {
        int none = ORDER_NONE;
        if (at_once)
            atomic_store(&workers->list[i].order, ORDER_END);
        else
            atomic_compare_exchange_strong(&workers->list[i].order, &none, ORDER_DRAIN);
        ring(&workers->list[i]);
    }
}

void workers_close(struct workers *workers)
{
    remove_path(workers);
    for (size_t i = 0; i < workers->n; i++)
        if (workers->list[i].has_thread)
            pthread_join(workers->list[i].thread, NULL);
    for (size_t i = 0; i < workers->n; i++)
        worker_close(&workers->list[i]);
    for (size_t i = 1; i < workers->n; i++)
        if (workers->list[i].base != NULL)
            event_base_free(workers->list[i].base);
    free(workers->list);
    memset(workers, 0, sizeof *workers);
}
