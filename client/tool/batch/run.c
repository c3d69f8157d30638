/*
 * The loop: take what has ended, ask for and send what may go, renew what is due, sync the journal,
 * then wait for the next thing to happen: curl's sockets, a signal, or the earliest of the times
 * above. It never spins.
 *
 * How it ends early: the first SIGINT or SIGTERM lets what is in flight end within the grace, the
 * second breaks it off. A failure that makes going on useless is like a first signal. If the
 * journal cannot be written, results cannot be kept: what is in flight is broken off at once.
 */
#include "tool/batch/run.h"

#include "tool/say.h"

#include "clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PARKED_PER_CALL 4  /* calls waiting to be tried again, for each that may be in flight */
#define START_MS        10 /* calls are started for this long at a time */
#define SYNC_MS         50 /* between two syncs of the journal */

/* ---- Calls ---- */

void batch_run_release(struct batch_run *run, struct batch_call *call)
{
    if (run->asking == call)
        run->asking = NULL;
    call->state = CALL_IDLE;
    call->next_idle = run->idle;
    run->idle = call;
}

void batch_run_stop(struct batch_run *run, enum batch_stop why)
{
    int64_t now_ms = clock_ms();
    if (run->stop == BATCH_GOING) {
        run->stop = why;
        run->stop_by_ms = now_ms + (int64_t)(run->options->grace_s * 1000);
    }
    if (why == BATCH_TROUBLE)
        run->stop_by_ms = now_ms;
}

/* The parked call that has been due for the longest time. */
static struct batch_call *take_parked(struct batch_run *run, int64_t now_ms)
{
    struct batch_call *first = NULL;
    for (size_t i = 0; run->parked > 0 && i < run->n_calls; i++) {
        struct batch_call *call = &run->calls[i];
        if (call->state == CALL_PARKED && call->due_ms <= now_ms &&
            (!first || call->due_ms < first->due_ms))
            first = call;
    }
    if (first)
        run->parked--;
    return first;
}

static struct batch_call *take_new(struct batch_run *run)
{
    while (run->next < run->journal->n && run->journal->entries[run->next].bytes > 0)
        run->next++;
    if (run->next == run->journal->n || !run->idle)
        return NULL;
    struct batch_call *call = run->idle;
    run->idle = call->next_idle;
    call->index = run->next++;
    call->tries = 0;
    return call;
}

/* The call that asks next; NULL: none can. */
static struct batch_call *next_call(struct batch_run *run, int64_t now_ms)
{
    if (run->asking)
        return run->asking;
    struct batch_call *call = take_parked(run, now_ms);
    if (!call)
        call = take_new(run);
    if (!call)
        return NULL;
    call->state = CALL_ASKING;
    run->asking = call;
    if (batch_call_prepare(run, call))
        return call;
    batch_run_release(run, call);
    return NULL;
}

/*
 * Granted calls leave only when curl has its turn, and the provider counts them when they arrive:
 * so this goes on only for a moment. True if there may be more to start.
 */
static bool start_calls(struct batch_run *run)
{
    int64_t until_ms = clock_ms() + START_MS;
    while (run->stop == BATCH_GOING && run->in_flight < (size_t)run->options->in_flight) {
        int64_t now_ms = clock_ms();
        if (run->hold_until_ms > now_ms)
            return false;
        run->hold_until_ms = 0;
        struct batch_call *call = next_call(run, now_ms);
        if (!call)
            return false;
        batch_call_ask(run, call);
        if (clock_ms() >= until_ms)
            return true;
    }
    return false;
}

static void take_ended(struct batch_run *run)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(run->multi, &left))) {
        struct batch_call *call = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) == CURLE_OK && call)
            batch_call_end(run, call, code);
    }
}

/* Renews, breaks off, and reports again. Gives when to look again. */
static int64_t tend_calls(struct batch_run *run)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < run->n_calls; i++) {
        struct batch_call *call = &run->calls[i];
        int64_t now_ms = clock_ms();
        if (call->state == CALL_SENT && run->stop != BATCH_GOING && now_ms >= run->stop_by_ms)
            batch_call_abort(run, call);
        if (call->state == CALL_SENT && now_ms >= call->renew_ms)
            batch_call_renew(run, call);
        if (call->state == CALL_UNACKNOWLEDGED)
            batch_call_settle_again(run, call);
        if (call->state == CALL_SENT && call->renew_ms < next_ms)
            next_ms = call->renew_ms;
        /* A parked call whose wait is over waits for a place or the end of a hold. */
        if (call->state == CALL_PARKED && call->due_ms > now_ms && call->due_ms < next_ms)
            next_ms = call->due_ms;
    }
    return run->unacknowledged > 0 ? clock_earlier(next_ms, run->hold_until_ms) : next_ms;
}

/* ---- The loop ---- */

