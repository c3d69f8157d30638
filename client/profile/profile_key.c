/*
 * What a call authenticates with: the provider's key or, if the profile says so, the account that
 * signs its requests.
 *
 * Keys come from files and dashboards, often with a line break at the end: blanks around a key are
 * not part of it. A missing key is reported before anything is asked or charged, because the
 * provider would report it later and in its own words. But a server of the user's own may need
 * none, so only calls to the provider itself must have one: to the host of the profile's own URL
 * or, if the profile has none, to any https URL. A header or parameter of the caller's that carries
 * the key is a key too.
 */
#include "profile/profile_inner.h"

#include "profile/sigv4.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_REGION_BYTES 63

static const char blanks[] = " \t\r\n\v\f";

static char *copy_trimmed(const char *text)
{
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]))
        n--;
    return strndup(text, n);
}

static int check_key(const char *key, const char *name, char *why)
{
    size_t n = strlen(key);
    if (n > PROFILE_MAX_KEY_BYTES)
        return profile_fail(why, "%.64s has more than %d bytes, too many for a key", name,
                            PROFILE_MAX_KEY_BYTES);
    if (strpbrk(key, "\r\n"))
        return profile_fail(
            why, "%.64s has a line break inside the key; put one key into it, on one line", name);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
            return profile_fail(
                why, "%.64s has a control character inside the key; put the key alone into it",
                name);
    }
    return 0;
}

/* Gives a key that may be sent, or NULL if there are only blanks. */
static int take(const char *from, const char *name, char **out, char *why)
{
    char *key = copy_trimmed(from);
    if (!key)
        return profile_no_memory("key", why);
    int err = check_key(key, name, why);
    if (err == 0 && key[0]) {
        *out = key;
        return 0;
    }
    explicit_bzero(key, strlen(key));
    free(key);
    return err;
}

static int take_variable(const char *variable, char **out, char *why)
{
    const char *value = variable ? getenv(variable) : NULL;
    return value ? take(value, variable, out, why) : 0;
}

/* ---- Signing ---- */

/* "bedrock-runtime.eu-west-1.amazonaws.com" names it: the label before "amazonaws"; for other hosts
 * it is in the environment. Borrowed, of *len bytes; NULL if it is in neither. */
static const char *find_region(const char *base, size_t *len)
{
    const char *host = base ? strstr(base, "://") : NULL;
    const char *amazon = host ? strstr(host + 3, ".amazonaws.") : NULL;
    if (amazon && (size_t)(amazon - host) < strcspn(host + 3, "/?") + 3) {
        const char *label = amazon;
        while (label > host + 3 && label[-1] != '.')
            label--;
        *len = (size_t)(amazon - label);
        if (label > host + 3 && *len <= MAX_REGION_BYTES)
            return label;
    }
    const char *region = getenv("AWS_REGION");
    if (!region || !region[0])
        region = getenv("AWS_DEFAULT_REGION");
    *len = region ? strlen(region) : 0;
    return *len > 0 && *len <= MAX_REGION_BYTES ? region : NULL;
}

static int take_account(const struct profile *profile, const char *base, struct profile_key *out,
                        char *why)
{
    int err = take_variable(profile->sign.id, &out->id, why);
    if (err == 0)
        err = take_variable(profile->sign.secret, &out->secret, why);
    if (err == 0)
        err = take_variable(profile->sign.session, &out->session, why);
    if (err < 0 || !out->id || !out->secret)
        return err;
    size_t len = 0;
    const char *region = find_region(base ? base : profile->url, &len);
    if (!region)
        return profile_fail(
            why, "the URL does not name the region to sign requests for; set AWS_REGION");
    out->region = strndup(region, len);
    return out->region ? 0 : profile_no_memory("key", why);
}

static bool has_account(const struct profile_key *key)
{
    return key->id && key->secret && key->region;
}

int profile_sign(const struct profile *profile, const struct profile_key *key, const char *url,
                 const char *content_type, const char *body, size_t n, time_t now,
                 struct sigv4_headers *out)
{
    *out = (struct sigv4_headers){.n = 0};
    if (!has_account(key))
        return 0;
    const struct sigv4_account account = {key->id, key->secret, key->session, key->region,
                                          profile->sign.service};
    return sigv4_sign(&account, url, content_type ? content_type : profile->request.content_type,
                      body, n, now, out);
}

/* ---- Finding ---- */

/* Whether both URLs name the same host. */
static bool is_same_host(const char *a, const char *b)
{
    const char *left = strstr(a, "://");
    const char *right = strstr(b, "://");
    if (!left || !right)
        return false;
    size_t n = strcspn(left + 3, "/?:");
    return n == strcspn(right + 3, "/?:") && strncasecmp(left + 3, right + 3, n) == 0;
}

static bool is_needed(const struct profile *profile, const struct profile_caller *caller)
{
    if (profile->key.optional || !profile->key.header)
        return false;
    if (profile_find_header(caller->headers, caller->n_headers, profile->key.header) ||
        profile_find_header(caller->headers, caller->n_headers, "Authorization"))
        return false;
    if (profile->key.parameter && profile_query_has(caller->query, profile->key.parameter))
        return false;
    const char *base = caller->base;
    if (base && profile->key.parameter && strchr(base, '?') &&
        profile_query_has(strchr(base, '?') + 1, profile->key.parameter))
        return false;
    if (!base)
        return true;
    return profile->url ? is_same_host(base, profile->url) : strncmp(base, "https://", 8) == 0;
}

static int say_missing(const struct profile *profile, char *why)
{
    const char *variable = profile->key.variable ? profile->key.variable : "api_key";
    if (profile->sign.service)
        return profile_fail(why,
                            "%.64s is not set, nor are %.40s and %.40s; put the provider's key "
                            "into it, or name another variable with --key-variable",
                            variable, profile->sign.id, profile->sign.secret);
    return profile_fail(why,
                        "%.64s is not set; put the provider's key into it, or name another "
                        "variable with --key-variable",
                        variable);
}

int profile_find_key(const struct profile *profile, const struct profile_caller *caller,
                     struct profile_key *out, char *why)
{
    struct profile_key key = {.key = NULL};
    bool stated = caller->key != NULL;
    const char *name = caller->key_name ? caller->key_name : "api_key";
    int err = stated ? take(caller->key, name, &key.key, why)
                     : take_variable(profile->key.variable, &key.key, why);
    if (err == 0 && stated && caller->key[0] && !key.key)
        err = profile_fail(why, "%.64s is blank; put the provider's key into it", name);
    if (err == 0 && !stated && !key.key && profile->sign.service &&
        !profile_find_header(caller->headers, caller->n_headers, "Authorization"))
        err = take_account(profile, caller->base, &key, why);
    if (err == 0 && !stated && !key.key && !has_account(&key) && is_needed(profile, caller))
        err = say_missing(profile, why);
    if (err < 0) {
        profile_key_free(&key);
        return err;
    }
    *out = key;
    return 0;
}

static void forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void profile_key_free(struct profile_key *key)
{
    forget(key->key);
    forget(key->id);
    forget(key->secret);
    forget(key->session);
    free(key->region);
    *key = (struct profile_key){.key = NULL};
}
