/* Ids: a canonical one names its slice, tenant and pool, so that a report needs no lookup; see
 * protocol.h. */
#define _GNU_SOURCE /* memrchr, mempcpy, arc4random_buf */
#include "policy/id.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "text.h"

/* The most ids in a slice, and its longest time: few enough for Redis to keep it as a compact list,
 * which takes a third of a hash table's memory and is freed at once. */
#define SLICE_IDS 100
#define SLICE_MS  2000
/* A group is one record, but each of its members that is renewed gets its own. This many members
 * count as one more id, so that even then a slice never grows beyond about two thousand records. */
#define MEMBERS_AN_ID 16

enum { NONCE_DIGITS = 2 * RATION_ID_NONCE_BYTES };

static const char hex[] = "0123456789abcdef";

void id_maker_init(struct id_maker *maker)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char random[sizeof maker->prefix - 1];
    memset(maker, 0, sizeof *maker);
    arc4random_buf(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        maker->prefix[i] = alphabet[random[i] % 32];
}

/* Randomness is taken from the kernel for many ids at once: a system call for each would cost more
 * than the rest of it. */
static void take_random(struct id_maker *maker, unsigned char *to, size_t n)
{
    if (maker->random_left < n) {
        arc4random_buf(maker->random, sizeof maker->random);
        maker->random_left = sizeof maker->random;
    }
    maker->random_left -= n;
    memcpy(to, maker->random + maker->random_left, n);
    memset(maker->random + maker->random_left, 0, n); /* an id must not remain readable here */
}

static void roll_slice(struct id_maker *maker, uint64_t monotonic_ms)
{
    if (maker->used > 0 && maker->used < SLICE_IDS && monotonic_ms - maker->opened_ms < SLICE_MS)
        return;
    maker->sequence++;
    maker->used = 0;
    maker->opened_ms = monotonic_ms;
}

bool id_is_made(const struct id *id)
{
    return id->free_form || id->slice_bytes > 0;
}

void id_make(struct id_maker *maker, uint64_t monotonic_ms, size_t members, struct id *out)
{
    roll_slice(maker, monotonic_ms);
    maker->used += 1 + (unsigned)members / MEMBERS_AN_ID;
    out->free_form = false;
    out->member = 0;
    /* Sequence in base 36: 12 digits last longer than any process. */
    char digits[13];
    size_t n = 0;
    for (uint64_t rest = maker->sequence; rest > 0 || n == 0; rest /= 36)
        digits[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % 36];
    size_t at = strlen(maker->prefix);
    memcpy(out->slice, maker->prefix, at);
    while (n > 0 && at < sizeof out->slice)
        out->slice[at++] = digits[--n];
    out->slice_bytes = (uint8_t)at;
    take_random(maker, out->nonce, sizeof out->nonce);
}

