/*
 * The batcher's inside, shared by batch.c and batch_lookup.c only.
 */
#ifndef RATIOND_BATCH_INNER_H
#define RATIOND_BATCH_INNER_H

#include "batch/batch.h"
#include "batch/script_wire.h"
#include "store/store.h"

struct event;

/* First in, first out, linked through op->next. */
struct op_queue {
    struct op *first, *last;
    size_t n;
    size_t own_ids; /* of those, such as chose their id themselves */
};

void op_queue_put(struct op_queue *queue, struct op *op);
struct op *op_queue_take(struct op_queue *queue);

enum lane_queue {
    QUEUE_SETTLE,
    QUEUE_ACQUIRE_0,
    QUEUE_ACQUIRE_1,
    QUEUE_ACQUIRE_2,
    QUEUE_AFTER, /* what settles an acquire that still waits here */
    QUEUE_PEEK,
    QUEUE_COUNT
};

enum lane_state {
    LANE_IDLE,   /* nothing under way; the batch is empty */
    LANE_SENT,   /* the batch is at the store */
    LANE_UNSENT, /* the batch is to be sent (again) as soon as the store is ready */
};

/* One domain: what waits, and the one batch under way. */
struct lane {
    struct batcher *batcher;
    struct lane *next;
    char *domain;
    enum lane_state state;
    int stale_tries;
    /* Of a batch that was refused: where the parts end that are tried after the one under way, the next one last. */
    size_t ends[8], n_ends;
    struct op_queue queues[QUEUE_COUNT];
    struct batch batch;
};

struct batcher {
    struct store *store; /* borrowed */
    uint32_t timeout_ms;
    struct event *wake;  /* made active to run at the end of the loop's turn */
    struct event *sweep; /* looks for what waited too long, while anything waits */
    bool sweeping;
    counter load; /* operations submitted and not done */
    struct lane *lanes;
    struct op_queue to_look_up; /* free-form ids whose owner is not known yet */
    struct op_queue ended;      /* operations whose end is to be told */
    struct bytes rows;          /* scratch of PEEK answers */
    struct id_maker ids;        /* of acquires that bring none */
    uint64_t turn_ms; /* monotonic; when this turn of the loop began to submit. 0: not yet */
    struct batch_counters counters;
    bool store_clock_known;
    int64_t store_clock_ms;  /* the store's clock ... */
    uint64_t store_clock_at; /* ... when our own said this */
};

void batcher_wake(struct batcher *batcher);
/* Does the acquire that chose this id still wait to be sent? Then what settles it must not overtake it. */
bool batcher_acquire_waits(const struct batcher *batcher, const struct op *op);
void batcher_enqueue(struct batcher *batcher, struct op *op);
void batcher_end(struct batcher *batcher, struct op *op, enum op_outcome outcome);

/* batch_lookup.c: finds out for whom a free-form id was made, then enqueues the operation or ends it. */
void batcher_look_up(struct batcher *batcher, struct op *op);
void batcher_look_up_waiting(struct batcher *batcher);

#endif
