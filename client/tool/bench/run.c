/*
 * The loop. In a closed loop each connection keeps `pipeline` requests in flight: an answer begins
 * the next. In an open loop (--rate) a schedule says when each request is due, whether or not
 * earlier ones were answered. A request that is due goes to the connection that has had room for
 * the longest time; while none has room it stays in the schedule. Its latency counts from when it
 * was due, so the wait is part of it, and the queue needs no memory: it is the time between due_us
 * and now.
 *
 * How it ends: the time or the number is reached and everything begun has been answered. What is
 * not answered within the time-out after that is given up, as is what was still queued: errors,
 * with the latency they had until then. SIGINT ends the measuring early and prints as always; a
 * second one gives up at once. When no connection is left, the run ends.
 */
#include "tool/bench/run.h"

#include "tool/progress_line.h"
#include "tool/say.h"

#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS    64
#define SECOND_US INT64_C(1000000)

static bool is_open_loop(const struct bench_run *run)
{
    return run->options->rate > 0 && run->phase != BENCH_RESERVE;
}

/* Whether all requests of the run have begun. `at_us` is when the next one would. */
static bool is_all_begun(const struct bench_run *run, double at_us)
{
    uint64_t requests = (uint64_t)run->options->requests;
    return at_us >= (double)run->end_us || (requests > 0 && run->measured_begun >= requests);
}

static void begin(struct bench_run *run, struct bench_conn *conn, int64_t since_us, int64_t now_us)
{
    bool measured = since_us >= run->measure_from_us;
    run->measured_begun += measured;
    if (run->in_flight == 0)
        run->moved_us = now_us;
    bench_conn_begin(conn, BENCH_ITEM_ACQUIRE, since_us, measured);
}

/* ---- Closed loop ---- */

static void fill(struct bench_run *run, struct bench_conn *conn, int64_t now_us)
{
    while (conn->n < conn->depth && !is_all_begun(run, (double)now_us))
        begin(run, conn, now_us, now_us);
}

static void fill_reserve(struct bench_run *run, struct bench_conn *conn, int64_t now_us)
{
    for (; conn->n < conn->depth && run->reserve_begun < (uint64_t)run->options->reserve;
         run->reserve_begun++)
        bench_conn_begin(conn, BENCH_ITEM_RESERVE, now_us, false);
}

/* ---- Open loop ---- */

static void wait_for_due(struct bench_run *run, struct bench_conn *conn)
{
    if (conn->waiting)
        return;
    conn->waiting = true;
    conn->next_waiting = NULL;
    if (run->waiting_last)
        run->waiting_last->next_waiting = conn;
    else
        run->waiting_first = conn;
    run->waiting_last = conn;
}

static struct bench_conn *first_waiting(struct bench_run *run)
{
    struct bench_conn *conn = run->waiting_first;
    run->waiting_first = conn->next_waiting;
    if (!run->waiting_first)
        run->waiting_last = NULL;
    conn->waiting = false;
    return conn;
}

static void plan_next(struct bench_run *run)
{
    double gap_us = (double)SECOND_US / run->options->rate;
    run->due_us += run->options->poisson ? gap_us * bench_draw_gap(&run->draw) : gap_us;
}

static void dispatch(struct bench_run *run, int64_t now_us)
{
    while (run->waiting_first && run->due_us <= (double)now_us && !is_all_begun(run, run->due_us)) {
        struct bench_conn *conn = first_waiting(run);
        if (conn->fd < 0)
            continue;
        int64_t due_us = (int64_t)run->due_us;
        if (due_us >= run->measure_from_us && now_us - due_us > run->result->late_us)
            run->result->late_us = now_us - due_us;
        begin(run, conn, due_us, now_us);
        plan_next(run);
        if (conn->n < conn->depth)
            wait_for_due(run, conn);
        if (!conn->dirty) {
            conn->dirty = true;
            conn->next_dirty = run->dirty_first;
            run->dirty_first = conn;
        }
    }
    while (run->dirty_first) {
        struct bench_conn *conn = run->dirty_first;
        run->dirty_first = conn->next_dirty;
        conn->dirty = false;
        bench_conn_flush(conn);
    }
}

