/* Ids: how the library makes its own (the canonical form of protocol.h), and which ids, pools and
 * tenants may be sent. An id maker belongs to one handle and one thread. */
#ifndef RATION_ID_H
#define RATION_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_SLICE_USES   100  /* ids that share a slice at most: it is one hash in the store */
#define ID_SLICE_AGE_MS 5000 /* and for how long: whole slices expire at once */
#define ID_RANDOM_CHARS 11   /* of the handle: 56 bits. With 13 digits of counter a slice is full */
#define ID_TOKEN_BYTES  (16 + 1)

struct id_maker {
    char prefix[ID_RANDOM_CHARS + 1]; /* this handle's random part */
    uint64_t slice;                   /* counts slices; the second part of their names */
    int64_t slice_since_ms;           /* when the slice was begun */
    unsigned used;                    /* ids in the slice */
};

/* 0, or RATION_EUNSUPPORTED if the system has no random bytes. */
int id_maker_init(struct id_maker *maker);

/* Writes a fresh canonical id for one call of `tenant` to `pool` into out[RATION_MAX_ID_BYTES].
 * Errors as above. */
int id_make(struct id_maker *maker, int64_t now_ms, const char *pool, const char *tenant,
            char *out);

/* Writes 16 random hexadecimal digits and a NUL. Errors as above. */
int id_make_token(char out[ID_TOKEN_BYTES]);

bool id_is_canonical(const char *id);
/* Canonical, or 1 - 128 printable bytes that do not begin like a canonical one. */
bool id_is_valid(const char *id);
bool id_pool_is_valid(const char *pool);
bool id_tenant_is_valid(const char *tenant);

/* A reason, as in reports and for closed pools: 1 - RATION_MAX_REASON_BYTES printable characters
 * without space. */
bool id_reason_is_valid(const char *reason);

#endif
