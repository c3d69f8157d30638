/*
 * One operation after another:
 *
 *     for each domain, the tenant's own bucket, together with its bucket in the domain's first pool
 *     for each other pool in which the tenant has limits, its bucket there
 *
 * The results are kept until all operations are done, so that one answer reports them together.
 * Each operation by itself takes effect exactly once. If the store goes away in the middle, what
 * has been forgiven stays forgiven: the error says so, and sending the command again finds no debt
 * there.
 */
#include "command/forgive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "command/command.h"
#include "config/config.h"
#include "policy/limit.h"
#include "worker.h"

struct forgiven {
    enum policy_scope scope;
    const struct config_pool *pool; /* SCOPE_TENANT_IN_POOL: which */
    const struct limit *limit;
    int64_t amount;
};

struct forgiving {
    struct op op;
    struct request *request;
    size_t pool; /* the next one's index in the configuration */
    struct forgiven *rows;
    size_t n, capacity;
};

static bool submit_next(struct forgiving *f);

/* ---- the end --------------------------------------------------------------------------------- */

static void forgiving_free(struct forgiving *f)
{
    worker_config_unref(f->request->worker, f->op.config);
    free(f->rows);
    free(f);
}

static void end(struct forgiving *f)
{
    struct request *r = f->request;
    forgiving_free(f);
    request_finish(r);
}

static void write_row(struct buf *out, int resp, const struct op *op, const struct forgiven *row)
{
    char scope[RATION_MAX_TENANT_BYTES + RATION_MAX_POOL_BYTES + 16];
    bool in_pool = row->scope == SCOPE_TENANT_IN_POOL;
    int n = snprintf(scope, sizeof scope, "tenant:%.*s%s%s", op->id.tenant_bytes, op->id.tenant,
                     in_pool ? "@" : "", in_pool ? row->pool->name : "");
    resp_map(out, resp, 4);
    resp_text(out, "scope");
    resp_bulk(out, scope, (size_t)n);
    resp_text(out, "unit");
    resp_text(out, limit_unit_name(row->limit->unit));
    resp_text(out, "per");
    resp_text(out, row->limit->per);
    resp_text(out, "forgiven");
    resp_integer(out, row->amount);
}

static void write_answer(struct forgiving *f)
{
    struct request *r = f->request;
    struct buf *out = request_out(r);
    resp_array(out, f->n);
    for (size_t i = 0; i < f->n; i++)
        write_row(out, r->resp, &f->op, &f->rows[i]);
}

static void fail(struct forgiving *f, const char *why)
{
    char shown[RESP_SHOW_BYTES];
    request_error(f->request, RATION_ERR_UNAVAILABLE,
                  "not all of the debt could be forgiven (%s); send the command again: what was "
                  "already forgiven stays forgiven",
                  resp_show(shown, why, strlen(why)));
    end(f);
}

/* ---- one operation --------------------------------------------------------------------------- */

static bool keep(struct forgiving *f, const struct forgiven *row)
{
    if (f->n == f->capacity) {
        size_t capacity = f->capacity ? f->capacity * 2 : 16;
        struct forgiven *grown = realloc(f->rows, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        f->rows = grown;
        f->capacity = capacity;
    }
    f->rows[f->n++] = *row;
    return true;
}

static void on_forgiven(struct op *op)
{
    struct forgiving *f = op->arg;
    const struct policy *policy = &op->policy;
    const struct op_row *row = op->rows;
    if (op->outcome != OP_FORGIVEN) {
        fail(f, op->outcome == OP_REFUSED && op->trouble != NULL ? op->trouble
                                                                 : "the store did not answer");
        return;
    }
    for (unsigned i = 0; i < policy->n; i++) {
        for (size_t j = 0; j < policy->buckets[i].set->n; j++, row++) {
            const struct forgiven one = {policy->buckets[i].scope, policy->pool,
                                         &policy->buckets[i].set->limits[j], row->remaining};
            if (one.amount > 0 && !keep(f, &one)) {
                fail(f, "out of memory");
                return;
            }
        }
    }
    if (!submit_next(f)) {
        write_answer(f);
        end(f);
    }
}

/* Is this the first pool of its domain? If not, the tenant's own bucket there has been met
 * already. */
static bool is_first_of_domain(const struct config *config, size_t pool)
{
    const char *domain = config_pool_at(config, pool)->domain;
    for (size_t i = 0; i < pool; i++)
        if (strcmp(config_pool_at(config, i)->domain, domain) == 0)
            return false;
    return true;
}

/* Finds the tenant's buckets that this pool adds to those before it; false if there are none. */
static bool find_buckets(struct forgiving *f, size_t which)
{
    struct op *op = &f->op;
    struct policy all;
    const struct config_pool *pool = config_pool_at(op->config, which);
    size_t pool_n = strlen(pool->name);
    if (policy_resolve(op->config, pool->name, pool_n, op->id.tenant, op->id.tenant_bytes, &all) !=
        POLICY_OK)
        return false;
    op->policy = (struct policy){.pool = pool, .priority = all.priority};
    for (unsigned i = 0; i < all.n; i++)
        if (all.buckets[i].scope == SCOPE_TENANT_IN_POOL ||
            (all.buckets[i].scope == SCOPE_TENANT && all.buckets[i].set->n > 0 &&
             is_first_of_domain(op->config, which)))
            op->policy.buckets[op->policy.n++] = all.buckets[i];
    op->id.pool_bytes = (uint8_t)pool_n;
    memcpy(op->id.pool, pool->name, pool_n);
    return op->policy.n > 0;
}

/* Returns false once all are done. */
static bool submit_next(struct forgiving *f)
{
    struct op *op = &f->op;
    op->id.slice_bytes = 0; /* each operation has an id of its own */
    while (f->pool < config_pool_count(op->config)) {
        if (find_buckets(f, f->pool++)) {
            batch_submit(f->request->worker->batcher, op);
            return true;
        }
    }
    return false;
}

void forgive_run(struct request *r, const struct arg *tenant)
{
    struct forgiving *f = calloc(1, sizeof *f);
    if (f == NULL) {
        request_error(r, RATION_ERR_UNAVAILABLE, "out of memory");
        return;
    }
    f->request = r;
    f->op.kind = OP_FORGIVE;
    f->op.config = worker_config_ref(r->worker);
    f->op.done = on_forgiven;
    f->op.arg = f;
    f->op.id.tenant_bytes = (uint8_t)tenant->n;
    memcpy(f->op.id.tenant, tenant->p, tenant->n);
    if (submit_next(f)) {
        request_wait(r);
        return;
    }
    write_answer(f); /* the tenant has no limits anywhere */
    forgiving_free(f);
}
