/*
 * A terminal gets one line that is redrawn, a log gets one every few seconds. The rate is that of
 * the last lines, so that it follows what happens now; the time left is that of the remaining
 * requests at that rate.
 *
 * The rate-limit log is written line by line. If it cannot be written, that is said once, and the
 * batch goes on.
 */
#include "tool/batch/progress.h"

#include "tool/object.h"
#include "tool/progress_line.h"
#include "tool/rows.h"
#include "tool/say.h"
#include "tool/table.h"

#include "clock.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

bool batch_progress_open(struct batch_progress *p, const struct batch_options *options,
                         const struct batch_journal *journal, const struct batch_counts *counts)
{
    *p = (struct batch_progress){
        .options = options, .journal = journal, .counts = counts, .held_by = ""};
    p->begun_ms = clock_ms();
    p->next_ms = options->quiet ? INT64_MAX : p->begun_ms + progress_interval_ms();
    p->samples[p->n_samples++] = (struct batch_sample){p->begun_ms, journal->done, journal->tokens};
    if (!options->rate_log_file)
        return true;
    p->log = fopen(options->rate_log_file, "ae");
    if (!p->log)
        say("--rate-log %s: %s", options->rate_log_file, strerror(errno));
    return p->log != NULL;
}

/* ---- The line ---- */

struct rates {
    double per_s;
    double tokens_per_s;
};

static struct rates rates_of(const struct batch_progress *p, int64_t now_ms)
{
    size_t oldest = p->n_samples > BATCH_SAMPLES ? p->n_samples - BATCH_SAMPLES : 0;
    const struct batch_sample *from = &p->samples[oldest % BATCH_SAMPLES];
    double span_s = (double)(now_ms - from->at_ms) / 1000;
    if (span_s <= 0)
        return (struct rates){0};
    return (struct rates){
        .per_s = (double)(p->journal->done - from->done) / span_s,
        .tokens_per_s = (double)(p->journal->tokens - from->tokens) / span_s,
    };
}

static void print_line(const struct batch_progress *p, int64_t now_ms, bool last)
{
    const struct batch_journal *journal = p->journal;
    struct rates rates = rates_of(p, now_ms);
    struct progress_line line = {.n = 0};
    size_t left = journal->n - journal->done;
    size_t failed = journal->done - journal->of_class[BATCH_ANSWERED];
    struct shown time_left = {"?"};
    if (rates.per_s > 0)
        time_left = as_duration((int64_t)((double)left / rates.per_s * 1000));
    progress_add(&line, "%s  %s/%s  in flight %zu  %.1f/s  %s tokens/s  left %s",
                 as_bar((int64_t)journal->done, (int64_t)journal->n).s,
                 as_count((int64_t)journal->done).s, as_count((int64_t)journal->n).s, p->in_flight,
                 rates.per_s, as_count((int64_t)rates.tokens_per_s).s, time_left.s);
    if (failed)
        progress_add(&line, "  failed %zu", failed);
    if (p->parked)
        progress_add(&line, "  to try again %zu", p->parked);
    if (p->held_by[0] && p->held_until_ms > now_ms)
        progress_add(&line, "  held by %s for %s", p->held_by,
                     as_duration(p->held_until_ms - now_ms).s);
    progress_show(&line, last);
}

void batch_progress_show(struct batch_progress *p, int64_t now_ms)
{
    if (p->next_ms == INT64_MAX)
        return;
    print_line(p, now_ms, false);
    p->samples[p->n_samples++ % BATCH_SAMPLES] =
        (struct batch_sample){now_ms, p->journal->done, p->journal->tokens};
    p->next_ms = now_ms + progress_interval_ms();
}

void batch_progress_pause(struct batch_progress *p)
{
    if (p->next_ms != INT64_MAX)
        progress_clear();
}

void batch_progress_close(struct batch_progress *p)
{
    if (p->next_ms != INT64_MAX)
        print_line(p, clock_ms(), true);
    p->next_ms = INT64_MAX;
    if (p->log && fclose(p->log) != 0)
        say("--rate-log %s: %s", p->options->rate_log_file, strerror(errno));
    p->log = NULL;
}

/* ---- The log of waits ---- */

static void put_time(json_object *o)
{
    struct tm tm;
    char text[40];
    int64_t now_ms = clock_wall_ms();
    time_t now_s = (time_t)(now_ms / 1000);
    gmtime_r(&now_s, &tm);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(now_ms % 1000));
    object_put_string(o, "time", text);
}

