/*
 * From the document's tree to a configuration: pools, then tiers, then tenants, whatever their
 * order in the document, because each may refer to the previous ones.
 *
 * A problem with a pool or a tier does not remove it, so that references to it are not reported as
 * well.
 */
#include "config/config_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "policy/policy.h"

static size_t count_of(struct json_object *map)
{
    return map != NULL ? (size_t)json_object_object_length(map) : 0;
}

/* Is the key a valid name for a `what`? Notes a problem if not. */
static bool check_name(struct reader *reader, const struct config_place *at, const char *what,
                       size_t max, bool no_at)
{
    if (policy_name_ok(at->key, strlen(at->key), max) && !(no_at && strchr(at->key, '@') != NULL))
        return true;
    config_problem(reader->problems, at,
                   "not a valid name for a %s; use 1 to %zu printable ASCII characters without "
                   "spaces, quotes, backslashes%s",
                   what, max, no_at ? ", braces and @" : " and braces");
    return false;
}

/* ---- Pools ----------------------------------------------------------------------------------- */

static bool domain_ok(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
            return false;
    return n >= 1 && n <= RATION_MAX_DOMAIN_BYTES;
}

static char *read_domain(const struct section *section)
{
    const char *name = section_string(section, "domain");
    if (name == NULL)
        name = "default";
    if (!domain_ok(name)) {
        char quoted[CONFIG_QUOTED_BYTES];
        section_problem(section, "domain",
                        "%s is not a valid name for a domain; use 1 to %d letters, digits, - and _",
                        config_quote(quoted, name, strlen(name)), RATION_MAX_DOMAIN_BYTES);
        name = "default";
    }
    return config_copy(section->reader->config, name, strlen(name));
}

/*
 * The shares held back, in billionths: these represent a fraction as people write it (0.1) exactly,
 * which binary numbers do not.
 */
#define BILLION 1000000000

static void read_hold_back(const struct section *section, int64_t parts[RATION_PRIORITIES])
{
    memset(parts, 0, RATION_PRIORITIES * sizeof *parts);
    struct json_object *list = section_container(section, "hold_back");
    if (list == NULL)
        return;
    bool ok = json_object_array_length(list) == RATION_PRIORITIES;
    double before = 0;
    for (size_t i = 0; i < RATION_PRIORITIES && ok; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        ok =
            json_object_is_type(item, json_type_double) || json_object_is_type(item, json_type_int);
        double share = ok ? json_object_get_double(item) : 0;
        ok = ok && share >= before && share < 1; /* NaN compares false */
        if (ok) {
            before = share;
            int64_t part = (int64_t)(share * BILLION + 0.5);
            parts[i] = part < BILLION ? part : BILLION - 1;
        }
    }
    if (!ok)
        section_problem(section, "hold_back",
                        "not three fractions; use three numbers from 0 to less than 1, none less "
                        "than the one before, such as [0, 0.1, 0.3]");
}

/* What each limit holds back, rounded up to whole units; but at least 1 stays usable, or a small
 * limit would be closed. */
static void set_held_back(struct limit_set *set, const int64_t parts[RATION_PRIORITIES])
{
    for (size_t i = 0; i < set->n; i++) {
        int64_t capacity = set->limits[i].capacity;
        for (size_t p = 0; p < RATION_PRIORITIES; p++) {
            int64_t part = (int64_t)(((__int128)parts[p] * capacity + BILLION - 1) / BILLION);
            set->limits[i].held_back[p] = part < capacity ? part : capacity - 1;
        }
    }
}

static bool overridden(const struct limit *limit, const struct limit_set *own)
{
    for (size_t i = 0; i < own->n; i++)
        if (own->limits[i].unit == limit->unit && own->limits[i].per_ms == limit->per_ms)
            return true;
    return false;
}

/* The preset's limits except those that the pool overrides, then the pool's own. */
static struct limit_set *merge_limits(struct config *config, const struct limit_set *preset,
                                      const struct limit_set *own)
{
    struct limit_set *all =
        config_alloc(config, sizeof *all + (preset->n + own->n) * sizeof(struct limit));
    for (size_t i = 0; i < preset->n; i++)
        if (!overridden(&preset->limits[i], own))
            all->limits[all->n++] = preset->limits[i];
    for (size_t i = 0; i < own->n; i++)
        all->limits[all->n++] = own->limits[i];
    return all;
}

