/*
 * Makes and checks ids.
 *
 * Why the library makes them: when a reply gets lost, a client does not know whether it holds a
 * reservation. The same id on the second try lets the server find out. The nonce makes an id
 * unguessable, the slice puts ids that were made together into one hash of the store; see
 * protocol.h.
 *
 * The only failure is a system without randomness. There is no fallback to something guessable.
 */
#include "wire/id.h"

#include <ration/ration.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char base36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* Kernels and sandboxes without getrandom() still have the device. */
static int random_from_device(void *out, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return RATION_EUNSUPPORTED;
    ssize_t got = read(fd, out, len);
    close(fd);
    return got == (ssize_t)len ? 0 : RATION_EUNSUPPORTED;
}

static int random_bytes(void *out, size_t len)
{
    for (;;) {
        ssize_t got = getrandom(out, len, 0); /* up to 256 bytes come whole or not at all */
        if (got == (ssize_t)len)
            return 0;
        if (got >= 0 || errno != EINTR)
            return random_from_device(out, len);
    }
}

int id_maker_init(struct id_maker *maker)
{
    unsigned char raw[ID_RANDOM_CHARS];
    int err = random_bytes(raw, sizeof(raw));
    if (err < 0)
        return err;
    memset(maker, 0, sizeof(*maker));
    for (size_t i = 0; i < ID_RANDOM_CHARS; i++)
        maker->prefix[i] =
            base36[raw[i] % 36]; /* slightly uneven, which only affects the odds of a collision */
    maker->used = ID_SLICE_USES;
    return 0;
}

int id_make_token(char out[ID_TOKEN_BYTES])
{
    uint64_t nonce;
    int err = random_bytes(&nonce, sizeof(nonce));
    if (err < 0)
        return err;
    snprintf(out, ID_TOKEN_BYTES, "%016" PRIx64, nonce);
    return 0;
}

static void base36_print(uint64_t n, char out[14])
{
    char digits[13];
    size_t len = 0;
    do {
        digits[len++] = base36[n % 36];
        n /= 36;
    } while (n > 0);
    for (size_t i = 0; i < len; i++)
        out[i] = digits[len - 1 - i];
    out[len] = '\0';
}

int id_make(struct id_maker *maker, int64_t now_ms, const char *pool, const char *tenant, char *out)
{
    char token[ID_TOKEN_BYTES];
    assert(maker->prefix[0]); /* an id without its random part could be another handle's */
    int err = id_make_token(token);
    if (err < 0)
        return err;
    if (maker->used >= ID_SLICE_USES || now_ms - maker->slice_since_ms >= ID_SLICE_AGE_MS) {
        maker->slice++;
        maker->slice_since_ms = now_ms;
        maker->used = 0;
    }
    maker->used++;
    char counter[14];
    base36_print(maker->slice, counter);
    snprintf(out, RATION_MAX_ID_BYTES, RATION_ID_PREFIX "%s%s.%s.0.%s@%s", maker->prefix, counter,
             token, tenant, pool);
    return 0;
}

/* ---- Checks ---- */

/* 1 - max printable characters without space, and none of the forbidden ones. */
static bool is_word(const char *s, size_t max, const char *forbidden)
{
    size_t len = strnlen(s, max + 1);
    if (len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] > '~' || strchr(forbidden, s[i]))
            return false;
    }
    return true;
}

bool id_pool_is_valid(const char *pool)
{
    return is_word(pool, RATION_MAX_POOL_BYTES, RATION_NAME_FORBIDDEN "@");
}

bool id_tenant_is_valid(const char *tenant)
{
    return is_word(tenant, RATION_MAX_TENANT_BYTES, RATION_NAME_FORBIDDEN);
}

bool id_reason_is_valid(const char *reason)
{
    return is_word(reason, RATION_MAX_REASON_BYTES, "");
}

/* Each of these skips one part of a canonical id, or returns NULL. */
static const char *skip_slice(const char *s)
{
    size_t n = strspn(s, base36);
    return n >= 1 && n <= RATION_ID_MAX_SLICE && s[n] == '.' ? s + n + 1 : NULL;
}

static const char *skip_nonce(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return n == (size_t)2 * RATION_ID_NONCE_BYTES && s[n] == '.' ? s + n + 1 : NULL;
}

static const char *skip_member(const char *s)
{
    size_t n = strspn(s, "0123456789");
    if (n < 1 || n > 3 || s[n] != '.' || (s[0] == '0' && n > 1))
        return NULL;
    int value = 0;
    for (size_t i = 0; i < n; i++)
        value = value * 10 + (s[i] - '0');
    return value < RATION_ID_MAX_MEMBERS ? s + n + 1 : NULL;
}

bool id_is_canonical(const char *id)
{
    const size_t prefix = sizeof(RATION_ID_PREFIX) - 1;
    if (strnlen(id, RATION_MAX_ID_BYTES) >= RATION_MAX_ID_BYTES ||
        strncmp(id, RATION_ID_PREFIX, prefix) != 0)
        return false;
    const char *s = skip_slice(id + prefix);
    s = s ? skip_nonce(s) : NULL;
    s = s ? skip_member(s) : NULL;
    const char *at = s ? strrchr(s, '@') : NULL;
    if (!at || at == s || at - s > RATION_MAX_TENANT_BYTES || !id_pool_is_valid(at + 1))
        return false;
    char tenant[RATION_MAX_TENANT_BYTES + 1];
    memcpy(tenant, s, (size_t)(at - s));
    tenant[at - s] = '\0';
    return id_tenant_is_valid(tenant);
}

bool id_is_valid(const char *id)
{
    if (strncmp(id, RATION_ID_PREFIX, sizeof(RATION_ID_PREFIX) - 1) == 0)
        return id_is_canonical(id);
    return is_word(id, RATION_MAX_FREE_ID_BYTES, "");
}
