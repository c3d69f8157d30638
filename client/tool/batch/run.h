/*
 * The loop of `ration batch`, and the calls in it: one thread, one ration handle, one curl multi
 * handle.
 *
 * A request that has begun has a struct batch_call until it has ended:
 *
 *     IDLE > ASKING > SENT > IDLE                     answered, or failed for good: in the journal
 *                     SENT > PARKED > ASKING          to be tried again, when its wait is over
 *                     SENT > UNACKNOWLEDGED > either  its report is sent again later
 *
 * At most one is ASKING, since all have the same limits: a denied one holds the queue until it may
 * ask again, or until a settlement has given something back. PARKED ones keep neither their body
 * nor a place among those in flight.
 */
#ifndef RATION_TOOL_BATCH_RUN_H
#define RATION_TOOL_BATCH_RUN_H

#include "tool/batch/batch.h"
#include "tool/batch/check.h"
#include "tool/batch/input.h"
#include "tool/batch/journal.h"
#include "tool/batch/progress.h"

#include "call/settlement.h"
#include "profile/sigv4.h"
#include "call/upstream.h"
#include "profile/profile.h"
#include "wire/id.h"

enum batch_call_state { CALL_IDLE, CALL_ASKING, CALL_SENT, CALL_PARKED, CALL_UNACKNOWLEDGED };

struct batch_call {
    enum batch_call_state state;
    struct batch_call *next_idle;
    size_t index;
    uint32_t tries;
    int64_t due_ms;               /* PARKED: when to ask again */
    int64_t renew_ms;             /* SENT: when to renew the reservation */
    bool retry;                   /* UNACKNOWLEDGED: then PARKED */
    struct settlement settlement; /* UNACKNOWLEDGED; borrows nothing from the answer */
    struct upstream *up;          /* made when first needed, kept */
    char id[RATION_MAX_ID_BYTES]; /* of the reservation; "": not yet asked for */
    struct ration_amounts estimate;
    int64_t most_output; /* as the body says; 0: nothing */
    bool elsewhere;      /* its input may be more than its bytes tell */
    /* Of ASKING and SENT: */
    char *custom_id; /* NULL: a plain body */
    char *body;
    size_t body_bytes;
    char url[BATCH_URL_BYTES];
    struct sigv4_headers signature;
    const char *headers[OPTION_LIST_MAX +
                        SIGV4_MAX_LINES]; /* borrowed from the options and the signature */
};

/* Why no new calls are made. */
enum batch_stop {
    BATCH_GOING,
    BATCH_SIGNAL,       /* SIGINT or SIGTERM */
    BATCH_NO_QUOTA,     /* the provider's quota is used up, or the pool is closed */
    BATCH_UNAUTHORIZED, /* 401: the key is wrong, for all requests */
    BATCH_SERVER,       /* no server answers, or it refuses */
    BATCH_TROUBLE,      /* input, journal, memory */
};

struct batch_run {
    const struct batch_options *options;
    const struct batch_input *input;
    struct batch_journal *journal;
    struct batch_progress progress;
    struct batch_counts counts;
    const struct profile *profile;
    struct profile_key key; /* of the provider */
    ration *r;              /* the session's */
    CURLM *multi;
    struct id_maker ids;
    struct ration_retry retry;
    unsigned short random[3];
    struct batch_call *calls;
    size_t n_calls;
    struct batch_call *idle;
    struct batch_call *asking; /* NULL: none */
    size_t in_flight;
    size_t parked;
    size_t unacknowledged;
    size_t next; /* requests before it have begun */

    int64_t hold_until_ms; /* no call asks before */
    int64_t held_since_ms; /* 0: not held by a limit */
    bool hold_is_limit;    /* a settlement may end it */
    char held_by[RATION_MAX_ID_BYTES];
    int64_t asked_ms;        /* when the last request was made */
    int64_t silent_since_ms; /* no server has answered since; 0: one does */
    int64_t silent_wait_ms;

    enum batch_stop stop;
    int64_t stop_by_ms; /* then what is in flight is broken off */
    int signal_fd;
    int64_t synced_ms;
};

/* ---- call.c ---- */

/* Asks for the call that is ASKING; sends it when it is granted. */
void batch_call_ask(struct batch_run *run, struct batch_call *call);

/* Takes the result of an exchange that has ended: to the journal or to another try, and settles
 * it. */
void batch_call_end(struct batch_run *run, struct batch_call *call, CURLcode code);

/* Breaks off one that is SENT. */
void batch_call_abort(struct batch_run *run, struct batch_call *call);

/* Reports one that is UNACKNOWLEDGED again. False if no server acknowledged it. */
bool batch_call_settle_again(struct batch_run *run, struct batch_call *call);

void batch_call_renew(struct batch_run *run, struct batch_call *call);
void batch_call_free(struct batch_call *call);

/* ---- prepare.c ---- */

/* Reads the request, its body, its estimate. False if the run cannot go on; batch_run_stop() has
 * said why. */
bool batch_call_prepare(struct batch_run *run, struct batch_call *call);
void batch_call_forget_body(struct batch_call *call);

/* Makes call->headers, the user's own and those that sign this try. False: out of memory. */
bool batch_call_headers(const struct batch_run *run, struct batch_call *call, size_t *n);

/* ---- queue.c ---- */

/* Nobody asks for wait_ms. limit: a settlement may end it earlier. */
void batch_queue_hold(struct batch_run *run, int64_t now_ms, int64_t wait_ms, const char *by,
                      bool limit);

/* Something was given back, so that a request that was denied may fit now. */
void batch_queue_loosen(struct batch_run *run, int64_t now_ms);

/* The pool is closed for good, or for longer than the user's patience: stops the run. */
void batch_queue_on_closed(struct batch_run *run, const char *reason, int64_t wait_ms);

/* "2026-12-01T00:00:00Z, in 3 d 4 h" */
void batch_queue_moment(int64_t wait_ms, char *out, size_t size);

/* An error of a call to the servers: holds the queue, more and more slowly, and stops the run when
 * patience ends. */
void batch_queue_on_silence(struct batch_run *run, int err, int64_t now_ms);

/* Whether such an error may pass by itself. */
bool batch_queue_may_pass(int err);

/* While no server answers, each attempt would only block the loop until its deadline. */
bool batch_queue_is_silent(const struct batch_run *run, int64_t now_ms);

/* ---- run.c ---- */

/* Stops making new calls. The first reason counts. */
void batch_run_stop(struct batch_run *run, enum batch_stop why);

/* Back among the idle. */
void batch_run_release(struct batch_run *run, struct batch_call *call);

/* Runs until all is done or it cannot go on. False after saying why it could not begin. */
bool batch_run(struct batch_run *run);
void batch_run_close(struct batch_run *run);

#endif
