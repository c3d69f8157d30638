/* What the parts of a run share: the run and its connections. */
#ifndef RATION_TOOL_BENCH_RUN_H
#define RATION_TOOL_BENCH_RUN_H

#include "tool/bench/bench.h"
#include "tool/bench/draw.h"
#include "tool/bench/wire.h"

enum bench_phase { BENCH_RESERVE, BENCH_WARMUP, BENCH_MEASURE, BENCH_DRAIN, BENCH_DONE };

enum bench_item_kind { BENCH_ITEM_AUTH, BENCH_ITEM_RESERVE, BENCH_ITEM_ACQUIRE, BENCH_ITEM_REPORT };

/* A request in flight. The report of a pair inherits the place and the time of its acquire. */
struct bench_item {
    int64_t since_us; /* when it began, or was due */
    uint8_t kind;     /* enum bench_item_kind */
    bool measured;
};

struct bench_conn {
    struct bench_run *run;
    int fd;       /* -1: lost */
    bool idle;    /* carries no load */
    bool waiting; /* in the run's list of connections with room */
    bool dirty;   /* in the run's list of connections with bytes to send */
    bool blocked; /* the socket is full: EPOLLOUT is awaited */
    struct bench_conn *next_waiting;
    struct bench_conn *next_dirty;
    struct bench_item *items; /* a ring: answers come in the order of the requests */
    uint32_t first;
    uint32_t n;
    uint32_t depth;
    char *out; /* depth * BENCH_REQUEST_BYTES: whatever is in flight fits */
    size_t out_at;
    size_t out_n;
    char *rest; /* BENCH_REPLY_BYTES: a reply whose end has not arrived */
    size_t n_rest;
};

struct bench_run {
    const struct bench_options *options;
    struct bench_result *result;
    struct bench_forms forms;
    struct bench_forms reserve_forms;
    struct bench_draw draw;
    enum bench_phase phase;
    struct bench_conn *conns; /* those with load first */
    size_t n_conns;
    size_t loaded; /* connections with load that are alive */
    char *memory;  /* of the connections' buffers */
    struct bench_item *items;
    struct bench_conn *waiting_first; /* open loop: connections with room, longest waiting first */
    struct bench_conn *waiting_last;
    struct bench_conn *dirty_first;
    int epoll_fd;
    int timer_fd;
    int signal_fd;
    unsigned stops;
    int64_t armed_us; /* what the timer is set to */
    uint64_t in_flight;
    int64_t moved_us;        /* when bytes last arrived */
    uint64_t reserve_begun;  /* of options->reserve */
    uint64_t reserve_ended;  /* answered, whatever the answer */
    uint64_t measured_begun; /* of options->requests */
    double due_us;           /* open loop: when the next request is due */
    int64_t start_us;        /* of the warm-up */
    int64_t measure_from_us; /* requests that begin from here on count */
    int64_t end_us;          /* none begins from here on; INT64_MAX: the number decides */
    int64_t last_answer_us;  /* of a measured request */
    int64_t next_line_us;    /* of progress */
    char scratch[1u << 16];  /* what is read, behind what was left over */
};

/* ---- open.c ---- */

/* Opens all sockets, non-blocking. False after saying why. */
bool bench_open(struct bench_run *run);

/* ---- conn.c ---- */

/* Puts a request into the connection, which must have room; bench_conn_flush() sends it. */
void bench_conn_begin(struct bench_conn *conn, enum bench_item_kind kind, int64_t since_us,
                      bool measured);
void bench_conn_auth(struct bench_conn *conn, const char *user, const char *secret, int64_t now_us);
void bench_conn_flush(struct bench_conn *conn);
void bench_conn_on_readable(struct bench_conn *conn);

/* Ends the connection and whatever is in flight on it. May be called again. */
void bench_conn_lose(struct bench_conn *conn, const char *why);

/* Gives up what is in flight; the connection stays. */
void bench_conn_give_up(struct bench_conn *conn, int64_t now_us);

/* ---- run.c ---- */

/* Runs all phases, from the reservations to the last answer. */
void bench_run_loop(struct bench_run *run);

/* The connection has room: begins the requests that may begin now. */
void bench_run_on_room(struct bench_run *run, struct bench_conn *conn, int64_t now_us);

/* Keeps the words of the first error, made printable. */
void bench_run_error(struct bench_run *run, const char *text, size_t n);

#endif