void batch_progress_log(struct batch_progress *p, const char *who, const char *what, uint32_t line,
                        int status, int64_t wait_ms, const char *by)
{
    if (!p->log)
        return;
    json_object *o = json_object_new_object();
    put_time(o);
    object_put_string(o, "who", who);
    object_put_string(o, "event", what);
    object_put_string(o, "pool", p->options->pool);
    object_put_string(o, "tenant", p->options->tenant);
    object_put_integer(o, "line", line);
    if (status)
        object_put_integer(o, "status_code", status);
    object_put_integer(o, "wait_ms", wait_ms);
    object_put_string(o, "by", by);
    int n = fprintf(
        p->log, "%s\n",
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    if (n < 0 || fflush(p->log) != 0) {
        batch_progress_pause(p);
        say("--rate-log %s: %s; no more is written to it", p->options->rate_log_file,
            strerror(errno));
        fclose(p->log);
        p->log = NULL;
    }
    json_object_put(o);
}

/* ---- The summary ---- */

/* How requests of one class ended. */
struct class_row {
    const char *text;
    uint64_t requests;
    uint64_t tries;
    uint64_t retries;
};

static const struct column columns[] = {
    {"outcome", NULL, COLUMN_WORD, offsetof(struct class_row, text), 0, NULL},
    {">requests", "requests", COLUMN_COUNT, offsetof(struct class_row, requests), 0, NULL},
    {">tries", "tries", COLUMN_COUNT, offsetof(struct class_row, tries), 0, NULL},
    {">tried again", "tried_again", COLUMN_COUNT, offsetof(struct class_row, retries), 0, NULL},
    {0}};

static struct class_row row_of(const struct batch_progress *p, int class)
{
    return (struct class_row){batch_class_texts[class], p->journal->of_class[class],
                              p->counts->tries_of[class], p->counts->retries_of[class]};
}

static void print_classes(const struct batch_progress *p)
{
    struct class_row rows[BATCH_CLASS_COUNT];
    size_t n = 0;
    for (int i = 0; i < BATCH_CLASS_COUNT; i++) {
        rows[n] = row_of(p, i);
        n += i == BATCH_ANSWERED || rows[n].requests > 0 || rows[n].tries > 0;
    }
    rows_print(columns, rows, n, sizeof(rows[0]), "");
}

static void print_totals(const struct batch_progress *p, int64_t elapsed_ms)
{
    const struct batch_counts *c = p->counts;
    printf("\n%zu of %zu done", p->journal->done, p->journal->n);
    if (p->journal->found)
        printf(", %zu of them by earlier runs", p->journal->found);
    printf("; this run took %s: %" PRIu64 " calls, %s tokens in, %s out", as_duration(elapsed_ms).s,
           c->calls, as_count(c->input_tokens).s, as_count(c->output_tokens).s);
    if (c->cached_tokens)
        printf(" (%s of those in from a cache)", as_count(c->cached_tokens).s);
    putchar('\n');
    if (c->denials)
        printf("limits held the queue %" PRIu64 " times, for %s in all\n", c->denials,
               as_duration(c->waited_ms).s);
    if (c->server_errors)
        printf("requests to the servers failed %" PRIu64 " times\n", c->server_errors);
}

static json_object *classes_json(const struct batch_progress *p)
{
    json_object *classes = json_object_new_object();
    for (int i = 0; i < BATCH_CLASS_COUNT; i++) {
        struct class_row row = row_of(p, i);
        json_object_object_add(classes, batch_class_words[i], row_json(columns, &row));
    }
    return classes;
}

static void print_json(const struct batch_progress *p, const char *stopped, int64_t elapsed_ms)
{
    const struct batch_counts *c = p->counts;
    json_object *o = json_object_new_object();
    object_put_string(o, "output", p->journal->output);
    object_put_bool(o, "complete", p->journal->done == p->journal->n);
    object_put_string(o, "stopped", stopped);
    object_put_integer(o, "requests", (int64_t)p->journal->n);
    object_put_integer(o, "done", (int64_t)p->journal->done);
    object_put_integer(o, "done_before", (int64_t)p->journal->found);
    object_put_integer(o, "calls", (int64_t)c->calls);
    object_put_integer(o, "input_tokens", c->input_tokens);
    object_put_integer(o, "output_tokens", c->output_tokens);
    object_put_integer(o, "cached_tokens", c->cached_tokens);
    object_put_integer(o, "elapsed_ms", elapsed_ms);
    object_put_integer(o, "denials", (int64_t)c->denials);
    object_put_integer(o, "waited_ms", c->waited_ms);
    object_put_integer(o, "server_errors", (int64_t)c->server_errors);
    json_object_object_add(o, "outcomes", classes_json(p));
    object_print(o);
}

void batch_summary(const struct batch_progress *p, const char *stopped, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - p->begun_ms;
    if (p->options->session->json) {
        print_json(p, stopped, elapsed_ms);
        return;
    }
    print_classes(p);
    print_totals(p, elapsed_ms);
}
