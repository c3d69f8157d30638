/*
 * The configuration: one JSON document, read and checked as a whole, then immutable.
 *
 * A struct config is shared by reference count: whoever holds one (a worker, an operation at the
 * store) sees the same limits until it releases it, while a reload puts a new one in force for
 * later requests.
 */
#ifndef RATIOND_CONFIG_H
#define RATIOND_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/limit.h"

enum config_outage { OUTAGE_DENY, OUTAGE_ALLOW, OUTAGE_LOCAL };

/* Where the store is. Strings are owned by the configuration. */
struct config_store {
    enum { STORE_EMBEDDED, STORE_TCP, STORE_UNIX } kind;
    char *url;      /* as configured, without password: for logs */
    char *host;     /* STORE_TCP */
    uint16_t port;  /* STORE_TCP */
    char *path;     /* STORE_UNIX */
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    int db;
    uint32_t timeout_ms; /* how long one batch may take before the store counts as away, 10-60000 */
};

struct config_listen {
    char *resp_host; /* "127.0.0.1", "::", ... */
    uint16_t resp_port;
    char *http_host; /* NULL: not configured */
    uint16_t http_port;
    char *unix_path; /* NULL: not configured */
};

/* A tier's or a tenant's own limits in one pool. */
struct config_in_pool {
    const struct config_pool *pool;
    struct limit_set *limits;
};

/* When a pool's circuit opens, and for how long. */
struct config_breaker {
    uint32_t failures_ppm; /* the share of failed reports, in millionths; 0: never */
    uint32_t at_least;     /* reports in the window before it is judged */
    uint32_t window_ms;
    uint32_t cool_down_ms;
};

enum config_estimates { ESTIMATES_STATED, ESTIMATES_LEARNED };

struct config_pool {
    char *name;
    char *domain;
    struct config_breaker breaker;
    /* LEARNED: as if every ACQUIRE with input_tokens or output_tokens said LEARNED */
    enum config_estimates estimates;
    struct limit_set *limits;
};

struct config_tier {
    char *name;
    unsigned priority; /* 0 - 2 */
    struct limit_set *limits;
    struct config_in_pool *in_pool;
    size_t n_in_pool;
};

struct config_tenant {
    char *name;
    const struct config_tier *tier;
    struct limit_set *limits; /* instead of the tier's; NULL: the tier's */
    struct config_in_pool *in_pool;
    size_t n_in_pool;
    char *secret; /* its credential; NULL: it has none */
};

struct config {
    struct config_listen listen;
    struct config_store store;
    enum config_outage on_outage;
    uint32_t ttl_ms;          /* of a reservation without TTL */
    uint32_t max_outstanding; /* reservations of a tenant, in each domain */
    unsigned max_connections;
    unsigned threads;      /* workers; 0: one for each core */
    char *operator_secret; /* the credential that allows everything; NULL: none */
    bool auth_required;    /* some credential is configured, so every connection needs one */
    const struct config_tier *default_tier; /* NULL: unknown tenants are refused */
    char **domains;                         /* every domain that some pool names, n_domains >= 1 */
    size_t n_domains;
    /* the rest is reached through the functions below */
    struct config_tables *tables;
    size_t refs;
};

/* What is wrong with a document: one line a problem, "path: what is wrong; what to do". */
struct config_problems {
    size_t n;
    char **lines;
};

/*
 * Reads and checks a document (text of n bytes; `name` is its file's name, for messages). Finds all
 * problems in one run, not only the first. Returns 0 and gives *out (one reference), or -1 and
 * gives *problems. Secrets that the document names by file or environment variable are read here.
 */
int config_parse(const char *name, const char *text, size_t n, struct config **out,
                 struct config_problems *problems);
int config_load_file(const char *path, struct config **out, struct config_problems *problems);
/* The built-in example: the tiers free, pro and enterprise, and the pool openai/gpt-4o as OpenAI's
 * tier 1. */
int config_load_default(struct config **out, struct config_problems *problems);
const char *config_default_text(void);
void config_problems_free(struct config_problems *problems);

/* Both are thread-safe. unref accepts NULL, and frees with the last reference. */
struct config *config_ref(struct config *config);
void config_unref(struct config *config);

const struct config_pool *config_pool(const struct config *config, const char *name, size_t n);
const struct config_tenant *config_tenant(const struct config *config, const char *name, size_t n);
const struct config_tier *config_tier(const struct config *config, const char *name, size_t n);

/* In the document's order; index < count. */
size_t config_pool_count(const struct config *config);
const struct config_pool *config_pool_at(const struct config *config, size_t index);
size_t config_tenant_count(const struct config *config);
const struct config_tenant *config_tenant_at(const struct config *config, size_t index);

/* Returns the path of the first changed setting that needs a restart, or NULL. */
const char *config_restart_needed(const struct config *from, const struct config *to);

/* Gives the table of settings as text, for --help: a row each with type, default, range,
 * reloadable, help. */
char *config_describe(void);

#endif
