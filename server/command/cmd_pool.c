/*
 * POOL GET pool              its health: open, paused, circuit open or closed, and why
 * POOL CLOSE pool [reason]   grants nothing from now on, on any host
 * POOL OPEN pool             forgets closing, pause and failed calls
 *
 * Each answers the pool's resulting state.
 */
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "command/operation.h"
#include "config/config.h"

#define OPERATOR_REASON "operator"

static bool kind_of(const struct arg *word, enum op_kind *kind)
{
    static const struct {
        const char *word;
        enum op_kind kind;
    } verbs[] = {{"GET", OP_POOL_GET}, {"OPEN", OP_POOL_OPEN}, {"CLOSE", OP_POOL_CLOSE}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (argument_is(word, verbs[i].word)) {
            *kind = verbs[i].kind;
            return true;
        }
    }
    return false;
}

void cmd_pool(struct request *r, const struct arg *args, size_t n)
{
    enum op_kind kind = OP_POOL_GET;
    if (!kind_of(&args[1], &kind) || (n > 3 && kind != OP_POOL_CLOSE)) {
        command_usage(r, "say GET, OPEN or CLOSE and a pool, and a reason with CLOSE");
        return;
    }
    const struct config_pool *pool = names_pool(r, &args[2]);
    struct arg reason = n > 3 ? args[3] : (struct arg){OPERATOR_REASON, strlen(OPERATOR_REASON)};
    if (pool == NULL || (kind == OP_POOL_CLOSE && !argument_is_reason(r, "CLOSE", &reason)))
        return;
    operation_init(r, kind);
    struct op *op = &r->op;
    op->policy = (struct policy){.pool = pool, .n = 1};
    op->policy.buckets[0] = (struct policy_bucket){.scope = SCOPE_POOL, .set = pool->limits};
    op->id.pool_bytes = (uint8_t)strlen(pool->name);
    memcpy(op->id.pool, pool->name, op->id.pool_bytes);
    if (kind == OP_POOL_CLOSE) {
        memcpy(op->reason, reason.p, reason.n);
        op->reason[reason.n] = '\0';
    }
    operation_submit(r);
}
