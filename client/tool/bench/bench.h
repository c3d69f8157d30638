/*
 * `ration bench`: puts load on a rationd and measures it. One thread, one epoll, no allocation
 * while it runs, since it often shares a machine with what it measures.
 *
 *     ../cmd_bench.c   options, the check that a server answers, the end
 *     setup.c          memory, credentials, the run from its beginning to its end
 *     open.c           the servers' addresses, connecting
 *     run.c            the loop: phases, when requests begin, giving up
 *     conn.c           one connection: what is in flight, sending, answers
 *     wire.c           requests and replies as bytes
 *     draw.c           random numbers: tenants by Zipf, Poisson arrivals
 *     hist.c           the histogram of latencies
 *     report.c         the progress line, the tables, the JSON file
 *
 * The phases: reserve (--reserve), warm-up, measure, drain. When a request begins decides whether
 * it counts: never if it began in the warm-up, always if it began while measuring, however late its
 * answer.
 */
#ifndef RATION_TOOL_BENCH_H
#define RATION_TOOL_BENCH_H

#include "tool/bench/hist.h"
#include "tool/session.h"

#include <stddef.h>

#define BENCH_MAX_CONNECTIONS 100000
#define BENCH_MAX_IN_FLIGHT   1000000 /* connections times pipeline */

struct bench_options {
    const struct session *session;
    const char *pool;
    const char *tenant;
    const char *json_file;
    int64_t tenants;
    double zipf;
    int64_t seed;
    int64_t tokens;
    int64_t used;
    int64_t ttl_ms; /* 0: the server's */
    int64_t connections;
    int64_t idle;
    int64_t pipeline;
    double duration_s;
    double warmup_s;
    int64_t requests; /* 0: as long as duration_s says */
    double rate;      /* arrivals a second; 0: closed loop */
    int64_t reserve;
    bool poisson;
    bool pairs;
    bool quiet;
};

/* requests = granted + denied + errors, except that with --pairs a grant whose report failed is in
 * both. */
struct bench_count {
    uint64_t requests; /* that have ended; with --pairs, after the report */
    uint64_t granted;
    uint64_t denied;
    uint64_t errors;
    uint64_t pairs; /* granted and reported */
};

struct bench_result {
    struct bench_count measured;
    struct bench_count unmeasured; /* warm-up */
    uint64_t reserved;             /* reservations of --reserve */
    uint64_t given_up;             /* of the errors: no answer in time */
    uint64_t lost;                 /* connections that ended, idle ones too */
    int64_t late_us;               /* the longest wait of a request for a free connection */
    bool interrupted;
    double seconds;         /* of the measured part, up to its last answer */
    struct bench_hist hist; /* of the measured requests, without error replies */
    char error[256];        /* the first error, in words */
};

struct bench_run;

/* setup.c: false after saying why it could not start. */
bool bench_run(const struct bench_options *options, struct bench_result *result);

/* report.c */
void bench_progress(const struct bench_run *run, int64_t now_us);
bool bench_report(const struct bench_options *options, const struct bench_result *result);

#endif
