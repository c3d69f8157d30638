/*
 * AUDIT: the ledger, for the operator.
 *
 *     AUDIT [pool]               all rows, once they are ready
 *     AUDIT [pool] WAIT ms       progress after at most this long, and some rows once it has ended
 *     AUDIT CONTINUE id WAIT ms  the same for an audit under way: waits on, or gives the next rows
 *
 * Auditing a large store takes longer than a client may want to wait for a sign of life, and with
 * many pools the rows exceed one reply. So an audit continues by itself between two WAITs, and its
 * rows are kept for a minute. It belongs to the worker that was asked; a client that brings its id
 * to another worker is answered NOSUCH, and begins again.
 */
#define _GNU_SOURCE /* arc4random_buf */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/audit.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "config/config.h"
#include "policy/limit.h"
#include "worker.h"

enum { KEEP_SECONDS = 60, MAX_AUDITS = 16, ID_BYTES = 16 };
enum {
    PAGE_ROWS = 1000,
    MAX_ROWS = 2000
}; /* a row has at most 460 bytes; RATION_MAX_OUTPUT_BYTES */

/* An audit, from its command until its rows have been sent or forgotten. */
struct worker_audit {
    struct worker_audit *next; /* in the worker's list */
    struct worker *worker;
    struct config *config; /* reference: the rows point into it */
    char id[ID_BYTES + 1];
    struct audit *audit;    /* NULL: it has ended */
    struct request *waiter; /* NULL: nobody waits */
    bool whole;             /* the waiter wants all rows in one reply, however long it takes */
    struct event *timer;    /* of the waiter's WAIT; without a waiter, of how long this is kept */
    struct audit_row *rows; /* once it has ended */
    size_t n, next_row;
};

/* ---- answers ---- */

static void write_row(struct buf *out, int resp, const struct audit_row *row)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"granted", row->granted}, {"reported", row->reported},   {"outstanding", row->outstanding},
        {"expired", row->expired}, {"cancelled", row->cancelled}, {"used", row->used},
        {"scanned", row->scanned}, {"balanced", row->balanced},
    };
    enum { NUMBERS = sizeof numbers / sizeof numbers[0] };
    resp_map(out, resp, 2 + NUMBERS);
    resp_text(out, "pool");
    resp_text(out, row->pool->name);
    resp_text(out, "unit");
    resp_text(out, limit_unit_name(row->unit));
    for (size_t i = 0; i < NUMBERS; i++) {
        resp_text(out, numbers[i].name);
        resp_integer(out, numbers[i].value);
    }
}

static void write_rows(struct buf *out, int resp, const struct audit_row *rows, size_t n)
{
    resp_array(out, n);
    for (size_t i = 0; i < n; i++)
        write_row(out, resp, &rows[i]);
}

/* The answer to WAIT. */
static void write_progress(struct request *r, struct worker_audit *w)
{
    struct buf *out = request_out(r);
    size_t left = w->n - w->next_row, n = left < PAGE_ROWS ? left : PAGE_ROWS;
    resp_map(out, r->resp, 3);
    resp_text(out, RATION_FIELD_AUDIT);
    resp_text(out, w->audit || n < left ? w->id : "");
    resp_text(out, RATION_FIELD_PERCENT);
    resp_integer(out, w->audit ? audit_percent(w->audit) : 100);
    resp_text(out, RATION_FIELD_ROWS);
    write_rows(out, r->resp, n ? w->rows + w->next_row : NULL, n);
    w->next_row += n;
}

/* ---- the worker's audits ---- */

static void worker_audit_free(struct worker_audit *w)
{
    struct worker_audit **link = &w->worker->audits;
    while (*link && *link != w)
        link = &(*link)->next;
    if (*link)
        *link = w->next;
    if (w->timer)
        event_free(w->timer);
    config_unref(w->config);
    free(w->rows);
    free(w);
}

static void set_timer(struct worker_audit *w, int64_t ms)
{
    struct timeval after = {ms / 1000, ms % 1000 * 1000L};
    event_add(w->timer, &after);
}

static bool has_ended(const struct worker_audit *w)
{
    return !w->audit && w->next_row == w->n;
}

/* False: out of memory, or there are none. */
static bool keep_rows(struct worker_audit *w, const struct audit_row *rows, size_t n)
{
    w->rows = rows ? calloc(n + 1, sizeof *rows) : NULL;
    if (!w->rows)
        return false;
    memcpy(w->rows, rows, n * sizeof *rows);
    w->n = n;
    return true;
}

static void answer_whole(struct request *r, const struct worker_audit *w)
{
    if (w->n > MAX_ROWS)
        request_error(r, RATION_ERR_MALFORMED,
                      "%zu rows are too many for one reply; AUDIT WAIT sends them in parts", w->n);
    else
        write_rows(request_out(r), r->resp, w->rows, w->n);
}