void bench_run_on_room(struct bench_run *run, struct bench_conn *conn, int64_t now_us)
{
    if (run->phase == BENCH_RESERVE)
        fill_reserve(run, conn, now_us);
    else if (is_open_loop(run))
        wait_for_due(run, conn);
    else
        fill(run, conn, now_us);
}

/* ---- Phases ---- */

void bench_run_error(struct bench_run *run, const char *text, size_t n)
{
    if (!run->result->error[0])
        say_printable(text, n, run->result->error, sizeof(run->result->error));
}

/* Fills the connections that have room, at the beginning of a phase. */
static void offer_room(struct bench_run *run, int64_t now_us)
{
    for (size_t i = 0; i < run->n_conns; i++) {
        struct bench_conn *conn = &run->conns[i];
        if (conn->fd < 0 || conn->idle || conn->n == conn->depth)
            continue;
        bench_run_on_room(run, conn, now_us);
        bench_conn_flush(conn);
    }
}

static void start_load(struct bench_run *run, int64_t now_us)
{
    const struct bench_options *o = run->options;
    run->phase = BENCH_WARMUP;
    run->start_us = now_us;
    run->measure_from_us = now_us + (int64_t)llround(o->warmup_s * (double)SECOND_US);
    run->last_answer_us = run->measure_from_us;
    run->end_us = INT64_MAX;
    if (o->requests == 0)
        run->end_us = run->measure_from_us + (int64_t)llround(o->duration_s * (double)SECOND_US);
    run->due_us = (double)now_us;
    offer_room(run, now_us);
}

static void end_reserve(struct bench_run *run, int64_t now_us)
{
    char text[160];
    if (run->result->reserved >= (uint64_t)run->options->reserve) {
        start_load(run, now_us);
        return;
    }
    snprintf(text, sizeof(text),
             "only %llu of %lld reservations were granted: give pool and tenants larger limits",
             (unsigned long long)run->result->reserved, (long long)run->options->reserve);
    bench_run_error(run, text, strlen(text));
    run->result->unmeasured.errors++;
    run->phase = BENCH_DONE;
}

static void give_up(struct bench_run *run, int64_t now_us)
{
    struct bench_result *result = run->result;
    for (size_t i = 0; i < run->n_conns; i++)
        bench_conn_give_up(&run->conns[i], now_us);
    /* Requests that were due and never sent have waited too. */
    for (; is_open_loop(run) && run->due_us <= (double)now_us && !is_all_begun(run, run->due_us);
         plan_next(run)) {
        if (run->due_us < (double)run->measure_from_us)
            continue;
        bench_hist_add(&result->hist, now_us - (int64_t)run->due_us);
        run->measured_begun++;
        result->measured.requests++;
        result->measured.errors++;
        result->given_up++;
    }
    static const char text[] = "requests were not answered in time";
    bench_run_error(run, text, sizeof(text) - 1);
    run->phase = BENCH_DONE;
}

/* When to give up. A run that ends by the clock has the time-out after its end; one that ends by
 * number, or reserves, has it between answers. */
static int64_t patience_us(const struct bench_run *run)
{
    int64_t timeout_us = run->options->session->timeout_ms * 1000;
    if (run->phase != BENCH_RESERVE && run->end_us != INT64_MAX)
        return run->end_us + timeout_us;
    return run->in_flight > 0 ? run->moved_us + timeout_us : INT64_MAX;
}

