/* When the next request may ask: not while a limit or the provider holds the queue, nor while no
 * server answers. */
#include "tool/batch/run.h"
#include "tool/say.h"
#include "tool/table.h"

#include <stdio.h>
#include <time.h>

#define FIRST_SILENT_WAIT_MS 100
#define MAX_SILENT_WAIT_MS   10000
#define ASK_AGAIN_MS         20 /* settlements do not let the queue ask more often */

void batch_queue_hold(struct batch_run *run, int64_t now_ms, int64_t wait_ms, const char *by,
                      bool limit)
{
    if (limit && run->held_since_ms == 0)
        run->held_since_ms = now_ms;
    run->hold_until_ms = now_ms + (wait_ms > 0 ? wait_ms : 1);
    run->hold_is_limit = limit;
    snprintf(run->held_by, sizeof(run->held_by), "%s", by);
}

void batch_queue_loosen(struct batch_run *run, int64_t now_ms)
{
    int64_t soonest_ms = run->asked_ms + ASK_AGAIN_MS;
    if (soonest_ms < now_ms)
        soonest_ms = now_ms;
    if (run->hold_is_limit && run->hold_until_ms > soonest_ms)
        run->hold_until_ms = soonest_ms;
}

void batch_queue_moment(int64_t wait_ms, char *out, size_t size)
{
    struct tm tm;
    char moment[32];
    time_t at = time(NULL) + (time_t)((wait_ms + 999) / 1000);
    if (!gmtime_r(&at, &tm) || strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        moment[0] = '\0';
    snprintf(out, size, "%s, in %s", moment, as_duration(wait_ms).s);
}

/* It stops even if another host's call has closed the pool. */
void batch_queue_on_closed(struct batch_run *run, const char *reason, int64_t wait_ms)
{
    char until[80];
    const char *pool = run->options->pool;
    batch_progress_pause(&run->progress);
    if (wait_ms > 0) {
        batch_queue_moment(wait_ms, until, sizeof(until));
        say("the pool %s is closed (%s) until %s; run the same command then, or earlier, once the "
            "cause is gone, after 'ration pool open %s'",
            pool, reason, until, pool);
    } else {
        say("the pool %s is closed (%s): no wait will help; once the cause is gone, 'ration pool "
            "open %s' opens it",
            pool, reason, pool);
    }
    batch_run_stop(run, BATCH_NO_QUOTA);
}

bool batch_queue_may_pass(int err)
{
    return err == RATION_ECONNECT || err == RATION_ETIMEOUT || err == RATION_EPROTOCOL ||
           err == RATION_EUNAVAILABLE || err == RATION_EBUSY;
}

void batch_queue_on_silence(struct batch_run *run, int err, int64_t now_ms)
{
    run->counts.server_errors++;
    if (run->silent_since_ms == 0) {
        run->silent_since_ms = now_ms;
        run->silent_wait_ms = FIRST_SILENT_WAIT_MS;
    }
    if (run->stop == BATCH_GOING &&
        (!batch_queue_may_pass(err) ||
         (double)(now_ms - run->silent_since_ms) > run->options->patience_s * 1000)) {
        batch_progress_pause(&run->progress);
        session_fail(run->options->session, err);
        batch_run_stop(run, BATCH_SERVER);
        return;
    }
    batch_queue_hold(run, now_ms, run->silent_wait_ms, ration_strerror(err), false);
    run->silent_wait_ms *= 2;
    if (run->silent_wait_ms > MAX_SILENT_WAIT_MS)
        run->silent_wait_ms = MAX_SILENT_WAIT_MS;
}

bool batch_queue_is_silent(const struct batch_run *run, int64_t now_ms)
{
    return run->silent_since_ms > 0 && now_ms < run->hold_until_ms;
}