/* An audit that failed with nobody waiting is forgotten: a client that returns for it is answered
 * NOSUCH, and begins again. */
static void on_audited(void *arg, const struct audit_row *rows, size_t n, const char *error)
{
    struct worker_audit *w = arg;
    struct request *r = w->waiter;
    char shown[RESP_SHOW_BYTES];
    bool kept = keep_rows(w, rows, n);
    error = error ? error : "out of memory";
    w->audit = NULL;
    w->waiter = NULL;
    if (r && !kept)
        request_error(r, RATION_ERR_UNAVAILABLE, "the ledger cannot be read: %s",
                      resp_show(shown, error, strlen(error)));
    else if (r && w->whole)
        answer_whole(r, w);
    else if (r)
        write_progress(r, w);
    if (!kept || (r && (w->whole || has_ended(w))))
        worker_audit_free(w);
    else
        set_timer(w, INT64_C(1000) * KEEP_SECONDS);
    if (r)
        request_finish(r); /* may run the connection's next command */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct worker_audit *w = arg;
    struct request *r = w->waiter;
    if (!r && !w->audit) {
        worker_audit_free(w); /* nobody came for it */
        return;
    }
    w->waiter = NULL;
    set_timer(w, INT64_C(1000) * KEEP_SECONDS);
    if (r) {
        write_progress(r, w);
        request_finish(r); /* may run the connection's next command */
    }
}

void cmd_audit_end(struct worker *worker)
{
    for (struct worker_audit *w = worker->audits, *next; w; w = next) {
        next = w->next;
        if (w->audit)
            audit_end(w->audit); /* it failed, so this frees it */
        else
            worker_audit_free(w);
    }
}

static struct worker_audit *worker_audit_new(struct worker *worker, const struct config_pool *pool)
{
    uint64_t random;
    struct worker_audit *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    arc4random_buf(&random, sizeof random);
    snprintf(w->id, sizeof w->id, "%016" PRIx64, random);
    w->worker = worker;
    w->config = config_ref(worker->config);
    w->timer = event_new(worker->base, -1, 0, on_timer, w);
    if (w->timer)
        w->audit = audit_run(worker->base, worker->store, worker->config, pool, on_audited, w);
    if (!w->audit) {
        worker_audit_free(w);
        return NULL;
    }
    w->next = worker->audits;
    worker->audits = w;
    return w;
}

/* ---- the command ---- */

static void wait_for(struct worker_audit *w, struct request *r, int64_t ms)
{
    request_wait(r);
    w->waiter = r;
    w->whole = ms < 0;
    if (ms >= 0)
        set_timer(w, ms);
    else
        event_del(w->timer);
}

static void start(struct request *r, const struct config_pool *pool, int64_t ms)
{
    size_t n = 0;
    for (const struct worker_audit *each = r->worker->audits; each; each = each->next)
        n++;
    if (n >= MAX_AUDITS) {
        request_error(r, RATION_ERR_BUSY, "%d audits are already under way; try again later",
                      MAX_AUDITS);
        return;
    }
    struct worker_audit *w = worker_audit_new(r->worker, pool);
    if (w)
        wait_for(w, r, ms);
    else
        request_error(r, RATION_ERR_UNAVAILABLE, "the ledger cannot be read: out of memory");
}

static void go_on(struct request *r, const struct arg *id, int64_t ms)
{
    struct worker_audit *w = r->worker->audits;
    while (w && (id->n != ID_BYTES || memcmp(id->p, w->id, ID_BYTES) != 0))
        w = w->next;
    if (!w)
        request_error(r, RATION_ERR_NOSUCH, "no audit with that id is under way here; begin again");
    else if (w->waiter)
        request_error(r, RATION_ERR_BUSY, "another connection waits for this audit");
    else if (w->audit)
        wait_for(w, r, ms);
    else {
        write_progress(r, w);
        if (has_ended(w))
            worker_audit_free(w);
    }
}

void cmd_audit(struct request *r, const struct arg *args, size_t n)
{
    int64_t ms = -1;
    const struct config_pool *pool = NULL;
    if (n >= 3 && (!argument_is(&args[n - 2], "WAIT") ||
                   !argument_number(&args[n - 1], 0, RATION_MAX_WAIT_MS, &ms))) {
        command_usage(r, "WAIT takes 0-%d ms", RATION_MAX_WAIT_MS);
        return;
    }
    if (n == 5) {
        if (argument_is(&args[1], "CONTINUE"))
            go_on(r, &args[2], ms);
        else
            command_usage(r, "one pool, or none for all");
        return;
    }
    if (n % 2 == 0 && (pool = names_pool(r, &args[1])) == NULL)
        return;
    start(r, pool, ms);
}
