/*
 * Fuzz target: the configuration. Any bytes give either a configuration or at least one problem,
 * each on one line, and nothing leaks. A configuration can be walked and queried.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "log.h"
#include "policy/policy.h"
#include "policy/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition)
        abort();
}

static void check_set(const struct limit_set *set)
{
    check(set->n <= RATION_MAX_LIMITS);
    for (size_t i = 0; i < set->n; i++) {
        const struct limit *limit = &set->limits[i];
        check(limit->amount >= 1 && limit->amount <= RATION_MAX_AMOUNT);
        check(limit->capacity >= 1 && limit->capacity <= RATION_MAX_AMOUNT);
        check((limit->per_ms == 0) == (limit->algorithm == LIMIT_CONCURRENT));
        check((limit->zone != NULL) == (limit->algorithm == LIMIT_CALENDAR));
        for (size_t p = 0; p < RATION_PRIORITIES; p++)
            check(limit->held_back[p] >= 0 && limit->held_back[p] <= limit->capacity);
        int64_t bounds[3];
        if (limit->zone != NULL)
            zone_bounds(limit->zone, limit->calendar, 1790000000000, bounds);
    }
}

static void check_config(const struct config *config)
{
    check(config->listen.resp_host != NULL && config->store.url != NULL && config->n_domains >= 1);
    check(config_pool_count(config) >= 1);
    for (size_t i = 0; i < config_pool_count(config); i++) {
        const struct config_pool *pool = config_pool_at(config, i);
        check(config_pool(config, pool->name, strlen(pool->name)) == pool);
        check_set(pool->limits);
        for (size_t j = 0; j < config_tenant_count(config); j++) {
            const struct config_tenant *tenant = config_tenant_at(config, j);
            struct policy policy;
            check(policy_resolve(config, pool->name, strlen(pool->name), tenant->name,
                                 strlen(tenant->name), &policy) == POLICY_OK);
            check(policy.n >= 1 && policy.buckets[0].set == pool->limits);
            for (unsigned k = 0; k < policy.n; k++)
                check_set(policy.buckets[k].set);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_LEVEL_ERROR);
    struct config *config;
    struct config_problems problems;
    if (config_parse("fuzz", (const char *)data, size, &config, &problems) == 0) {
        check_config(config);
        check(config_restart_needed(config, config) == NULL);
        config_unref(config);
        return 0;
    }
    check(problems.n >= 1);
    for (size_t i = 0; i < problems.n; i++)
        check(problems.lines[i][0] != '\0' && strchr(problems.lines[i], '\n') == NULL);
    config_problems_free(&problems);
    return 0;
}