static struct limit_set *read_pool_limits(const struct section *section)
{
    static const struct limit_set nothing = {0};
    struct reader *reader = section->reader;
    size_t before = reader->problems->n;
    const struct limit_set *preset = config_read_preset(section);
    const struct limit_set *own = config_read_limits(section, "limits", LIMIT_ROLLING);
    struct limit_set *all = merge_limits(reader->config, preset != NULL ? preset : &nothing,
                                         own != NULL ? own : &nothing);
    if (reader->problems->n > before || section->object == NULL)
        return all;
    if (all->n == 0)
        config_problem(reader->problems, section->whole,
                       "no limits; give limits, or a preset such as \"openai/gpt-4o/tier1\"");
    if (all->n > RATION_MAX_LIMITS)
        config_problem(reader->problems, section->whole,
                       "%zu limits including those of the preset; the most is %d", all->n,
                       RATION_MAX_LIMITS);
    return all;
}

/* Absent: the defaults. null: the circuit never opens. */
static void read_breaker(const struct section *pool, struct config_breaker *out)
{
    struct config_place at = section_place(pool, "breaker");
    struct section section = {.reader = pool->reader, .pattern = "pools.<name>.breaker"};
    struct json_object *value;
    if (section_find(pool, "breaker", &value) && value == NULL)
        return;
    value = section_container(pool, "breaker");
    if (value != NULL)
        section_open(&section, pool->reader, &at, value, "pools.<name>.breaker");
    out->failures_ppm = section_fraction(&section, "failures");
    out->at_least = (uint32_t)section_integer(&section, "at_least");
    out->window_ms = (uint32_t)section_integer(&section, "window_ms");
    out->cool_down_ms = (uint32_t)section_integer(&section, "cool_down_ms");
}

static void read_pool(struct reader *reader, const struct config_place *at,
                      struct json_object *value)
{
    struct config *config = reader->config;
    struct config_pool *pool = config_alloc(config, sizeof *pool);
    check_name(reader, at, "pool", RATION_MAX_POOL_BYTES, true);
    struct section section;
    section_open(&section, reader, at, value, "pools.<name>");
    pool->name = config_copy(config, at->key, strlen(at->key));
    pool->domain = read_domain(&section);
    pool->estimates = (enum config_estimates)section_word(&section, "estimates");
    read_breaker(&section, &pool->breaker);
    int64_t parts[RATION_PRIORITIES];
    read_hold_back(&section, parts);
    pool->limits = read_pool_limits(&section);
    set_held_back(pool->limits, parts);
    config_table_add(config, &config->tables->pools, pool->name, pool);
}

static bool domain_known(const struct config *config, const char *domain)
{
    for (size_t i = 0; i < config->n_domains; i++)
        if (strcmp(config->domains[i], domain) == 0)
            return true;
    return false;
}

static void collect_domains(struct config *config)
{
    const struct config_table *pools = &config->tables->pools;
    config->domains = config_alloc(config, (pools->n + 1) * sizeof *config->domains);
    for (size_t i = 0; i < pools->n; i++) {
        struct config_pool *pool = pools->items[i];
        if (!domain_known(config, pool->domain))
            config->domains[config->n_domains++] = pool->domain;
    }
}

static void read_pools(const struct section *document)
{
    struct reader *reader = document->reader;
    struct json_object *map = section_container(document, "pools");
    config_table_init(reader->config, &reader->config->tables->pools, count_of(map));
    if (count_of(map) == 0 && (map != NULL || !section_has(document, "pools")))
        section_problem(document, "pools",
                        "none configured; add at least one, such as {\"openai/gpt-4o\": "
                        "{\"preset\": \"openai/gpt-4o/tier1\"}}");
    if (map == NULL)
        return;
    struct config_place all = section_place(document, "pools");
    json_object_object_foreach(map, key, value)
    {
        struct config_place at = {.up = &all, .key = key};
        read_pool(reader, &at, value);
    }
    collect_domains(reader->config);
}

