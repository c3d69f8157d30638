/*
 * What a run needs before its loop, and its end. All memory is allocated here, at once: the loop
 * allocates none, and what is not touched (the buffers of idle connections) costs nothing.
 */
#include "tool/bench/run.h"
#include "tool/say.h"

#include "clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static bool watch(struct bench_run *run, int fd, void *ptr, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};
    return fd >= 0 && epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_loop_fds(struct bench_run *run)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->epoll_fd >= 0 && watch(run, run->timer_fd, &run->timer_fd, EPOLLIN | EPOLLET) &&
           watch(run, run->signal_fd, &run->signal_fd, EPOLLIN);
}

static bool make_connections(struct bench_run *run)
{
    const struct bench_options *o = run->options;
    size_t loaded = (size_t)o->connections;
    size_t idle = (size_t)o->idle;
    size_t places = loaded * (size_t)o->pipeline + idle;
    run->n_conns = loaded + idle;
    run->loaded = loaded;
    run->conns = calloc(run->n_conns, sizeof(*run->conns));
    run->items = calloc(places, sizeof(*run->items));
    run->memory = calloc(places * BENCH_REQUEST_BYTES + run->n_conns * BENCH_REPLY_BYTES, 1);
    if (!run->conns || !run->items || !run->memory)
        return false;
    char *memory = run->memory;
    struct bench_item *items = run->items;
    for (size_t i = 0; i < run->n_conns; i++) {
        struct bench_conn *conn = &run->conns[i];
        *conn = (struct bench_conn){.run = run, .fd = -1, .idle = i >= loaded};
        conn->depth = conn->idle ? 1 : (uint32_t)o->pipeline;
        conn->items = items;
        conn->out = memory;
        conn->rest = memory + (size_t)conn->depth * BENCH_REQUEST_BYTES;
        items += conn->depth;
        memory = conn->rest + BENCH_REPLY_BYTES;
    }
    return true;
}

static void close_run(struct bench_run *run)
{
    for (size_t i = 0; run->conns && i < run->n_conns; i++) {
        if (run->conns[i].fd >= 0)
            close(run->conns[i].fd);
    }
    const int fds[] = {run->epoll_fd, run->timer_fd, run->signal_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(run->memory);
    free(run->items);
    free(run->conns);
    free(run);
}

/* Reservations of --reserve outlive the run: the longest life if its length is not known. */
static int64_t reserve_ttl_ms(const struct bench_options *o)
{
    double ttl_ms = (o->warmup_s + o->duration_s + 60) * 1000;
    if (o->requests > 0 || ttl_ms > RATION_MAX_TTL_MS)
        return RATION_MAX_TTL_MS;
    return (int64_t)ttl_ms > o->ttl_ms ? (int64_t)ttl_ms : o->ttl_ms;
}

static bool authenticate(struct bench_run *run)
{
    const char *user = getenv("RATION_TENANT");
    char secret[RATION_MAX_SECRET_BYTES + 1];
    if (session_secret(run->options->session, secret, sizeof(secret)) != EXIT_GRANTED)
        return false;
    if (user && (!user[0] || strcmp(user, "default") == 0))
        user = NULL;
    int64_t now_us = clock_us();
    for (size_t i = 0; secret[0] && i < run->n_conns; i++) {
        bench_conn_auth(&run->conns[i], user, secret, now_us);
        bench_conn_flush(&run->conns[i]);
    }
    explicit_bzero(secret, sizeof(secret));
    return true;
}

bool bench_run(const struct bench_options *options, struct bench_result *result)
{
    struct bench_run *run = calloc(1, sizeof(*run));
    if (!run)
        return say("out of memory");
    run->options = options;
    run->result = result;
    run->epoll_fd = run->timer_fd = run->signal_fd = -1;
    run->armed_us = -1;
    run->end_us = INT64_MAX;
    bench_draw_init(&run->draw, (uint64_t)options->seed, (uint32_t)options->tenants, options->zipf);
    const char *tenant = options->tenants > 1 ? NULL : options->tenant;
    bool ok = bench_forms_init(&run->forms, options->pool, tenant, options->tokens, options->used,
                               options->ttl_ms) &&
              bench_forms_init(&run->reserve_forms, options->pool, tenant, options->tokens, 0,
                               reserve_ttl_ms(options));
    if (!ok)
        say("--pool and --tenant take names of 1 - %d bytes", RATION_MAX_POOL_BYTES);
    else if (!make_connections(run) || !open_loop_fds(run))
        say("%s", strerror(errno));
    else if (bench_open(run) && authenticate(run)) {
        bench_run_loop(run);
        close_run(run);
        return true;
    }
    close_run(run);
    return false;
}
