/*
 * From a request to its operation and back.
 *
 * Some answers have details that are only borrowed until `done` returns (the rows of a PEEK, the
 * store's own words). If requests before it are still waiting, such an answer is written aside at
 * once; any other stays in its op until it is due.
 */
#include "command/operation.h"

#include <assert.h>

#include "batch/batch.h"
#include "command/answer.h"
#include "net/conn.h"
#include "worker.h"

#define MAX_WAITING_OPS 131072 /* of one worker at the batch; more are answered BUSY */

static void on_op_done(struct op *op)
{
    struct request *r = op->arg;
    assert(op == &r->op && r->state == REQUEST_WAITING);
    answer_count(r);
    if (r->conn != NULL && r->conn->first != r &&
        (op->outcome == OP_PEEKED || op->outcome == OP_REFUSED))
        answer_write(r, request_out(r));
    request_finish(r);
}

void operation_init(struct request *r, enum op_kind kind)
{
    assert(r->state == REQUEST_NEW && r->op.config == NULL);
    op_clear(&r->op);
    r->op.kind = kind;
    r->op.config = worker_config_ref(r->worker);
    r->op.done = on_op_done;
    r->op.arg = r;
    r->write = answer_write;
}

/* What the script takes for granted about an operation. */
static bool is_complete(const struct op *op)
{
    bool resolved = op->policy.pool != NULL && op->policy.n >= 1;
    bool to_be_looked_up = op->id.free_form && op->kind != OP_ACQUIRE;
    bool ok = (resolved || to_be_looked_up) && op->priority < RATION_PRIORITIES;
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++)
        ok = ok && op->amounts[unit] >= 0 && op->amounts[unit] <= RATION_MAX_COST;
    return ok;
}

void operation_submit(struct request *r)
{
    assert(is_complete(&r->op));
    (void)is_complete; /* in a build without assertions */
    if (batch_load(r->worker->batcher) >= MAX_WAITING_OPS) {
        request_error(r, RATION_ERR_BUSY,
                      "%d operations are already waiting for the store; try again in a moment",
                      MAX_WAITING_OPS);
        return;
    }
    request_wait(r);
    batch_submit(r->worker->batcher, &r->op);
}