/* ---- Tiers and tenants ----------------------------------------------------------------------- */

static int by_pool_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct config_in_pool *)a)->pool;
    uintptr_t right = (uintptr_t)((const struct config_in_pool *)b)->pool;
    return (left > right) - (left < right);
}

/* Notes a reference to something that is not in the document. */
static void no_such(struct reader *reader, const struct config_place *at, const char *what,
                    const char *found, const struct config_table *table)
{
    struct config_names names = {.found = found};
    for (size_t i = 0; i < table->n; i++) /* each item begins with its name */
        config_names_add(&names, *(char *const *)table->items[i]);
    char quoted[CONFIG_QUOTED_BYTES];
    config_quote(quoted, found, strlen(found));
    if (table->n == 0)
        config_problem(reader->problems, at, "there is no %s %s; %ss has none, so add it there",
                       what, quoted, what);
    else if (names.best != NULL)
        config_problem(reader->problems, at, "there is no %s %s; did you mean \"%s\"? %ss are %s",
                       what, quoted, names.best, what, names.list);
    else
        config_problem(reader->problems, at, "there is no %s %s; %ss are %s", what, quoted, what,
                       names.list);
}

/* Reads in_pool; the list is sorted by address, for policy.c. */
static struct config_in_pool *read_in_pool(const struct section *section, size_t *n)
{
    struct reader *reader = section->reader;
    struct json_object *map = section_container(section, "in_pool");
    *n = 0;
    if (count_of(map) == 0)
        return NULL;
    struct config_in_pool *list = config_alloc(reader->config, count_of(map) * sizeof *list);
    struct config_place all = section_place(section, "in_pool");
    json_object_object_foreach(map, key, value)
    {
        struct config_place at = {.up = &all, .key = key};
        const struct config_pool *pool = config_pool(reader->config, key, strlen(key));
        if (pool == NULL)
            no_such(reader, &at, "pool", key, &reader->config->tables->pools);
        struct limit_set *set = config_read_limit_list(reader, &at, value, LIMIT_BUCKET);
        if (pool != NULL)
            list[(*n)++] = (struct config_in_pool){.pool = pool, .limits = set};
    }
    qsort(list, *n, sizeof *list, by_pool_address);
    return list;
}

static void read_tier(struct reader *reader, const struct config_place *at,
                      struct json_object *value)
{
    struct config *config = reader->config;
    struct config_tier *tier = config_alloc(config, sizeof *tier);
    check_name(reader, at, "tier", RATION_MAX_TIER_BYTES, false);
    struct section section;
    section_open(&section, reader, at, value, "tiers.<name>");
    tier->name = config_copy(config, at->key, strlen(at->key));
    tier->priority = (unsigned)section_integer(&section, "priority");
    section_integer(&section, "weight"); /* checked; waiting reads it */
    tier->limits = config_read_limits(&section, "limits", LIMIT_BUCKET);
    if (tier->limits == NULL)
        tier->limits = config_alloc(config, sizeof *tier->limits);
    tier->in_pool = read_in_pool(&section, &tier->n_in_pool);
    config_table_add(config, &config->tables->tiers, tier->name, tier);
}

static const struct config_tier *find_tier(const struct section *section, const char *key,
                                           const char *name)
{
    struct reader *reader = section->reader;
    const struct config_tier *tier = config_tier(reader->config, name, strlen(name));
    struct config_place at = section_place(section, key);
    if (tier == NULL)
        no_such(reader, &at, "tier", name, &reader->config->tables->tiers);
    return tier;
}

static void missing_tier(const struct section *section)
{
    const struct config_table *tiers = &section->reader->config->tables->tiers;
    struct config_names names = {.found = ""};
    for (size_t i = 0; i < tiers->n; i++)
        config_names_add(&names, ((const struct config_tier *)tiers->items[i])->name);
    if (tiers->n > 0)
        section_problem(section, "tier", "missing; name one of the tiers: %s", names.list);
    else
        section_problem(section, "tier", "missing; add a tier to tiers, and name it here");
}

