/* ACQUIRE pool tenant [unit n]... [PRIORITY p] [WAIT ms] [TTL ms] [ID id] [DRYRUN] [LEARNED] */
#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "command/operation.h"
#include "config/config.h"
#include "worker.h"

#define OPTIONS                                                                                    \
    (ARGUMENT_BIT(ARGUMENT_PRIORITY) | ARGUMENT_BIT(ARGUMENT_WAIT) | ARGUMENT_BIT(ARGUMENT_TTL) |  \
     ARGUMENT_BIT(ARGUMENT_ID) | ARGUMENT_BIT(ARGUMENT_DRYRUN) | ARGUMENT_BIT(ARGUMENT_LEARNED))

/* Callers may lower the priority of their tier, not raise it. */
static bool set_priority(struct request *r, const struct arguments *arguments,
                         const struct arg *tenant)
{
    struct op *op = &r->op;
    if (!(arguments->given & ARGUMENT_BIT(ARGUMENT_PRIORITY)))
        return true;
    int64_t wanted = arguments->values[ARGUMENT_PRIORITY];
    if (wanted < op->priority) {
        const struct config_tier *tier = names_tier(op->config, tenant->p, tenant->n);
        request_error(r, RATION_ERR_MALFORMED,
                      "PRIORITY %lld is above tier %s's %u; give %u or more, or leave it out",
                      (long long)wanted, tier->name, op->priority, op->priority);
        return false;
    }
    op->priority = (uint8_t)wanted;
    return true;
}

/* If the caller gives no id, the batch makes one. */
static bool set_id(struct request *r, const struct arguments *arguments, const struct arg *pool,
                   const struct arg *tenant)
{
    struct op *op = &r->op;
    if (!(arguments->given & ARGUMENT_BIT(ARGUMENT_ID)))
        return true;
    const char *wrong = id_parse(arguments->id.p, arguments->id.n, &op->id);
    if (wrong == NULL && !op->id.free_form) {
        if (!id_is_for(&op->id, tenant->p, tenant->n, pool->p, pool->n))
            wrong = "that id names another tenant or pool";
        else if (op->id.member != 0)
            wrong = "that id is a member of a group; its fourth part must be 0";
    }
    if (wrong != NULL) {
        command_usage(r, "ID: %s", wrong);
        return false;
    }
    op->own_id = true;
    if (op->id.free_form) {
        memcpy(op->id.tenant, tenant->p, tenant->n);
        op->id.tenant_bytes = (uint8_t)tenant->n;
        memcpy(op->id.pool, pool->p, pool->n);
        op->id.pool_bytes = (uint8_t)pool->n;
    }
    return true;
}

/* A learned estimate is a share of the stated input and output, so LEARNED needs at least one of
 * them. */
static bool set_learned(struct request *r, const struct arguments *arguments)
{
    struct op *op = &r->op;
    bool stated = op->stated & ARGUMENT_PARTS;
    if ((arguments->given & ARGUMENT_BIT(ARGUMENT_LEARNED)) && !stated) {
        command_usage(r, "LEARNED needs input_tokens (your estimate), output_tokens (the most that "
                         "the call may answer), or both");
        return false;
    }
    op->learned = stated && ((arguments->given & ARGUMENT_BIT(ARGUMENT_LEARNED)) ||
                             op->policy.pool->estimates == ESTIMATES_LEARNED);
    return true;
}

void cmd_acquire(struct request *r, const struct arg *args, size_t n)
{
    const struct arg *pool = &args[1], *tenant = &args[2];
    struct op *op = &r->op;
    struct arguments arguments;
    if (!arguments_read(r, args, 3, n, OPTIONS, ARGUMENT_ALL_UNITS, &arguments))
        return;
    if (arguments.values[ARGUMENT_WAIT] > 0) {
        request_error(r, RATION_ERR_MALFORMED,
                      "WAIT is not supported by this version; retry after retry_after_ms instead");
        return;
    }
    operation_init(r, OP_ACQUIRE);
    if (!names_resolve(r, pool, tenant) || !set_priority(r, &arguments, tenant) ||
        !set_id(r, &arguments, pool, tenant) || !arguments_to_op(r, &arguments) ||
        !set_learned(r, &arguments))
        return;
    op->dry_run = arguments.given & ARGUMENT_BIT(ARGUMENT_DRYRUN);
    operation_submit(r);
}
