/*
 * Policy: which buckets a call of a tenant to a pool must pass, and with which limits.
 *
 * This is the only place that knows tiers. It hands out bucket names and limit sets; the script
 * never hears of tiers.
 */
#ifndef RATIOND_POLICY_H
#define RATIOND_POLICY_H

#include <stddef.h>

#include "config/config.h"

#define POLICY_MAX_BUCKETS 3

enum policy_scope { SCOPE_POOL, SCOPE_TENANT, SCOPE_TENANT_IN_POOL };

enum policy_result { POLICY_OK, POLICY_NOPOOL, POLICY_NOTENANT };

struct policy_bucket {
    enum policy_scope scope;
    const struct limit_set *set; /* borrowed from the configuration */
};

struct policy {
    const struct config_pool *pool;
    unsigned priority; /* of the tenant's tier */
    /* 2 - POLICY_MAX_BUCKETS; the pool's bucket is always the first and the tenant's the second,
     * even with no limits */
    unsigned n;
    struct policy_bucket buckets[POLICY_MAX_BUCKETS];
};

/* Fills out unless it returns POLICY_NOPOOL; with POLICY_NOTENANT only with the pool's bucket. */
enum policy_result policy_resolve(const struct config *config, const char *pool, size_t pool_n,
                                  const char *tenant, size_t tenant_n, struct policy *out);

/* Are these bytes a valid name for a pool or a tenant? (protocol.h: lengths, printable ASCII, no
 * quotes) */
bool policy_name_ok(const char *name, size_t n, size_t max);

#endif
