/*
 * The names of all keys in the store. They are made only here; lua/README.md lists what each key
 * holds.
 *
 *     ration:{<domain>}:<kind>:<names>
 *
 * The kind comes before the names, because a name may end in anything, and has no colon, so that
 * keys of two kinds never meet. Two names are separated by a character that one of them cannot
 * contain: '@' is in no pool's name, so the last one separates; a space is in no tenant's name.
 */
#ifndef RATIOND_KEY_NAMES_H
#define RATIOND_KEY_NAMES_H

#include <stddef.h>

#include <ration/protocol.h>

#include "policy/id.h"

enum key_kind {
    KEY_POOL,
    KEY_POOL_SLOTS,
    KEY_POOL_HEALTH,
    KEY_TENANT,
    KEY_TENANT_SLOTS,
    KEY_IN_POOL, /* a tenant in one pool */
    KEY_IN_POOL_SLOTS,
    KEY_ESTIMATES,
    KEY_SLICE,
    KEY_FREE_ID,     /* the reservation of a tenant's free-form id */
    KEY_FREE_TENANT, /* whose a free-form id is, for callers that may act for all tenants */
    KEY_KINDS
};

/* Includes the terminating NUL. The pool's name and the free-form id, either of which may come
 * second, have the same maximum length. */
#define KEY_BYTES                                                                                  \
    (sizeof "ration:{}:ks: " + RATION_MAX_DOMAIN_BYTES + RATION_MAX_TENANT_BYTES +                 \
     RATION_MAX_FREE_ID_BYTES)

/* Writes the key of that kind for the names in id. Returns its length. */
size_t key_name(enum key_kind kind, const char *domain, const struct id *id, char buf[KEY_BYTES]);
/* The same for a pool, by its name. */
size_t key_name_of_pool(enum key_kind kind, const char *domain, const char *pool,
                        char buf[KEY_BYTES]);
/* Writes the pattern of all keys that hold reservations, for SCAN. Returns its length. */
size_t key_pattern_of_reservations(const char *domain, char buf[KEY_BYTES]);

#endif
