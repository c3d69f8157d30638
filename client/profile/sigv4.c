/*
 * The three steps of Signature Version 4: the request in its canonical form, the text to sign with
 * its hash, and the signature by a key that is derived from the secret for this day, region and
 * service.
 *
 * The path of the canonical form is the path of the URL, encoded once more: what is %3A on the wire
 * is %253A there. The query is sorted by name.
 *
 * libcrypto hashes. It fails only for want of memory, or if its own configuration leaves it without
 * SHA-256.
 */
#include "profile/sigv4.h"

#include <ration/ration.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARAMETERS 64
#define ALGORITHM      "AWS4-HMAC-SHA256"
#define HASH_BYTES     32
#define HEX_BYTES      (2 * HASH_BYTES + 1) /* with the NUL */

/* ---- Hashes ---- */

static void to_hex(const uint8_t hash[HASH_BYTES], char out[HEX_BYTES])
{
    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static bool hash_to_hex(const char *data, size_t n, char out[HEX_BYTES])
{
    uint8_t hash[HASH_BYTES];
    if (!EVP_Digest(data, n, hash, NULL, EVP_sha256(), NULL))
        return false;
    to_hex(hash, out);
    return true;
}

/* The key is at most a secret of PROFILE_MAX_KEY_BYTES and a prefix, so its length fits into an
 * int. */
static bool keyed_hash(const void *key, size_t key_n, const char *text, uint8_t out[HASH_BYTES])
{
    return HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)text, strlen(text), out,
                NULL) != NULL;
}

/* ---- Text that grows ---- */

static void put(FILE *out, const char *text, size_t n, bool encode)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~/";
    for (size_t i = 0; i < n; i++) {
        if (encode && !strchr(plain, text[i]))
            fprintf(out, "%%%02X", (unsigned char)text[i]);
        else
            fputc(text[i], out);
    }
}

/* ---- The parts of a URL ---- */

struct parts {
    const char *host;
    size_t host_len;
    const char *path;
    size_t path_len;
    const char *query; /* "" if there is none */
};

static bool split(const char *url, struct parts *out)
{
    const char *host = strstr(url, "://");
    if (!host)
        return false;
    out->host = host + 3;
    out->host_len = strcspn(out->host, "/?#");
    out->path = out->host + out->host_len;
    out->path_len = strcspn(out->path, "?#");
    const char *query = out->path + out->path_len;
    out->query = *query == '?' ? query + 1 : "";
    /* The port that is its scheme's own is not sent. */
    const char *port = strncmp(url, "https:", 6) == 0 ? ":443" : ":80";
    size_t port_len = strlen(port);
    if (out->host_len > port_len &&
        memcmp(out->host + out->host_len - port_len, port, port_len) == 0)
        out->host_len -= port_len;
    size_t parameters = 1;
    for (const char *s = out->query; *s; s++)
        parameters += *s == '&';
    return out->host_len > 0 && parameters <= MAX_PARAMETERS;
}

static int by_text(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    for (size_t i = 0;; i++) {
        unsigned char l = (*left)[i] == '&' ? '\0' : (unsigned char)(*left)[i];
        unsigned char r = (*right)[i] == '&' ? '\0' : (unsigned char)(*right)[i];
        /* "=" ends a name, so it comes before all that a name has in it. */
        if (l != r)
            return (l == '=' ? 1 : l) - (r == '=' ? 1 : r);
        if (l == '\0')
            return 0;
    }
}

static void put_query(FILE *out, const char *query)
{
    const char *at[MAX_PARAMETERS] = {NULL};
    size_t n = 0;
    while (*query && n < MAX_PARAMETERS) {
        size_t len = strcspn(query, "&");
        if (len > 0)
            at[n++] = query;
        query += len + (query[len] == '&');
    }
    qsort(at, n, sizeof(at[0]), by_text);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(at[i], "&");
        fprintf(out, "%s%.*s%s", i ? "&" : "", (int)len, at[i], memchr(at[i], '=', len) ? "" : "=");
    }
}

/* ---- The steps ---- */

static const char *signed_names(const struct sigv4_account *account, const char *content_type)
{
    if (account->session)
        return content_type ? "content-type;host;x-amz-date;x-amz-security-token"
                            : "host;x-amz-date;x-amz-security-token";
    return content_type ? "content-type;host;x-amz-date" : "host;x-amz-date";
}

