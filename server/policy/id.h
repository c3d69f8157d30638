/*
 * Ids of reservations: making, parsing and formatting them. protocol.h describes their form.
 */
#ifndef RATIOND_ID_H
#define RATIOND_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

struct id {
    bool free_form; /* chosen by the caller: `slice` and the names are not part of it */
    uint8_t slice_bytes;
    uint8_t member;
    /* free form: 0 until the store has been asked, if the caller may act for all tenants */
    uint8_t tenant_bytes;
    uint8_t pool_bytes; /* likewise */
    uint8_t free_bytes;
    unsigned char nonce[RATION_ID_NONCE_BYTES];
    char slice[RATION_ID_MAX_SLICE];
    char tenant[RATION_MAX_TENANT_BYTES];
    char pool[RATION_MAX_POOL_BYTES];
    char free_text[RATION_MAX_FREE_ID_BYTES];
};

/* Makes ids for one batcher. A slice ends by number and by age. */
struct id_maker {
    char prefix[12]; /* random, this maker's own */
    uint64_t sequence;
    unsigned used;      /* ids made in the current slice, and more for groups */
    uint64_t opened_ms; /* monotonic */
    size_t random_left;
    unsigned char random[64 * RATION_ID_NONCE_BYTES];
};

void id_maker_init(struct id_maker *maker);
/* Sets a new id's slice, nonce and member, for a group of `members`; leaves its names alone. */
void id_make(struct id_maker *maker, uint64_t monotonic_ms, size_t members, struct id *out);
/* Has it been made, or parsed? */
bool id_is_made(const struct id *id);

/* Parses an id. Returns NULL, or a static message that says what is wrong with it. */
const char *id_parse(const char *text, size_t n, struct id *out);

/* Writes the id's text, NUL-terminated, into buf of RATION_MAX_ID_BYTES; returns its length. */
size_t id_format(const struct id *id, char *buf);

/* Do both name the same reservation, ignoring the member? A free-form id whose tenant is not known
 * yet may. */
bool id_same_reservation(const struct id *a, const struct id *b);

/* Is the id for this tenant and pool? */
bool id_is_for(const struct id *id, const char *tenant, size_t tenant_n, const char *pool,
               size_t pool_n);

#endif
