/*
 * `ration replay`: recorded traffic, replayed against a provider by several processes that stand
 * for hosts.
 *
 *     ../cmd_replay.c   options, starting the hosts, progress, the end (the parent)
 *     host.c            threads that take requests when due, counters to the parent (each child)
 *     call.c            makes the call for a request
 *     alone.c           the call without Ration, for comparison: retry by backoff alone
 *     trace.c           reading the trace and the list of tenants
 *     report.c          what the provider saw, the tables, the JSON file
 *     quota.c           how much of the quota was used, of what the trace asked for
 *
 * The hosts are forked after everything was read; they share no memory with the parent. Counters go
 * through a pipe per host as whole snapshots, so that the next one makes up for a lost one.
 */
#ifndef RATION_TOOL_REPLAY_H
#define RATION_TOOL_REPLAY_H

#include "tool/session.h"

#include <signal.h>
#include <stddef.h>

#define REPLAY_MAX_HOSTS   64
#define REPLAY_MAX_THREADS 256
#define REPLAY_MAX_TENANTS 64
#define REPLAY_MAX_GROUPS  8
#define REPLAY_MAX_ROWS    10000000
#define REPLAY_LABEL_BYTES 64

/* One request of the trace. */
struct trace_row {
    int64_t at_us; /* since the first */
    int32_t input_tokens;
    int32_t output_tokens;
};

struct trace {
    struct trace_row *rows; /* in the order of their time */
    size_t n;
};

struct replay_tenant {
    char name[RATION_MAX_TENANT_BYTES + 1];
    size_t group; /* index of its label */
};

/* What the hosts need to know; read-only once they run. */
struct replay {
    const struct session *session;
    const char *trace_file;
    const char *url;
    const char *pool;
    const char *tenants_text;
    const char *json_file;
    const char *key_variable; /* NULL: a made-up key is sent, since providers want one */
    const char *key;
    int64_t hosts;
    int64_t threads;
    int64_t output_cap;
    int64_t call_timeout_ms;
    double speed;
    double duration_s;
    double wait_max_s;
    double warm_up_s;     /* the trace runs at warm_up_speed for this long, */
    double warm_up_speed; /* then at `speed` */
    bool without_ration;
    struct trace trace;
    struct replay_tenant tenants[REPLAY_MAX_TENANTS];
    size_t n_tenants;
    char labels[REPLAY_MAX_GROUPS][REPLAY_LABEL_BYTES + 1];
    size_t n_groups;
    int64_t start_ms;      /* of the monotonic clock, which processes of one machine share */
    int64_t start_wall_ms; /* the same moment since 1970, as providers count */
};

/* What became of the calls of one group of tenants. */
struct replay_count {
    uint64_t arrivals; /* taken up; granted + denied + errors once they are done */
    uint64_t granted;  /* without Ration: answered */
    uint64_t denied;   /* without Ration: given up */
    uint64_t tries;    /* sent to the provider; without Ration often more than arrivals */
    uint64_t errors;   /* server or provider not reached, or neither 2xx nor 429 */
    uint64_t status_429;
    uint64_t tokens; /* as the provider reported them */
};

/* What a host writes into its pipe; smaller than PIPE_BUF, so it arrives whole. */
struct replay_snapshot {
    struct replay_count group[REPLAY_MAX_GROUPS];
    uint64_t late_ms; /* how late the last arrival was taken up */
    uint64_t most_late_ms;
    int done;        /* 1: the last one */
    char error[160]; /* the first error, in words */
};
_Static_assert(sizeof(struct replay_snapshot) <= 4096, "a snapshot must fit into PIPE_BUF");

/* Adds what another host, or another group, counted. */
void replay_count_add(struct replay_count *sum, const struct replay_count *more);

/* Over all groups. */
struct replay_count replay_sum(const struct replay *replay, const struct replay_snapshot *total);

/* What a provider counted in one second since 1970. */
struct replay_second {
    int64_t second;
    int64_t tokens;
};

/* What the provider says it saw; -1: it does not say. */
struct replay_upstream {
    bool known;
    bool counts_at_start;
    struct replay_second *seconds; /* in which something happened; NULL: it does not say */
    size_t n_seconds;
    int64_t requests;
    int64_t granted;
    int64_t tokens;
    int64_t status_429;
    int64_t max_requests_in_window;
    int64_t max_tokens_in_window;
    int64_t rpm;
    int64_t tpm;
    int64_t window_ms;
    int64_t elapsed_ms; /* from its first request to its last */
};

/* Both give false after saying what is wrong. */
bool replay_read_trace(const char *path, struct trace *trace);
bool replay_read_tenants(struct replay *replay);

/* Which tenant the n-th request of the trace belongs to: spread evenly, the same in every run. */
size_t replay_tenant_of(const struct replay *replay, size_t n);

/* Runs one host to its end; never returns. `signals` are blocked, and any of them stops the
 * host. */
_Noreturn void replay_host_main(const struct replay *replay, size_t host, int pipe_fd,
                                const sigset_t *signals);

/* What became of one call. */
struct replay_outcome {
    enum {
        REPLAY_ANSWERED,
        REPLAY_GIVEN_UP, /* denied (without Ration: refused) beyond its patience */
        REPLAY_FAILED,
    } how;
    uint64_t tries;
    uint64_t status_429;
    int64_t tokens;
    char why[160]; /* if it failed */
};

/* What one thread makes calls with; `number` differs for all threads of all hosts. NULL after
 * saying why. */
struct replay_caller;
struct replay_caller *replay_caller_new(const struct replay *replay, const char *servers,
                                        size_t number);
void replay_caller_free(struct replay_caller *caller);

/* Makes the call for the n-th request of the trace, with its waits and retries. */
void replay_make_call(struct replay_caller *caller, size_t n, struct replay_outcome *out);

/* The same without Ration, for call.c. */
struct alone;
struct alone *alone_new(const struct replay *replay, size_t number);
void alone_free(struct alone *alone);
void alone_call(struct alone *alone, const char *body, struct replay_outcome *out);

/* When the n-th request of the trace is to be made, in ms of the monotonic clock. */
int64_t replay_due_ms(const struct replay *replay, size_t n);

/* Reads GET {url}/report. `known` stays false if there is none. To be closed. */
void replay_ask_upstream(const char *url, struct replay_upstream *upstream);
void replay_upstream_close(struct replay_upstream *upstream);

/* Means over all windows of the limit that lie within the replay; 1 is all of it. */
struct replay_used {
    bool known;
    double of_could; /* of the smaller of the quota and what arrived, window by window */
    double could;    /* that smaller one, as a share of the quota */
};

/* `known` stays false if the provider does not say enough. */
void replay_quota_used(const struct replay *replay, const struct replay_upstream *after,
                       int64_t elapsed_ms, struct replay_used *used);

/* Prints the tables and writes the JSON file, if one is wanted. False if that failed. */
bool replay_report(const struct replay *replay, const struct replay_snapshot *total,
                   const struct replay_upstream *before, const struct replay_upstream *after,
                   int64_t elapsed_ms);

#endif
