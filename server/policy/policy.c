/*
 * From names to buckets: at most three, in the order in which a denial names them.
 *
 *     pool             always, so that its health and ledger exist even if it has no limits
 *     tenant           always, with its own limits, else its tier's: it counts its reservations
 *     tenant in pool   its own limits there, else its tier's there
 *
 * A tenant without limits in the pool has no bucket there. A tenant that is not configured has the
 * default tier, or is refused if there is none. Nothing here allocates or locks: it runs once for
 * each request.
 */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

static int compare_pools(const void *key, const void *element)
{
    const struct config_pool *wanted = key;
    const struct config_in_pool *entry = element;
    if (wanted == entry->pool)
        return 0;
    return (uintptr_t)wanted < (uintptr_t)entry->pool ? -1 : 1;
}

/* NULL: no limits for this pool. The configuration keeps these lists sorted by address. */
static const struct limit_set *find_in_pool(const struct config_in_pool *list, size_t n,
                                            const struct config_pool *pool)
{
    if (n == 0)
        return NULL;
    const struct config_in_pool *found = bsearch(pool, list, n, sizeof *list, compare_pools);
    return found != NULL ? found->limits : NULL;
}

static void add_bucket(struct policy *policy, enum policy_scope scope, const struct limit_set *set)
{
    if (set == NULL || (set->n == 0 && scope == SCOPE_TENANT_IN_POOL))
        return;
    policy->buckets[policy->n++] = (struct policy_bucket){.scope = scope, .set = set};
}

enum policy_result policy_resolve(const struct config *config, const char *pool, size_t pool_n,
                                  const char *tenant, size_t tenant_n, struct policy *out)
{
    const struct config_pool *in = config_pool(config, pool, pool_n);
    if (in == NULL)
        return POLICY_NOPOOL;
    const struct config_tenant *who = config_tenant(config, tenant, tenant_n);
    const struct config_tier *tier = who != NULL ? who->tier : config->default_tier;
    if (tier == NULL) {
        /* A report of a tenant that is no longer known must still be settled in the pool. */
        *out = (struct policy){.pool = in};
        add_bucket(out, SCOPE_POOL, in->limits);
        return POLICY_NOTENANT;
    }

    const struct limit_set *own = tier->limits;
    const struct limit_set *here = NULL;
    if (who != NULL) {
        if (who->limits != NULL)
            own = who->limits;
        here = find_in_pool(who->in_pool, who->n_in_pool, in);
    }
    if (here == NULL)
        here = find_in_pool(tier->in_pool, tier->n_in_pool, in);

    *out = (struct policy){.pool = in, .priority = tier->priority};
    add_bucket(out, SCOPE_POOL, in->limits);
    add_bucket(out, SCOPE_TENANT, own);
    add_bucket(out, SCOPE_TENANT_IN_POOL, here);
    return POLICY_OK;
}

/* Spelled out, because searching RATION_NAME_FORBIDDEN for each letter of each name took a
 * twentieth of a request's time. A unit test compares the two. */
static bool may_be_in_name(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '{' && c != '}';
}

bool policy_name_ok(const char *name, size_t n, size_t max)
{
    if (n == 0 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!may_be_in_name((unsigned char)name[i]))
            return false;
    return true;
}