static void step(struct bench_run *run, int64_t now_us)
{
    if (run->phase == BENCH_DONE)
        return;
    if (run->phase == BENCH_RESERVE && run->reserve_ended >= (uint64_t)run->options->reserve)
        end_reserve(run, now_us);
    if (run->phase == BENCH_WARMUP && now_us >= run->measure_from_us)
        run->phase = BENCH_MEASURE;
    if (is_open_loop(run))
        dispatch(run, now_us);
    bool all = is_all_begun(run, run->options->rate > 0 ? run->due_us : (double)now_us);
    if ((run->phase == BENCH_WARMUP || run->phase == BENCH_MEASURE) && all)
        run->phase = BENCH_DRAIN;
    if (run->phase == BENCH_DRAIN && all && run->in_flight == 0)
        run->phase = BENCH_DONE;
    if (run->phase != BENCH_DONE && run->loaded == 0)
        give_up(run, now_us);
    if (run->phase != BENCH_DONE && now_us >= patience_us(run))
        give_up(run, now_us);
}

static void on_signal(struct bench_run *run, int64_t now_us)
{
    struct signalfd_siginfo info;
    if (read(run->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    run->result->interrupted = true;
    if (++run->stops > 1 || run->phase == BENCH_RESERVE) {
        give_up(run, now_us);
        return;
    }
    run->end_us = now_us < run->end_us ? now_us : run->end_us;
}

/* ---- The loop ---- */

/* An epoll time-out counts whole milliseconds, plus the slack of the process; a timer has
 * neither. */
static void set_timer(struct bench_run *run, int64_t at_us)
{
    if (at_us == run->armed_us)
        return;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_us / SECOND_US),
                                           .tv_nsec = (long)(at_us % SECOND_US) * 1000}};
    timerfd_settime(run->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    run->armed_us = at_us;
}

static int64_t next_wake_us(const struct bench_run *run)
{
    int64_t at_us = run->next_line_us;
    int64_t patience = patience_us(run);
    at_us = patience < at_us ? patience : at_us;
    if (run->phase == BENCH_RESERVE)
        return at_us;
    if (run->phase == BENCH_MEASURE || run->phase == BENCH_WARMUP)
        at_us = run->end_us < at_us ? run->end_us : at_us;
    if (is_open_loop(run) && run->waiting_first && !is_all_begun(run, run->due_us) &&
        run->due_us < (double)at_us)
        at_us = (int64_t)ceil(run->due_us);
    return at_us;
}

static void turn(struct bench_run *run)
{
    struct epoll_event events[EVENTS];
    set_timer(run, next_wake_us(run));
    int n = epoll_wait(run->epoll_fd, events, EVENTS, -1);
    for (int i = 0; i < n && run->phase != BENCH_DONE; i++) {
        if (events[i].data.ptr == &run->timer_fd)
            continue; /* edge-triggered, so it need not be read */
        if (events[i].data.ptr == &run->signal_fd) {
            on_signal(run, clock_us());
            continue;
        }
        struct bench_conn *conn = events[i].data.ptr;
        if (conn->fd >= 0 && (events[i].events & EPOLLOUT))
            bench_conn_flush(conn);
        if (conn->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT))
            bench_conn_on_readable(conn);
    }
}

void bench_run_loop(struct bench_run *run)
{
    int64_t now_us = clock_us();
    run->phase = BENCH_RESERVE;
    run->moved_us = run->start_us = now_us;
    run->next_line_us = now_us;
    offer_room(run, now_us);
    for (;;) {
        step(run, now_us);
        if (run->phase == BENCH_DONE)
            break;
        if (now_us >= run->next_line_us) {
            bench_progress(run, now_us);
            run->next_line_us = now_us + progress_interval_ms() * 1000;
        }
        turn(run);
        now_us = clock_us();
    }
    bench_progress(run, now_us);
    int64_t end_us = run->end_us != INT64_MAX && run->end_us > run->last_answer_us
                         ? run->end_us
                         : run->last_answer_us;
    run->result->seconds = (double)(end_us - run->measure_from_us) / (double)SECOND_US;
}
