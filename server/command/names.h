/*
 * Pools, tenants and ids as commands name them: checked, allowed for this connection, resolved to a
 * policy.
 */
#ifndef RATIOND_NAMES_H
#define RATIOND_NAMES_H

#include <stdbool.h>

#include "net/request.h"
#include "net/resp.h"

/*
 * For `pool tenant`: fills request->op's policy, priority, and the names in op's id.
 * operation_init() comes first. Returns true, or false if the request has been answered with an
 * error.
 */
bool names_resolve(struct request *request, const struct arg *pool, const struct arg *tenant);

/*
 * For a reservation's `id`: fills op's id and, if it is canonical, policy and priority; for a
 * free-form one the batch asks the store. tenant: whose id it is, if the caller says so (else its p
 * is NULL). Returns as names_resolve.
 */
bool names_resolve_id(struct request *request, const struct arg *id, const struct arg *tenant);

/* The pool of that name, in the configuration in force; NULL: the request has been answered
 * NOPOOL. */
const struct config_pool *names_pool(struct request *request, const struct arg *pool);

/* Answers NOTENANT. */
void names_answer_notenant(struct request *request, const char *tenant, size_t n);

/* A tenant's tier; NULL: the tenant is not configured, and there is no default tier. */
const struct config_tier *names_tier(const struct config *config, const char *tenant, size_t n);

#endif
