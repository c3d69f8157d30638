/* The progress line of a run, and its results: for people on stdout, for programs in a file. */
#include "tool/bench/run.h"
#include "tool/object.h"
#include "tool/progress_line.h"
#include "tool/say.h"
#include "tool/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define BAR_WIDTH    50
#define MOST_PICTURE 16 /* rows; a wider range of latencies has wider rows */
#define BEHIND_US    1000000

static const struct {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50}, {"p75", 75},     {"p90", 90},       {"p95", 95},
                   {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}, {"max", 100}};

#define N_PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double ms_of(uint64_t us)
{
    return (double)us / 1000;
}

static double per_second(const struct bench_result *result, uint64_t n)
{
    return result->seconds > 0 ? (double)n / result->seconds : 0;
}

/* ---- Progress ---- */

static void add_load(struct progress_line *line, const struct bench_run *run, int64_t now_us)
{
    const struct bench_result *r = run->result;
    double seconds = (double)(now_us - run->measure_from_us) / 1e6;
    double rate = seconds > 0 ? (double)r->measured.requests / seconds : 0;
    progress_add(line, "%5.1f s  requests %s  %s/s  denied %s  p99 %.3f ms", seconds,
                 as_count((int64_t)r->measured.requests).s, as_count(llround(rate)).s,
                 as_count((int64_t)r->measured.denied).s,
                 ms_of(bench_hist_percentile(&r->hist, 99)));
    if (run->options->rate > 0 && run->phase != BENCH_DONE &&
        run->due_us + BEHIND_US < (double)now_us && run->due_us < (double)run->end_us)
        progress_add(line, "  %.1f s behind: --rate too high?",
                     ((double)now_us - run->due_us) / 1e6);
}

void bench_progress(const struct bench_run *run, int64_t now_us)
{
    struct progress_line line = {.n = 0};
    if (run->options->quiet)
        return;
    if (run->phase == BENCH_RESERVE)
        progress_add(&line, "reserving: %" PRIu64 " of %" PRId64, run->result->reserved,
                     run->options->reserve);
    else if (now_us < run->measure_from_us)
        progress_add(&line, "warming up for %.1f s", (double)(run->measure_from_us - now_us) / 1e6);
    else
        add_load(&line, run, now_us);
    if (run->result->measured.errors + run->result->unmeasured.errors > 0)
        progress_add(&line, "  errors %" PRIu64,
                     run->result->measured.errors + run->result->unmeasured.errors);
    progress_show(&line, run->phase == BENCH_DONE);
}

/* ---- For people ---- */

static void print_counts(const struct bench_options *o, const struct bench_result *r)
{
    static const char *const heads[] = {"", ">", ">per second", NULL};
    const struct {
        const char *name;
        uint64_t n;
        bool shown;
    } rows[] = {{"requests", r->measured.requests, true},
                {"granted", r->measured.granted, true},
                {"denied", r->measured.denied, true},
                {"pairs", r->measured.pairs, o->pairs},
                {"errors", r->measured.errors, true}};
    struct table *table = table_new(heads);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!rows[i].shown)
            continue;
        table_add(table, "%s\t%s\t%s", rows[i].name, as_count((int64_t)rows[i].n).s,
                  as_count(llround(per_second(r, rows[i].n))).s);
    }
    table_print(table, stdout, "  ");
    table_free(table);
}

static void print_percentiles(const struct bench_hist *hist)
{
    static const char *const heads[] = {"latency", ">ms", NULL};
    struct table *table = table_new(heads);
    for (size_t i = 0; i < N_PERCENTILES; i++)
        table_add(table, "%s\t%.3f", percentiles[i].name,
                  ms_of(bench_hist_percentile(hist, percentiles[i].percent)));
    table_print(table, stdout, "  ");
    table_free(table);
}

/* Rows of equal ratio, so that both body and tail can be seen; a row with any value has at least
 * one mark. */
static void print_picture(const struct bench_hist *hist)
{
    double low = hist->min > 0 ? (double)hist->min : 1;
    double ratio = sqrt(sqrt(2));
    while (pow(ratio, MOST_PICTURE) * low <= (double)hist->max)
        ratio *= ratio;
    uint64_t most = 1;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t from = 0;
        for (int i = 1; from <= hist->max; i++) {
            uint64_t to = (uint64_t)llround(low * pow(ratio, i));
            to = to > from ? to : from + 1;
            uint64_t n = bench_hist_between(hist, from, to);
            most = n > most ? n : most;
            if (pass == 1) {
                int marks = (int)(n * BAR_WIDTH / most);
                printf("  < %9.3f ms  %-*.*s %6.2f %%\n", ms_of(to), BAR_WIDTH,
                       marks == 0 && n > 0 ? 1 : marks,
                       "##################################################",
                       100.0 * (double)n / (double)hist->total);
            }
            from = to;
        }
    }
}

