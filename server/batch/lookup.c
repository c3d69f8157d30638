/*
 * Free-form ids: a report does not name the pool, so the store is asked what the id was made for
 * before the operation can join a batch. Each tenant has ids of its own. A caller that may act for
 * all tenants need not name one: another key says whose the id is, as long as only one tenant uses
 * it. Domains are asked one after another; nearly everybody has one.
 */
#include "batch/batch_inner.h"
#include "batch/key_names.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

struct lookup {
    struct batcher *batcher;
    struct op *op;
    size_t domain; /* index of the domain that is being asked */
};

static void ask(struct lookup *lookup);

/* "tenant pool", as the script keeps it; empty if several tenants use the id. */
static enum op_outcome take_names(struct op *op, const char *names, size_t n)
{
    if (n == 0)
        return OP_SEVERAL;
    const char *space = memchr(names, ' ', n);
    if (!space || (size_t)(space - names) > sizeof op->id.tenant ||
        n - (size_t)(space - names) - 1 > sizeof op->id.pool)
        return OP_NOSUCH;
    op->id.tenant_bytes = (uint8_t)(space - names);
    memcpy(op->id.tenant, names, op->id.tenant_bytes);
    op->id.pool_bytes = (uint8_t)(n - op->id.tenant_bytes - 1);
    memcpy(op->id.pool, space + 1, op->id.pool_bytes);
    if (policy_resolve(op->config, op->id.pool, op->id.pool_bytes, op->id.tenant,
                       op->id.tenant_bytes, &op->policy) == POLICY_NOPOOL)
        return OP_NOPOOL;
    return OP_PENDING;
}

static void on_names(void *arg, enum store_status status, const char *data, size_t n)
{
    struct lookup *lookup = arg;
    struct batcher *b = lookup->batcher;
    struct op *op = lookup->op;
    if (status == STORE_NIL && lookup->domain + 1 < op->config->n_domains) {
        lookup->domain++;
        ask(lookup);
        return;
    }
    free(lookup);
    if (status == STORE_LOST) {
        op_queue_put(&b->to_look_up, op);
        batcher_wake(b);
        return;
    }
    enum op_outcome outcome = status == STORE_OK ? take_names(op, data, n) : OP_NOSUCH;
    if (status == STORE_REFUSED || op->deadline_ms <= clock_ms())
        outcome = OP_UNAVAILABLE;
    if (outcome == OP_PENDING)
        batcher_enqueue(b, op);
    else
        batcher_end(b, op, outcome);
}

static void ask(struct lookup *lookup)
{
    char key[KEY_BYTES];
    struct op *op = lookup->op;
    size_t n = key_name(op->id.tenant_bytes > 0 ? KEY_FREE_ID : KEY_FREE_TENANT,
                        op->config->domains[lookup->domain], &op->id, key);
    if (store_hget(lookup->batcher->store, key, n, "n", 1, on_names, lookup) < 0) {
        op_queue_put(&lookup->batcher->to_look_up, op);
        free(lookup);
    }
}

void batcher_look_up(struct batcher *b, struct op *op)
{
    op_queue_put(&b->to_look_up, op);
    batcher_wake(b);
}

void batcher_look_up_waiting(struct batcher *b)
{
    for (size_t n = b->to_look_up.n; n > 0; n--) {
        struct op *op = op_queue_take(&b->to_look_up);
        if (batcher_acquire_waits(b, op)) {
            op_queue_put(&b->to_look_up, op);
            continue;
        }
        struct lookup *lookup = calloc(1, sizeof *lookup);
        if (!lookup) {
            batcher_end(b, op, OP_UNAVAILABLE);
            continue;
        }
        lookup->batcher = b;
        lookup->op = op;
        ask(lookup);
    }
}
