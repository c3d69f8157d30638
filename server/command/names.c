/*
 * From names to policies. An unknown name is answered with some known ones, but a tenant's
 * connection never learns other tenants' names.
 */
#include "command/names.h"

#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "config/config.h"
#include "net/conn.h"
#include "worker.h"

#define LIST_BYTES 400
#define LIST_NAMES 5

/* "a, b, c and 12 more" */
struct name_list {
    char text[LIST_BYTES];
    size_t n;
};

static void list_add(struct name_list *list, size_t index, const char *name)
{
    size_t used = strlen(list->text);
    if (index < LIST_NAMES)
        snprintf(list->text + used, sizeof list->text - used, "%s%.70s", index > 0 ? ", " : "",
                 name);
    list->n++;
}

static void list_end(struct name_list *list)
{
    size_t used = strlen(list->text);
    if (list->n == 0)
        snprintf(list->text, sizeof list->text, "none");
    else if (list->n > LIST_NAMES)
        snprintf(list->text + used, sizeof list->text - used, " and %zu more",
                 list->n - LIST_NAMES);
}

static void answer_nopool(struct request *r, const char *pool, size_t n)
{
    char shown[RESP_SHOW_BYTES];
    const struct config *config = r->worker->config;
    struct name_list list = {{0}, 0};
    for (size_t i = 0; i < config_pool_count(config); i++)
        list_add(&list, i, config_pool_at(config, i)->name);
    list_end(&list);
    request_error(r, RATION_ERR_NOPOOL,
                  "no pool '%s' is configured; add it to \"pools\", or use one of: %s",
                  resp_show(shown, pool, n), list.text);
}

void names_answer_notenant(struct request *r, const char *tenant, size_t n)
{
    char shown[RESP_SHOW_BYTES];
    const struct config *config = r->worker->config;
    struct name_list list = {{0}, 0};
    if (command_is_tenant(r)) {
        request_error(r, RATION_ERR_NOTENANT, "tenant '%s' is no longer configured",
                      resp_show(shown, tenant, n));
        return;
    }
    for (size_t i = 0; i < config_tenant_count(config); i++)
        list_add(&list, i, config_tenant_at(config, i)->name);
    list_end(&list);
    request_error(
        r, RATION_ERR_NOTENANT,
        "no tenant '%s' is configured; add it to \"tenants\", set \"default_tier\", or use "
        "one of: %s",
        resp_show(shown, tenant, n), list.text);
}

static bool check_name(struct request *r, const char *what, const struct arg *name, size_t max)
{
    char shown[RESP_SHOW_BYTES];
    if (policy_name_ok(name->p, name->n, max))
        return true;
    command_usage(r,
                  "'%s' is not a valid %s: 1 to %zu bytes of printable ASCII without spaces, "
                  "quotes, backslashes and braces",
                  resp_show(shown, name->p, name->n), what, max);
    return false;
}

bool names_resolve(struct request *r, const struct arg *pool, const struct arg *tenant)
{
    struct op *op = &r->op;
    if (!check_name(r, "pool", pool, RATION_MAX_POOL_BYTES) ||
        !check_name(r, "tenant", tenant, RATION_MAX_TENANT_BYTES) ||
        !command_may_act_for(r, tenant->p, tenant->n))
        return false;
    switch (policy_resolve(op->config, pool->p, pool->n, tenant->p, tenant->n, &op->policy)) {
    case POLICY_NOPOOL:
        answer_nopool(r, pool->p, pool->n);
        return false;
    case POLICY_NOTENANT:
        names_answer_notenant(r, tenant->p, tenant->n);
        return false;
    case POLICY_OK:
        break;
    }
    op->priority = (uint8_t)op->policy.priority;
    memcpy(op->id.pool, pool->p, pool->n);
    op->id.pool_bytes = (uint8_t)pool->n;
    memcpy(op->id.tenant, tenant->p, tenant->n);
    op->id.tenant_bytes = (uint8_t)tenant->n;
    return true;
}

/* Sets a free-form id's tenant: the stated one, else the connection's; else it stays open. */
static bool set_owner(struct request *r, const struct arg *tenant)
{
    struct id *id = &r->op.id;
    const struct identity *who = command_is_tenant(r) ? r->conn->tenant : NULL;
    if (tenant->p != NULL) {
        if (!check_name(r, "tenant", tenant, RATION_MAX_TENANT_BYTES) ||
            !command_may_act_for(r, tenant->p, tenant->n))
            return false;
        id->tenant_bytes = (uint8_t)tenant->n;
        memcpy(id->tenant, tenant->p, tenant->n);
    } else if (who != NULL) {
        id->tenant_bytes = (uint8_t)who->n;
        memcpy(id->tenant, who->name, who->n);
    }
    return true;
}

bool names_resolve_id(struct request *r, const struct arg *arg, const struct arg *tenant)
{
    struct op *op = &r->op;
    const char *wrong = id_parse(arg->p, arg->n, &op->id);
    if (wrong != NULL) {
        command_usage(r, "%s", wrong);
        return false;
    }
    if (op->id.free_form)
        return set_owner(r, tenant);
    const struct id *id = &op->id;
    if (tenant->p != NULL &&
        (tenant->n != id->tenant_bytes || memcmp(tenant->p, id->tenant, tenant->n) != 0)) {
        command_usage(r, "TENANT: that id belongs to another tenant");
        return false;
    }
    if (!command_may_act_for(r, id->tenant, id->tenant_bytes))
        return false;
    switch (policy_resolve(op->config, id->pool, id->pool_bytes, id->tenant, id->tenant_bytes,
                           &op->policy)) {
    case POLICY_NOPOOL:
        answer_nopool(r, id->pool, id->pool_bytes);
        return false;
    case POLICY_NOTENANT:
        /* Its tenant has left the configuration since the grant, but the pool's ledger must balance
         * all the same. */
        op->policy = (struct policy){.pool = config_pool(op->config, id->pool, id->pool_bytes),
                                     .priority = RATION_PRIORITIES - 1,
                                     .n = 1};
        op->policy.buckets[0] =
            (struct policy_bucket){.scope = SCOPE_POOL, .set = op->policy.pool->limits};
        break;
    case POLICY_OK:
        break;
    }
    op->priority = (uint8_t)op->policy.priority;
    return true;
}

const struct config_tier *names_tier(const struct config *config, const char *tenant, size_t n)
{
    const struct config_tenant *who = config_tenant(config, tenant, n);
    return who != NULL ? who->tier : config->default_tier;
}

const struct config_pool *names_pool(struct request *r, const struct arg *pool)
{
    const struct config_pool *found = config_pool(r->worker->config, pool->p, pool->n);
    if (found == NULL)
        answer_nopool(r, pool->p, pool->n);
    return found;
}
