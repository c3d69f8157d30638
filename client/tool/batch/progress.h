/*
 * What a batch shows while it runs and at its end: the progress line, the log of waits, the
 * summary.
 */
#ifndef RATION_TOOL_BATCH_PROGRESS_H
#define RATION_TOOL_BATCH_PROGRESS_H

#include "tool/batch/batch.h"
#include "tool/batch/journal.h"

#include <stdio.h>

#define BATCH_SAMPLES 32

/* Counts of this run. */
struct batch_counts {
    uint64_t calls;                         /* sent to the provider */
    uint64_t tries_of[BATCH_CLASS_COUNT];   /* by how each ended */
    uint64_t retries_of[BATCH_CLASS_COUNT]; /* those that were tried again */
    uint64_t denials;                       /* by limits, each asked again later */
    uint64_t server_errors;                 /* failed requests to the servers */
    int64_t waited_ms;                      /* while a limit held the queue */
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cached_tokens; /* input that was read from a cache */
};

struct batch_progress {
    const struct batch_options *options;
    const struct batch_journal *journal;
    const struct batch_counts *counts;
    int64_t begun_ms;
    int64_t next_ms; /* INT64_MAX: none is wanted */
    FILE *log;       /* NULL: none is wanted */
    size_t in_flight;
    size_t parked;
    const char *held_by; /* what holds the queue; "" when nothing does */
    int64_t held_until_ms;
    struct batch_sample {
        int64_t at_ms;
        size_t done;
        int64_t tokens;
    } samples[BATCH_SAMPLES]; /* of the last lines, for the rate */
    size_t n_samples;         /* ever; the latest is at (n_samples - 1) % BATCH_SAMPLES */
};

/* False after saying why the log cannot be opened. */
bool batch_progress_open(struct batch_progress *p, const struct batch_options *options,
                         const struct batch_journal *journal, const struct batch_counts *counts);
void batch_progress_show(struct batch_progress *p, int64_t now_ms);

/* Clears the progress line, so that a message can be printed. */
void batch_progress_pause(struct batch_progress *p);
void batch_progress_close(struct batch_progress *p);

/*
 * Writes a line of JSON to the rate-limit log: when, who said it ("ration", "provider"), what
 * ("denied", "limited", "overloaded", ...), about which request (its line in the input), by which
 * limit or in which words, and how long to wait.
 */
void batch_progress_log(struct batch_progress *p, const char *who, const char *what, uint32_t line,
                        int status, int64_t wait_ms, const char *by);

/* The table at the end, or one line of JSON. */
void batch_summary(const struct batch_progress *p, const char *stopped, int64_t now_ms);

#endif