static const char *parse_free_form(const char *text, size_t n, struct id *out)
{
    if (n == 0 || n > RATION_MAX_FREE_ID_BYTES)
        return "an id has 1 to 128 bytes";
    for (size_t i = 0; i < n; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return "an id is printable ASCII without spaces";
    out->free_form = true;
    out->free_bytes = (uint8_t)n;
    memcpy(out->free_text, text, n);
    return NULL;
}

/* Capitals would make a second text for the same id. */
static bool parse_nonce(const char *text, unsigned char nonce[RATION_ID_NONCE_BYTES])
{
    for (size_t i = 0; i < NONCE_DIGITS; i++)
        if (text[i] >= 'A' && text[i] <= 'F')
            return false;
    return text_from_hex(text, nonce, RATION_ID_NONCE_BYTES);
}

/* Reads "<slice>." and returns where it ends, or NULL. */
static const char *parse_slice(const char *at, const char *end, struct id *out)
{
    size_t n = 0;
    while (at + n < end && n < RATION_ID_MAX_SLICE &&
           ((at[n] >= 'a' && at[n] <= 'z') || (at[n] >= '0' && at[n] <= '9')))
        n++;
    if (n == 0 || at + n >= end || at[n] != '.')
        return NULL;
    memcpy(out->slice, at, n);
    out->slice_bytes = (uint8_t)n;
    return at + n + 1;
}

/* Reads "<member>." and returns where it ends, or NULL. */
static const char *parse_member(const char *at, const char *end, struct id *out)
{
    unsigned member = 0;
    const char *first = at;
    while (at < end && *at >= '0' && *at <= '9' && at - first < 3)
        member = member * 10 + (unsigned)(*at++ - '0');
    if (at == first || at >= end || *at != '.' || member >= RATION_ID_MAX_MEMBERS ||
        (*first == '0' && at - first > 1))
        return NULL;
    out->member = (uint8_t)member;
    return at + 1;
}

const char *id_parse(const char *text, size_t n, struct id *out)
{
    static const char bad[] = "an id that begins with \"r1.\" must be one that ACQUIRE answered";
    size_t prefix = strlen(RATION_ID_PREFIX);
    memset(out, 0, offsetof(struct id, slice));
    memset(out->nonce, 0, sizeof out->nonce);
    if (n < prefix || memcmp(text, RATION_ID_PREFIX, prefix) != 0)
        return parse_free_form(text, n, out);
    const char *end = text + n;
    const char *at = parse_slice(text + prefix, end, out);
    if (!at || end - at <= NONCE_DIGITS || !parse_nonce(at, out->nonce) || at[NONCE_DIGITS] != '.')
        return bad;
    at = parse_member(at + NONCE_DIGITS + 1, end, out);
    if (!at)
        return bad;
    const char *sign = memrchr(at, '@', (size_t)(end - at));
    if (!sign || !policy_name_ok(at, (size_t)(sign - at), RATION_MAX_TENANT_BYTES) ||
        !policy_name_ok(sign + 1, (size_t)(end - sign - 1), RATION_MAX_POOL_BYTES))
        return bad;
    out->tenant_bytes = (uint8_t)(sign - at);
    memcpy(out->tenant, at, out->tenant_bytes);
    out->pool_bytes = (uint8_t)(end - sign - 1);
    memcpy(out->pool, sign + 1, out->pool_bytes);
    return NULL;
}

size_t id_format(const struct id *id, char *buf)
{
    if (id->free_form) {
        memcpy(buf, id->free_text, id->free_bytes);
        buf[id->free_bytes] = 0;
        return id->free_bytes;
    }
    char *at = buf;
    at = (char *)mempcpy(at, RATION_ID_PREFIX, strlen(RATION_ID_PREFIX));
    at = (char *)mempcpy(at, id->slice, id->slice_bytes);
    *at++ = '.';
    for (int i = 0; i < RATION_ID_NONCE_BYTES; i++) {
        *at++ = hex[id->nonce[i] >> 4];
        *at++ = hex[id->nonce[i] & 15];
    }
    *at++ = '.';
    if (id->member >= 100)
        *at++ = (char)('0' + id->member / 100);
    if (id->member >= 10)
        *at++ = (char)('0' + id->member / 10 % 10);
    *at++ = (char)('0' + id->member % 10);
    *at++ = '.';
    at = (char *)mempcpy(at, id->tenant, id->tenant_bytes);
    *at++ = '@';
    at = (char *)mempcpy(at, id->pool, id->pool_bytes);
    *at = 0;
    return (size_t)(at - buf);
}

bool id_is_for(const struct id *id, const char *tenant, size_t tenant_n, const char *pool,
               size_t pool_n)
{
    return id->tenant_bytes == tenant_n && id->pool_bytes == pool_n &&
           memcmp(id->tenant, tenant, tenant_n) == 0 && memcmp(id->pool, pool, pool_n) == 0;
}

static bool same_tenant(const struct id *a, const struct id *b)
{
    return a->tenant_bytes == b->tenant_bytes && memcmp(a->tenant, b->tenant, a->tenant_bytes) == 0;
}

bool id_same_reservation(const struct id *a, const struct id *b)
{
    if (a->free_form != b->free_form)
        return false;
    if (a->free_form)
        return a->free_bytes == b->free_bytes &&
               memcmp(a->free_text, b->free_text, a->free_bytes) == 0 &&
               (a->tenant_bytes == 0 || b->tenant_bytes == 0 || same_tenant(a, b));
    return memcmp(a->nonce, b->nonce, sizeof a->nonce) == 0 && a->slice_bytes == b->slice_bytes &&
           memcmp(a->slice, b->slice, a->slice_bytes) == 0;
}

/*
 * Names that differ only in their last character differ in few bits of FNV-1a, and none of them
 * need be among those that a check keeps: "openai/gpt-4" and "openai/gpt-5" had the same one. The
 * finisher of MurmurHash3 spreads each over all bits.
 */
static uint64_t hash_name(const char *name, size_t n)
{
    uint64_t hash = hash_bytes(name, n);
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ hash >> 33;
}

uint32_t id_pool_check(const char *pool, size_t n)
{
    return (uint32_t)(hash_name(pool, n) >> 44);
}

uint64_t id_check(const struct id *id)
{
    return (uint64_t)id_pool_check(id->pool, id->pool_bytes) << 28 |
           hash_name(id->tenant, id->tenant_bytes) >> 36;
}
