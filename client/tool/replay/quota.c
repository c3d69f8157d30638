/*
 * How much of the usable quota was used: while nobody asks, a trace cannot use any.
 *
 * The trace says what arrives in each second, and the provider what it counted in each. Every
 * window of the limit is walked through from its first second to its last: a second could take the
 * smaller of what waits (it arrived at most --wait-max before and was not yet served) and what the
 * quota leaves in the window that ends there, including what was really counted before the walk
 * began. So taking everything at once is 100 %, whatever the traffic.
 *
 * The provider must be the strict one, on this host's clock, with a limit per whole seconds that
 * counts when a call starts: the trace does not say when calls end.
 */
#include "tool/replay/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of a second's count and of a window: a report is from outside, and sums must not
 * overflow. */
#define MAX_TOKENS   1000000000000
#define MAX_WINDOW_S 604800
#define MAX_STEPS    2e9 /* some seconds of walking; longer replays do without the figure */

struct walk {
    int64_t *arrived; /* tokens of each second of the replay, less what was served by then */
    int64_t *served;
    int64_t *trial; /* `arrived` as a window's walk changes it */
    size_t n;       /* seconds */
    size_t keep;    /* seconds after which it may still be served */
    size_t window;
    int64_t quota;
};

static size_t second_of(const struct replay *replay, int64_t at_ms, int64_t phase_ms)
{
    int64_t since_ms = at_ms - replay->start_ms + phase_ms;
    return since_ms > 0 ? (size_t)(since_ms / 1000) : 0;
}

static int64_t tokens_of(const struct replay *replay, size_t n)
{
    const struct trace_row *row = &replay->trace.rows[n];
    return row->input_tokens +
           (row->output_tokens < replay->output_cap ? row->output_tokens : replay->output_cap);
}

/* Takes up to `most` of what still waits in this second, oldest first. Gives how much there was. */
static int64_t take(const struct walk *w, int64_t *waiting, size_t second, int64_t most)
{
    int64_t took = 0;
    for (size_t at = second > w->keep ? second - w->keep : 0; at <= second && took < most; at++) {
        int64_t part = waiting[at] < most - took ? waiting[at] : most - took;
        waiting[at] -= part;
        took += part;
    }
    return took;
}

static int64_t sum_of(const int64_t *series, size_t begin, size_t end)
{
    int64_t sum = 0;
    for (size_t i = begin; i < end; i++)
        sum += series[i];
    return sum;
}

/* What could have been counted in the window that begins here, after what was really counted before
 * it. */
static int64_t could_be_taken(const struct walk *w, size_t begin)
{
    size_t oldest = begin > w->keep ? begin - w->keep : 0;
    size_t before = begin + 1 > w->window ? begin + 1 - w->window : 0;
    int64_t in_window = sum_of(w->served, before, begin);
    int64_t total = 0;
    memcpy(w->trial + oldest, w->arrived + oldest,
           (begin + w->window - oldest) * sizeof(*w->trial));
    for (size_t i = 0; i < w->window; i++) {
        int64_t room = w->quota - in_window;
        int64_t took = room > 0 ? take(w, w->trial, begin + i, room) : 0;
        total += took;
        in_window += took;
        /* The second that leaves the window is one from before the walk, which ends before its own
         * leave. */
        size_t leaves = begin + i + 1;
        if (leaves >= w->window && leaves - w->window < begin)
            in_window -= w->served[leaves - w->window];
    }
    return total;
}

/* Over all windows that lie within the replay. */
static void measure(const struct walk *w, struct replay_used *used)
{
    int64_t taken = 0;
    int64_t could = 0;
    size_t windows = w->n - w->window + 1;
    for (size_t begin = 0; begin < windows; begin++) {
        int64_t possible = could_be_taken(w, begin);
        int64_t served = sum_of(w->served, begin, begin + w->window);
        int64_t within = served < w->quota ? served : w->quota;
        taken += within;
        /* What was served was asked for, even if a little later than the trace says. */
        could += possible > within ? possible : within;
        take(w, w->arrived, begin, w->served[begin]);
    }
    *used = (struct replay_used){.known = true,
                                 .of_could = could > 0 ? (double)taken / (double)could : 1,
                                 .could = (double)could / ((double)w->quota * (double)windows)};
}

/* When the last request arrived; what happened after its patience is not measured. */
static int64_t last_ms(const struct replay *replay, int64_t elapsed_ms)
{
    int64_t last = replay_due_ms(replay, replay->trace.n - 1);
    int64_t over =
        replay->start_ms + elapsed_ms; /* earlier than the trace's end if it was stopped */
    int64_t stop = replay->start_ms + (int64_t)(replay->duration_s * 1000);
    if (replay->duration_s > 0 && stop <= last)
        last = stop - 1;
    return over < last ? over : last;
}

static void fill(struct walk *w, const struct replay *replay, const struct replay_upstream *after,
                 int64_t last, int64_t phase_ms)
{
    for (size_t i = 0; i < replay->trace.n && replay_due_ms(replay, i) <= last; i++)
        w->arrived[second_of(replay, replay_due_ms(replay, i), phase_ms)] += tokens_of(replay, i);
    for (size_t i = 0; i < after->n_seconds; i++) {
        const struct replay_second *row = &after->seconds[i];
        int64_t second = row->second - replay->start_wall_ms / 1000;
        if (row->second > 0 && second >= 0 && (uint64_t)second < w->n)
            w->served[second] += row->tokens < MAX_TOKENS ? row->tokens : MAX_TOKENS;
    }
}

static bool says_enough(const struct replay *replay, const struct replay_upstream *after)
{
    return after->seconds && after->counts_at_start && after->tpm > 0 && after->window_ms >= 1000 &&
           after->window_ms % 1000 == 0 && after->window_ms / 1000 <= MAX_WINDOW_S &&
           replay->trace.n > 0;
}

void replay_quota_used(const struct replay *replay, const struct replay_upstream *after,
                       int64_t elapsed_ms, struct replay_used *used)
{
    int64_t phase_ms = replay->start_wall_ms % 1000;
    *used = (struct replay_used){.known = false};
    if (!says_enough(replay, after))
        return;
    struct walk w = {.keep = (size_t)ceil(replay->wait_max_s),
                     .window = (size_t)(after->window_ms / 1000),
                     .quota = after->tpm};
    int64_t last = last_ms(replay, elapsed_ms);
    w.n = second_of(replay, last, phase_ms) + w.keep + 1;
    if (w.n < w.window)
        w.n = w.window;
    if ((double)(w.n - w.window + 1) * (double)w.window * (double)(w.keep + 1) > MAX_STEPS)
        return;
    w.arrived = calloc(w.n, sizeof(*w.arrived));
    w.served = calloc(w.n, sizeof(*w.served));
    w.trial = calloc(w.n, sizeof(*w.trial));
    if (w.arrived && w.served && w.trial) {
        fill(&w, replay, after, last, phase_ms);
        measure(&w, used);
    }
    free(w.trial);
    free(w.served);
    free(w.arrived);
}