/* Gives the hash of the canonical form. */
static bool hash_request(const struct sigv4_account *account, const struct parts *parts,
                         const char *content_type, const char *moment, const char *body,
                         size_t body_bytes, char hash[HEX_BYTES])
{
    char body_hash[HEX_BYTES];
    char *text = NULL;
    size_t n = 0;
    if (!hash_to_hex(body, body_bytes, body_hash))
        return false;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return false;
    fputs("POST\n", out);
    put(out, parts->path_len ? parts->path : "/", parts->path_len ? parts->path_len : 1, true);
    fputc('\n', out);
    put_query(out, parts->query);
    fputc('\n', out);
    if (content_type)
        fprintf(out, "content-type:%s\n", content_type);
    fputs("host:", out);
    put(out, parts->host, parts->host_len, false);
    fprintf(out, "\nx-amz-date:%s\n", moment);
    if (account->session)
        fprintf(out, "x-amz-security-token:%s\n", account->session);
    fprintf(out, "\n%s\n%s", signed_names(account, content_type), body_hash);
    bool ok = !ferror(out);
    ok = fclose(out) == 0 && ok && text && hash_to_hex(text, n, hash);
    free(text);
    return ok;
}

/* The secret's own key for one day, region and service. */
static bool make_key(const struct sigv4_account *account, const char *day, uint8_t key[HASH_BYTES])
{
    const char *const steps[] = {account->region, account->service, "aws4_request"};
    uint8_t next[HASH_BYTES];
    char *first = NULL;
    int n = asprintf(&first, "AWS4%s", account->secret);
    if (n < 0)
        return false;
    bool ok = keyed_hash(first, (size_t)n, day, key);
    explicit_bzero(first, (size_t)n);
    free(first);
    for (size_t i = 0; ok && i < sizeof(steps) / sizeof(steps[0]); i++) {
        ok = keyed_hash(key, HASH_BYTES, steps[i], next);
        if (ok)
            memcpy(key, next, HASH_BYTES);
    }
    explicit_bzero(next, sizeof(next));
    return ok;
}

static char *authorization(const struct sigv4_account *account, const char *moment,
                           const char *names, const char *request_hash)
{
    uint8_t key[HASH_BYTES];
    uint8_t hash[HASH_BYTES];
    char signature[HEX_BYTES];
    char day[9];
    char *scope = NULL;
    char *text = NULL;
    char *line = NULL;
    memcpy(day, moment, 8);
    day[8] = '\0';
    if (asprintf(&scope, "%s/%s/%s/aws4_request", day, account->region, account->service) < 0)
        return NULL;
    int n = asprintf(&text, ALGORITHM "\n%s\n%s\n%s", moment, scope, request_hash);
    if (n >= 0 && make_key(account, day, key) && keyed_hash(key, sizeof(key), text, hash)) {
        to_hex(hash, signature);
        if (asprintf(&line,
                     "Authorization: " ALGORITHM
                     " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                     account->id, scope, names, signature) < 0)
            line = NULL;
    }
    if (n >= 0)
        free(text);
    free(scope);
    explicit_bzero(key, sizeof(key));
    return line;
}

void sigv4_free(struct sigv4_headers *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        if (headers->line[i])
            explicit_bzero(headers->line[i], strlen(headers->line[i]));
        free(headers->line[i]);
    }
    *headers = (struct sigv4_headers){.n = 0};
}

int sigv4_sign(const struct sigv4_account *account, const char *url, const char *content_type,
               const char *body, size_t body_bytes, time_t now, struct sigv4_headers *out)
{
    struct sigv4_headers made = {.n = 0};
    struct parts parts;
    struct tm utc;
    char moment[32];
    char hash[HEX_BYTES];
    if (!split(url, &parts) || !gmtime_r(&now, &utc) ||
        strftime(moment, sizeof(moment), "%Y%m%dT%H%M%SZ", &utc) != 16)
        return RATION_EINVALID;
    if (!hash_request(account, &parts, content_type, moment, body, body_bytes, hash))
        return RATION_ENOMEM;
    bool ok = true;
    made.line[made.n++] = authorization(account, moment, signed_names(account, content_type), hash);
    ok = asprintf(&made.line[made.n], "X-Amz-Date: %s", moment) >= 0;
    if (!ok)
        made.line[made.n] = NULL;
    made.n++;
    if (ok && account->session) {
        ok = asprintf(&made.line[made.n], "X-Amz-Security-Token: %s", account->session) >= 0;
        if (!ok)
            made.line[made.n] = NULL;
        made.n++;
    }
    if (!ok || !made.line[0]) {
        sigv4_free(&made);
        return RATION_ENOMEM;
    }
    *out = made;
    return 0;
}
