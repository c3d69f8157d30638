/*
 * Counters, and the only place that names them. Everything is flat, so that a shell script can pick
 * out a number, except `per_second` and `failures`, which lists by name what happened to calls that
 * the limits did not refuse.
 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

static const char *const failure_names[] = {
#define REPORT_NAME(upper, name) name,
    REPORT_FAILURES(REPORT_NAME)
#undef REPORT_NAME
};

void report_init(struct report *r, int64_t window_us, int64_t epoch_offset_us)
{
    memset(r, 0, sizeof(*r));
    peak_init(&r->peak, window_us);
    peak_init(&r->ends, window_us);
    series_init(&r->series, epoch_offset_us);
}

void report_close(struct report *r)
{
    peak_close(&r->peak);
    peak_close(&r->ends);
    series_close(&r->series);
}

void report_clear(struct report *r)
{
    struct peak peak = r->peak;
    struct peak ends = r->ends;
    struct series series = r->series;
    uint64_t in_flight = r->in_flight;
    peak_clear(&peak);
    peak_clear(&ends);
    series_clear(&series);
    memset(r, 0, sizeof(*r));
    r->peak = peak;
    r->ends = ends;
    r->series = series;
    r->in_flight = r->max_in_flight = in_flight;
}

void report_arrival(struct report *r, int64_t now_us)
{
    if (r->requests == 0) {
        r->first_us = now_us;
    }
    r->last_us = now_us;
    r->requests++;
    series_at(&r->series, now_us)->requests++;
}

void report_granted(struct report *r, int64_t now_us, int64_t tokens)
{
    r->granted++;
    r->estimated_tokens += tokens;
    series_at(&r->series, now_us)->granted++;
}

void report_counted(struct report *r, int64_t at_us, int64_t tokens)
{
    r->counted_tokens += tokens;
    series_at(&r->series, at_us)->tokens += tokens;
}

void report_used(struct report *r, int64_t now_us, int64_t input, int64_t output)
{
    r->input_tokens += input;
    r->output_tokens += output;
    series_at(&r->series, now_us)->used += input + output;
}

void report_over_limit(struct report *r, int64_t now_us, bool by_requests)
{
    if (by_requests) {
        r->refused_requests++;
    } else {
        r->refused_tokens++;
    }
    series_at(&r->series, now_us)->status_429++;
}

static void put_int(struct json_object *o, const char *name, int64_t n)
{
    json_object_object_add(o, name, json_object_new_int64(n));
}

static void put_count(struct json_object *o, const char *name, uint64_t n)
{
    json_object_object_add(o, name, json_object_new_uint64(n));
}

static void put_bool(struct json_object *o, const char *name, bool b)
{
    json_object_object_add(o, name, json_object_new_boolean(b));
}

static void put_share(struct json_object *o, const char *name, double share)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%.4f", share);
    json_object_object_add(o, name, json_object_new_double_s(share, digits));
}

/* Less than one window of traffic counts as one whole window, because that much could be used. */
static double windows_of_traffic(const struct report *r, int64_t window_us)
{
    double windows = (double)(r->last_us - r->first_us) / (double)window_us;
    return windows < 1 ? 1 : windows;
}

static void put_traffic(struct json_object *o, const struct report *r,
                        const struct report_limits *limits)
{
    int64_t offset_us = r->requests ? limits->epoch_offset_us : 0;
    double windows = windows_of_traffic(r, limits->window_us);
    put_int(o, "first_ms", (r->first_us + offset_us) / 1000);
    put_int(o, "last_ms", (r->last_us + offset_us) / 1000);
    put_int(o, "elapsed_ms", (r->last_us - r->first_us) / 1000);
    put_share(o, "quota_used", (double)r->counted_tokens / ((double)limits->tpm * windows));
    put_share(o, "quota_used_requests", (double)r->granted / ((double)limits->rpm * windows));
}

static void put_failures(struct json_object *o, const struct report *r)
{
    struct json_object *failures = json_object_new_object();
    uint64_t sum = 0;
    for (int i = 0; i < REPORT_FAILURE_COUNT; i++) {
        sum += r->failures[i];
        put_count(failures, failure_names[i], r->failures[i]);
    }
    put_count(o, "other_failures", sum);
    json_object_object_add(o, "failures", failures);
}

/* Only one of the two ever gets tokens. */
static int64_t max_tokens_in_window(const struct report *r)
{
    return r->peak.max_tokens > r->ends.max_tokens ? r->peak.max_tokens : r->ends.max_tokens;
}

static void put_string(struct json_object *o, const char *name, const char *s)
{
    json_object_object_add(o, name, json_object_new_string(s));
}

char *report_json(const struct report *r, const struct report_limits *limits)
{
    struct json_object *o = json_object_new_object();
    put_count(o, "requests", r->requests);
    put_count(o, "granted", r->granted);
    put_count(o, "completed", r->completed);
    put_count(o, "in_flight", r->in_flight);
    put_count(o, "max_in_flight", r->max_in_flight);
    put_int(o, "tokens", r->input_tokens + r->output_tokens);
    put_int(o, "input_tokens", r->input_tokens);
    put_int(o, "output_tokens", r->output_tokens);
    put_int(o, "estimated_tokens", r->estimated_tokens);
    put_int(o, "counted_tokens", r->counted_tokens);
    put_count(o, "status_429", r->refused_requests + r->refused_tokens);
    put_count(o, "status_429_requests", r->refused_requests);
    put_count(o, "status_429_tokens", r->refused_tokens);
    put_count(o, "status_429_at_end", r->refused_at_end);
    put_int(o, "wasted_tokens", r->wasted_tokens);
    put_failures(o, r);
    put_int(o, "max_requests_in_window", r->peak.max_requests);
    put_int(o, "max_tokens_in_window", max_tokens_in_window(r));
    put_bool(o, "peaks_complete", !r->peak.incomplete && !r->ends.incomplete);
    put_int(o, "rpm", limits->rpm);
    put_int(o, "tpm", limits->tpm);
    put_int(o, "window_ms", limits->window_us / 1000);
    put_string(o, "mode", limits->mode);
    put_string(o, "count", limits->count);
    put_bool(o, "settle", limits->settle);
    put_bool(o, "count_failed", limits->count_failed);
    put_traffic(o, r, limits);
    put_bool(o, "per_second_cut", r->series.cut);
    json_object_object_add(o, "per_second", series_json(&r->series));
    const char *s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    char *copy = s ? strdup(s) : NULL;
    json_object_put(o);
    return copy;
}
