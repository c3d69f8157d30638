/*
 * Forgiving a tenant's debt: each of its buckets that is below zero is brought up to zero, and
 * nothing more is given.
 */
#ifndef RATIOND_FORGIVE_H
#define RATIOND_FORGIVE_H

struct arg;
struct request;

/* Forgives the debt of the tenant of that name in every domain, and answers the request, now or
 * later. The caller has made sure that the tenant's tier is known. Copies the name. */
void forgive_run(struct request *request, const struct arg *tenant);

#endif