static void read_tenant(struct reader *reader, const struct config_place *at,
                        struct json_object *value)
{
    struct config *config = reader->config;
    struct config_tenant *tenant = config_alloc(config, sizeof *tenant);
    check_name(reader, at, "tenant", RATION_MAX_TENANT_BYTES, false);
    struct section section;
    section_open(&section, reader, at, value, "tenants.<name>");
    tenant->name = config_copy(config, at->key, strlen(at->key));
    const char *tier = section_string(&section, "tier");
    if (tier != NULL)
        tenant->tier = find_tier(&section, "tier", tier);
    else if (section.object != NULL && !section_has(&section, "tier"))
        missing_tier(&section);
    tenant->limits = config_read_limits(&section, "limits", LIMIT_BUCKET);
    tenant->in_pool = read_in_pool(&section, &tenant->n_in_pool);
    tenant->secret = config_read_secret(&section, "secret");
    config->auth_required |= tenant->secret != NULL;
    if (tenant->secret != NULL && config->operator_secret != NULL &&
        strcmp(tenant->secret, config->operator_secret) == 0)
        section_problem(
            &section, "secret",
            "the same as the operator's, which allows everything; give the tenant its own");
    config_table_add(config, &config->tables->tenants, tenant->name, tenant);
}

typedef void read_item_fn(struct reader *reader, const struct config_place *at,
                          struct json_object *value);

static void read_map(const struct section *document, const char *key, struct config_table *table,
                     read_item_fn *read_item)
{
    struct json_object *map = section_container(document, key);
    config_table_init(document->reader->config, table, count_of(map));
    if (map == NULL)
        return;
    struct config_place all = section_place(document, key);
    json_object_object_foreach(map, name, value)
    {
        struct config_place at = {.up = &all, .key = name};
        read_item(document->reader, &at, value);
    }
}

/* ---- The document ---------------------------------------------------------------------------- */

/* Opens a part of the document; a missing one has the defaults. */
static void open_part(const struct section *document, const char *key, struct section *part)
{
    struct json_object *value;
    struct config_place at = section_place(document, key);
    if (section_find(document, key, &value))
        section_open(part, document->reader, &at, value, key);
    else
        *part = (struct section){.reader = document->reader, .pattern = key};
    /* `at` is gone after this function, but only its key and the document above it are kept. */
}

static void read_defaults(const struct section *document)
{
    struct config *config = document->reader->config;
    config->on_outage = (enum config_outage)section_word(document, "on_outage");
    config->ttl_ms = (uint32_t)section_integer(document, "ttl_ms");
    config->max_outstanding = (uint32_t)section_integer(document, "max_outstanding");
    config->max_connections = (unsigned)section_integer(document, "max_connections");
    config->threads = (unsigned)section_integer(document, "threads");
    const char *tier = section_string(document, "default_tier");
    if (tier != NULL)
        config->default_tier = find_tier(document, "default_tier", tier);
}

void config_build(struct reader *reader, struct json_object *tree)
{
    struct config *config = reader->config;
    struct section document;
    struct section part;
    section_open(&document, reader, NULL, tree, "");

    open_part(&document, "listen", &part);
    config_read_address(&part, "resp", &config->listen.resp_host, &config->listen.resp_port);
    config_read_address(&part, "http", &config->listen.http_host, &config->listen.http_port);
    config->listen.unix_path = config_read_path(&part, "unix");
    open_part(&document, "store", &part);
    config_read_store(&part, &config->store);
    open_part(&document, "auth", &part);
    config->operator_secret = config_read_secret(&part, "operator");
    config->auth_required = config->operator_secret != NULL;

    read_pools(&document);
    read_map(&document, "tiers", &config->tables->tiers, read_tier);
    read_map(&document, "tenants", &config->tables->tenants, read_tenant);
    read_defaults(&document);

    if (reader->n_open_files > 0)
        log_warn("secret files are readable by everyone on this host",
                 "files=%zu first=%s remedy=\"chmod 600\"", reader->n_open_files,
                 reader->open_file);
}
