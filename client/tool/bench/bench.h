/*
 * `ration bench`: load for a rationd, and what came of it. One thread, one epoll, no allocation
 * once it runs, since it often shares a machine with what it measures.
 *
 *     cmd_bench.c      options, the check that a server answers, the end
 *     bench_setup.c    memory, credentials, the run from its beginning to its end
 *     bench_open.c     the servers' addresses, connecting
 *     bench_run.c      the loop: phases, when requests begin, giving up
 *     bench_conn.c     one connection: what is in flight, sending, answers
 *     bench_wire.c     requests and replies as bytes
 *     bench_draw.c     chance: tenants by Zipf, Poisson arrivals
 *     bench_hist.c     the histogram of latencies
 *     bench_report.c   the progress line, the tables, the JSON file
 *
 * The phases: reserve (--reserve), warm-up, measure, drain. What a request counts as is decided
 * when it begins: those that began in the warm-up never count, those that began while measuring
 * always do, however late their answer.
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
    uint64_t requests; /* such as came to an end; with --pairs, after the report */
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
    int64_t late_us;               /* the longest that a request waited for a free connection */
    bool interrupted;
    double seconds;         /* of the measured part, up to its last answer */
    struct bench_hist hist; /* of the measured requests, without error replies */
    char error[256];        /* the first error, in words */
};

struct bench_run;

/* bench_setup.c: false after saying why, when it could not start. */
bool bench_run(const struct bench_options *options, struct bench_result *result);

/* bench_report.c */
void bench_progress(const struct bench_run *run, int64_t now_us);
bool bench_report(const struct bench_options *options, const struct bench_result *result);

#endif