static void print_setting(const struct bench_options *o)
{
    printf("%" PRId64 " connections, %" PRId64 " in flight on each, %s tenant%s", o->connections,
           o->pipeline, as_count(o->tenants).s, o->tenants == 1 ? "" : "s");
    if (o->zipf > 0 && o->tenants > 1)
        printf(" (Zipf %.2f)", o->zipf);
    if (o->idle > 0)
        printf(", %" PRId64 " idle connections", o->idle);
    if (o->reserve > 0)
        printf(", %" PRId64 " reservations outstanding", o->reserve);
    if (o->rate > 0)
        printf(", %.0f requests/s offered%s", o->rate, o->poisson ? " (Poisson)" : "");
    printf("\n\n");
}

static void print_trouble(const struct bench_options *o, const struct bench_result *r)
{
    if (r->interrupted)
        say("interrupted; the numbers are those up to then");
    if (r->error[0])
        say("the first error: %s", r->error);
    if (r->lost > 0)
        say("%" PRIu64 " connections ended; the server's log says why", r->lost);
    if (r->given_up > 0)
        say("%" PRIu64 " requests had no answer %" PRId64 " ms after the end%s", r->given_up,
            o->session->timeout_ms, o->rate > 0 ? ": is --rate more than the server can do?" : "");
}

/* ---- For programs ---- */

static void put_decimal(json_object *object, const char *key, double value, int decimals)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*f", decimals, value);
    json_object_object_add(object, key, json_object_new_double_s(value, text));
}

static void put_count(json_object *o, const struct bench_count *count)
{
    object_put_integer(o, "requests", (int64_t)count->requests);
    object_put_integer(o, "granted", (int64_t)count->granted);
    object_put_integer(o, "denied", (int64_t)count->denied);
    object_put_integer(o, "errors", (int64_t)count->errors);
    object_put_integer(o, "pairs", (int64_t)count->pairs);
}

static json_object *options_json(const struct bench_options *o)
{
    json_object *out = json_object_new_object();
    object_put_string(out, "server", session_servers(o->session));
    object_put_string(out, "pool", o->pool);
    object_put_integer(out, "tenants", o->tenants);
    if (o->tenants == 1)
        object_put_string(out, "tenant", o->tenant);
    put_decimal(out, "zipf", o->zipf, 3);
    object_put_integer(out, "seed", o->seed);
    object_put_integer(out, "tokens", o->tokens);
    object_put_integer(out, "used", o->used);
    object_put_integer(out, "ttl_ms", o->ttl_ms);
    object_put_integer(out, "connections", o->connections);
    object_put_integer(out, "idle", o->idle);
    object_put_integer(out, "pipeline", o->pipeline);
    object_put_bool(out, "pairs", o->pairs);
    put_decimal(out, "duration", o->duration_s, 3);
    put_decimal(out, "warmup", o->warmup_s, 3);
    object_put_integer(out, "requests", o->requests);
    put_decimal(out, "rate", o->rate, 3);
    object_put_bool(out, "poisson", o->poisson);
    object_put_integer(out, "reserve", o->reserve);
    return out;
}

static json_object *latency_json(const struct bench_hist *hist)
{
    json_object *out = json_object_new_object();
    object_put_integer(out, "count", (int64_t)hist->total);
    object_put_integer(out, "min", (int64_t)hist->min);
    put_decimal(out, "mean", hist->total > 0 ? hist->sum / (double)hist->total : 0, 1);
    for (size_t i = 0; i < N_PERCENTILES; i++)
        object_put_integer(out, percentiles[i].name,
                           (int64_t)bench_hist_percentile(hist, percentiles[i].percent));
    return out;
}

static bool write_json(const struct bench_options *o, const struct bench_result *r)
{
    json_object *out = json_object_new_object();
    json_object *unmeasured = json_object_new_object();
    put_count(out, &r->measured);
    put_decimal(out, "seconds", r->seconds, 6);
    put_decimal(out, "per_second", per_second(r, r->measured.requests), 1);
    put_decimal(out, "pairs_per_second", per_second(r, r->measured.pairs), 1);
    json_object_object_add(out, "latency_us", latency_json(&r->hist));
    object_put_integer(out, "longest_wait_for_connection_us", r->late_us);
    object_put_integer(out, "given_up", (int64_t)r->given_up);
    object_put_integer(out, "lost_connections", (int64_t)r->lost);
    object_put_integer(out, "reserved", (int64_t)r->reserved);
    object_put_bool(out, "interrupted", r->interrupted);
    object_put_string(out, "error", r->error);
    put_count(unmeasured, &r->unmeasured);
    json_object_object_add(out, "unmeasured", unmeasured);
    json_object_object_add(out, "options", options_json(o));
    return object_write(out, o->json_file);
}

bool bench_report(const struct bench_options *options, const struct bench_result *result)
{
    print_setting(options);
    print_counts(options, result);
    if (result->hist.total > 0) {
        printf("\n");
        print_percentiles(&result->hist);
        printf("\n");
        print_picture(&result->hist);
    }
    if (options->rate > 0)
        printf("\n  A request waited for a free connection for up to %.3f ms; latencies include "
               "that.\n",
               ms_of((uint64_t)result->late_us));
    fflush(stdout);
    print_trouble(options, result);
    return !options->json_file || write_json(options, result);
}
