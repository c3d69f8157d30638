/*
 * An operation: one ACQUIRE, REPORT, RENEW, CANCEL, PEEK or POOL, or a part of a TENANT FORGIVE, on
 * its way to the store and back.
 *
 * The command fills in what is asked, the batch carries it, the script decides, and `done` is
 * called exactly once, from the event loop, never from inside batch_submit(). Whoever submits the
 * operation owns it, and must not move it between submit and done.
 */
#ifndef RATIOND_OP_H
#define RATIOND_OP_H

#include <stdbool.h>
#include <stdint.h>

#include <ration/protocol.h>

#include "policy/id.h"
#include "policy/policy.h"

enum op_kind {
    OP_ACQUIRE = 1,
    OP_REPORT = 2,
    OP_RENEW = 3,
    OP_CANCEL = 4,
    OP_PEEK = 5,
    OP_POOL_OPEN = 6,
    OP_POOL_CLOSE = 7,
    OP_POOL_GET = 8,
    OP_FORGIVE = 9
};

enum op_outcome {
    OP_PENDING = 0,
    /* the script's answers; the numbers are its output format */
    OP_GRANTED = 1,
    OP_DENIED = 2,
    OP_SETTLED = 3,
    OP_LATE = 4,
    OP_DUPLICATE = 5,
    OP_PEEKED = 6,
    OP_NOSUCH = 7,  /* no such reservation */
    OP_FOREIGN = 8, /* ACQUIRE: the id was used for another tenant, pool or cost */
    OP_ENDED = 9,   /* ACQUIRE, RENEW: the reservation was reported or cancelled, or has expired */
    OP_SHOWN = 10,  /* the state of a pool */
    OP_FORGIVEN = 11,
    OP_CROWDED = 12, /* ACQUIRE: the slice that its id names is full */
    /* the server's own */
    OP_UNAVAILABLE = 32, /* the store did not answer before the deadline */
    OP_SEVERAL = 33,     /* several tenants have used that free-form id: name the one meant */
    OP_NOPOOL = 34,      /* the reservation's pool is no longer configured */
    OP_REFUSED = 35,     /* the store refused: `trouble` has its words */
};

/* One limit as PEEK saw it, in the order of the policy's buckets and their limits. */
struct op_row {
    int64_t remaining; /* FORGIVEN: the amount forgiven */
    int64_t reset_ms;
    /* By how much its bucket's time is later than the store's; it stands still for that long. */
    int64_t ahead_ms;
};

/* In the place of the limit that refuses: it is the pool itself. The numbers are the script's. */
enum op_refusal {
    OP_LIMITED_OUTSTANDING = 252, /* not the pool: the tenant has too many reservations */
    OP_LIMITED_CLOSED = 253,
    OP_LIMITED_CIRCUIT = 254,
    OP_LIMITED_PAUSED = 255
};

/* Which parts of a settled estimate were learned. The numbers are the script's. */
enum op_learned { OP_LEARNED_OUTPUT = 1, OP_LEARNED_INPUT = 2 };

/* What the provider's headers said about one limit. */
struct op_header {
    uint8_t unit;
    int64_t per_ms, limit; /* 0: not said */
    int64_t remaining;
};

/* What a report says about the provider. */
struct op_feedback {
    bool failed;
    /* How long it said to wait; 0: it did not say. If op.reason closes the pool: for how long; 0:
     * until it is opened. */
    uint32_t pause_ms;
    uint8_t n_headers;
    struct op_header headers[RATION_MAX_PROVIDER_LIMITS];
};

/* A pool as POOL shows it. */
struct op_shown {
    uint8_t state; /* open, paused, circuit, probing, closed */
    uint32_t failures, reports, cool_down_ms;
    int64_t until_ms;
};

struct op;
typedef void op_done_fn(struct op *op);

struct op {
    enum op_kind kind;

    /* ---- what was asked ---------------------------------------------------------------------- */
    struct config *config; /* one reference, held by the op; its policy points into it */
    struct policy policy;  /* resolved by the command; of a free-form id by the batch */
    uint8_t priority;      /* 0 - 2 */
    bool own_id;           /* the caller chose the id: it may have been sent before */
    bool dry_run;
    bool partial;
    bool learned;   /* ACQUIRE: charge what was learned. REPORT: learn from it */
    bool has_token; /* RENEW: `token` identifies a repeated addition */
    unsigned char token[8];
    uint32_t ttl_ms;
    uint8_t stated;     /* bit 1 << unit: that unit was stated */
    bool split_unknown; /* only `tokens` was stated, so input and output stand for all of it */
    int64_t amounts[RATION_UNIT_COUNT];

    /* ---- the answer -------------------------------------------------------------------------- */
    enum op_outcome outcome;
    uint8_t limited_bucket; /* denied: policy.buckets[limited_bucket].set->limits[limited_limit] */
    uint8_t limited_limit;
    int64_t retry_after_ms; /* denied: n or RATION_RETRY_NEVER */
    struct op_shown shown;  /* SHOWN */
    uint8_t learned_parts;  /* SETTLED, LATE: parts of its estimate that were learned: op_learned */
    int64_t over_output, over_input; /* and how much more of each was charged than used */
    struct op_row *rows;             /* PEEKED, FORGIVEN: borrowed until done returns */
    const char *trouble;             /* OP_REFUSED: borrowed until done returns */

    op_done_fn *done;
    void *arg;

    /* ---- the batch's own --------------------------------------------------------------------- */
    struct op *next;
    uint64_t deadline_ms; /* monotonic */

    /* ---- long and mostly unused: op_clear() wipes only what marks it as unused --------------- */
    /* What was asked. The batch makes it for an acquire without one and for FORGIVE; for PEEK it
     * has only the names. */
    struct id id;
    struct op_feedback feedback; /* what was asked: REPORT, CANCEL */
    /* Asked or answered: why the pool is (to be) closed; "": it is not. */
    char reason[RATION_MAX_REASON_BYTES + 1];
};

/* Resets the operation for reuse. Wipes only part of it: it is a kilobyte, and there is one for
 * each request under way. */
void op_clear(struct op *op);

/* Fills in what follows from the stated amounts: requests 1, concurrent 1, tokens = input + output,
 * and so on. For acquisitions only; a report's unstated units are the script's business, except for
 * tokens when both parts are stated. */
void op_complete_amounts(struct op *op);

#endif
