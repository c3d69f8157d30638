/*
 * The inside of the batcher, shared only by batch.c and lookup.c.
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
    size_t own_ids; /* how many of those chose their id themselves */
};

void op_queue_put(struct op_queue *queue, struct op *op);
struct op *op_queue_take(struct op_queue *queue);

enum op_urgency {
    QUEUE_SETTLE,
    QUEUE_ACQUIRE_0,
    QUEUE_ACQUIRE_1,
    QUEUE_ACQUIRE_2,
    QUEUE_AFTER, /* settles an acquire that still waits here */
    QUEUE_PEEK,
    QUEUE_COUNT
};

enum domain_state {
    DOMAIN_IDLE,   /* nothing under way; the batch is empty */
    DOMAIN_SENT,   /* the batch is at the store */
    DOMAIN_UNSENT, /* the batch will be sent (again) as soon as the store is ready */
};

/* One domain: what waits, and the one batch under way. */
struct domain_queue {
    struct batcher *batcher;
    struct domain_queue *next;
    char *name;
    enum domain_state state;
    int stale_tries;
    /* After a refusal: where the remaining parts of the batch end, the next one last. */
    size_t ends[8], n_ends;
    struct op_queue queues[QUEUE_COUNT];
    struct batch batch;
};

struct batcher {
    struct store *store; /* borrowed */
    uint32_t timeout_ms;
    struct event *wake;  /* activated to run at the end of the loop's turn */
    struct event *sweep; /* looks for what waited too long, while anything waits */
    bool sweeping;
    counter load; /* operations submitted and not done */
    struct domain_queue *domains;
    struct op_queue to_look_up; /* free-form ids whose owner is not known yet */
    struct op_queue ended;      /* operations whose `done` is due */
    struct buf rows;            /* scratch for PEEK answers */
    struct id_maker ids;        /* for acquires that bring none */
    uint64_t turn_ms; /* monotonic; when this turn of the loop began to submit. 0: not yet */
    struct batch_counters counters;
    bool store_clock_known;
    int64_t store_clock_ms;  /* the store's clock ... */
    uint64_t store_clock_at; /* ... when our own clock said this */
};

void batcher_wake(struct batcher *batcher);
/* Is the acquire that chose this id still waiting to be sent? Then what settles it must not
 * overtake it. */
bool batcher_acquire_waits(const struct batcher *batcher, const struct op *op);
void batcher_enqueue(struct batcher *batcher, struct op *op);
void batcher_end(struct batcher *batcher, struct op *op, enum op_outcome outcome);

/* lookup.c: finds out for whom a free-form id was made, then enqueues the operation or ends it. */
void batcher_look_up(struct batcher *batcher, struct op *op);
void batcher_look_up_waiting(struct batcher *batcher);

#endif