static void take_signal(struct batch_run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    batch_progress_pause(&run->progress);
    if (run->stop == BATCH_GOING && run->in_flight > 0)
        say("stopping; %zu calls in flight have %.0f s to end (a second signal breaks them off)",
            run->in_flight, run->options->grace_s);
    if (run->stop != BATCH_GOING)
        run->stop_by_ms = clock_ms();
    batch_run_stop(run, BATCH_SIGNAL);
}

static bool is_over(const struct batch_run *run)
{
    if (run->in_flight > 0)
        return false;
    return run->stop != BATCH_GOING || run->journal->done == run->journal->n;
}

/* Gives when the journal must be synced next. */
static int64_t sync_journal(struct batch_run *run)
{
    int64_t now_ms = clock_ms();
    if (!run->journal->dirty)
        return INT64_MAX;
    if (now_ms < run->synced_ms + SYNC_MS)
        return run->synced_ms + SYNC_MS;
    if (!batch_journal_sync(run->journal))
        batch_run_stop(run, BATCH_TROUBLE);
    run->synced_ms = clock_ms();
    return INT64_MAX;
}

static int64_t show_progress(struct batch_run *run)
{
    int64_t now_ms = clock_ms();
    if (now_ms >= run->progress.next_ms) {
        run->progress.in_flight = run->in_flight;
        run->progress.parked = run->parked;
        run->progress.held_by = run->held_by;
        run->progress.held_until_ms = run->hold_until_ms;
        batch_progress_show(&run->progress, now_ms);
    }
    return run->progress.next_ms;
}

static void wait_for_something(struct batch_run *run, int64_t until_ms)
{
    struct curl_waitfd signals = {.fd = run->signal_fd, .events = CURL_WAIT_POLLIN};
    if (run->stop != BATCH_GOING)
        until_ms = clock_earlier(until_ms, run->stop_by_ms);
    else if (run->in_flight < (size_t)run->options->in_flight)
        until_ms = run->hold_until_ms > 0 ? clock_earlier(until_ms, run->hold_until_ms) : until_ms;
    int64_t left_ms = until_ms - clock_ms();
    int timeout_ms = left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
    curl_multi_poll(run->multi, &signals, 1, timeout_ms, NULL);
    if (signals.revents)
        take_signal(run);
}

static void loop(struct batch_run *run)
{
    while (!is_over(run)) {
        int running = 0;
        curl_multi_perform(run->multi, &running);
        take_ended(run);
        bool more = start_calls(run);
        int64_t until_ms = tend_calls(run);
        until_ms = clock_earlier(until_ms, sync_journal(run));
        until_ms = clock_earlier(until_ms, show_progress(run));
        if (!is_over(run))
            wait_for_something(run, more ? 0 : until_ms);
    }
}

/* Sends unacknowledged reports once more, until one fails. */
static void settle_unacknowledged(struct batch_run *run)
{
    run->silent_since_ms = 0;
    for (size_t i = 0; run->unacknowledged > 0 && i < run->n_calls; i++) {
        if (run->calls[i].state == CALL_UNACKNOWLEDGED &&
            !batch_call_settle_again(run, &run->calls[i]))
            break;
    }
    if (run->unacknowledged == 0)
        return;
    batch_progress_pause(&run->progress);
    say("no server has acknowledged what %zu calls used; they are charged as estimated",
        run->unacknowledged);
}

/* ---- The whole ---- */

static bool make_calls(struct batch_run *run)
{
    run->n_calls = (size_t)run->options->in_flight * (1 + PARKED_PER_CALL);
    if (run->n_calls > run->journal->n)
        run->n_calls = run->journal->n;
    run->calls = calloc(run->n_calls, sizeof(*run->calls));
    for (size_t i = run->calls ? run->n_calls : 0; i > 0; i--)
        batch_run_release(run, &run->calls[i - 1]);
    return run->calls != NULL;
}

static bool open_signals(struct batch_run *run)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signal_fd >= 0;
}

bool batch_run(struct batch_run *run)
{
    run->signal_fd = -1;
    if (!batch_progress_open(&run->progress, run->options, run->journal, &run->counts))
        return false;
    run->multi = curl_multi_init();
    bool ok = run->multi && make_calls(run) && open_signals(run) && id_maker_init(&run->ids) == 0 &&
              getrandom(run->random, sizeof(run->random), 0) == (ssize_t)sizeof(run->random);
    if (!ok)
        return say("the batch could not be set up: %s", strerror(errno));
    /* By default the multi handle would keep a connection for every call it has ever seen. */
    curl_multi_setopt(run->multi, CURLMOPT_MAXCONNECTS, (long)run->options->in_flight);
    loop(run);
    settle_unacknowledged(run);
    if (!batch_journal_sync(run->journal))
        batch_run_stop(run, BATCH_TROUBLE);
    return true;
}

void batch_run_close(struct batch_run *run)
{
    for (size_t i = 0; run->calls && i < run->n_calls; i++)
        batch_call_free(&run->calls[i]);
    free(run->calls);
    curl_multi_cleanup(run->multi);
    if (run->signal_fd > 0)
        close(run->signal_fd);
    batch_progress_close(&run->progress);
}
