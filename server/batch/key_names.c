/* The names of all keys in the store. */
#define _GNU_SOURCE /* mempcpy */
#include "batch/key_names.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *kind;
    enum { POOL, TENANT, TENANT_AT_POOL, SLICE, TENANT_AND_FREE, FREE } names;
} kinds[KEY_KINDS] = {
    [KEY_POOL] = {"p", POOL},
    [KEY_POOL_SLOTS] = {"ps", POOL},
    [KEY_POOL_HEALTH] = {"k", POOL},
    [KEY_TENANT] = {"t", TENANT},
    [KEY_TENANT_SLOTS] = {"ts", TENANT},
    [KEY_IN_POOL] = {"i", TENANT_AT_POOL},
    [KEY_IN_POOL_SLOTS] = {"is", TENANT_AT_POOL},
    [KEY_ESTIMATES] = {"e", TENANT_AT_POOL},
    [KEY_SLICE] = {"r", SLICE},
    [KEY_FREE_ID] = {"f", TENANT_AND_FREE},
    [KEY_FREE_TENANT] = {"n", FREE},
};

static char *put(char *to, const char *text)
{
    return mempcpy(to, text, strlen(text));
}

static char *put_names(char *to, enum key_kind kind, const struct id *id)
{
    switch (kinds[kind].names) {
    case POOL:
        return mempcpy(to, id->pool, id->pool_bytes);
    case TENANT:
        return mempcpy(to, id->tenant, id->tenant_bytes);
    case TENANT_AT_POOL:
        to = mempcpy(to, id->tenant, id->tenant_bytes);
        *to++ = '@';
        return mempcpy(to, id->pool, id->pool_bytes);
    case SLICE:
        return mempcpy(to, id->slice, id->slice_bytes);
    case TENANT_AND_FREE:
        to = mempcpy(to, id->tenant, id->tenant_bytes);
        *to++ = ' ';
        return mempcpy(to, id->free_text, id->free_bytes);
    case FREE:
        return mempcpy(to, id->free_text, id->free_bytes);
    }
    return to;
}

static char *put_start(char *to, const char *domain, const char *kind)
{
    assert(strlen(domain) <= RATION_MAX_DOMAIN_BYTES);
    to = put(to, "ration:{");
    to = put(to, domain);
    to = put(to, "}:");
    to = put(to, kind);
    return put(to, ":");
}

size_t key_name(enum key_kind kind, const char *domain, const struct id *id, char buf[KEY_BYTES])
{
    char *end = put_names(put_start(buf, domain, kinds[kind].kind), kind, id);
    *end = '\0';
    return (size_t)(end - buf);
}

size_t key_name_of_pool(enum key_kind kind, const char *domain, const char *pool,
                        char buf[KEY_BYTES])
{
    assert(kinds[kind].names == POOL && strlen(pool) <= RATION_MAX_POOL_BYTES);
    char *end = put(put_start(buf, domain, kinds[kind].kind), pool);
    *end = '\0';
    return (size_t)(end - buf);
}

size_t key_pattern_of_reservations(const char *domain, char buf[KEY_BYTES])
{
    char *end = put(put_start(buf, domain, "[fr]"), "*");
    *end = '\0';
    return (size_t)(end - buf);
}
