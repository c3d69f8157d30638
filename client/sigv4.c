/*
 * The three steps of Signature Version 4: the request in its canonical form, the text to sign with its hash, and the
 * signature by a key that is derived from the secret for this day, region and service.
 *
 * The path of the canonical form is the path of the URL, encoded once more: what is %3A on the wire is %253A there. The query
 * is sorted by name.
 */
#include "sigv4.h"

#include "sha256.h"

#include <ration/ration.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARAMETERS 64
#define ALGORITHM      "AWS4-HMAC-SHA256"

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
    const char *query; /* "" where there is none */
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
                         size_t body_bytes, char hash[SHA256_HEX_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    char body_hash[SHA256_HEX_BYTES];
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return false;
    sha256(body, body_bytes, digest);
    sha256_hex(digest, body_hash);
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
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed || !text) {
        free(text);
        return false;
    }
    sha256(text, n, digest);
    sha256_hex(digest, hash);
    free(text);
    return true;
}

/* The secret's own key for one day, region and service. */
static bool make_key(const struct sigv4_account *account, const char *day,
                     uint8_t key[SHA256_BYTES])
{
    char *first = NULL;
    int n = asprintf(&first, "AWS4%s", account->secret);
    if (n < 0)
        return false;
    sha256_hmac(first, (size_t)n, day, strlen(day), key);
    explicit_bzero(first, (size_t)n);
    free(first);
    sha256_hmac(key, SHA256_BYTES, account->region, strlen(account->region), key);
    sha256_hmac(key, SHA256_BYTES, account->service, strlen(account->service), key);
    sha256_hmac(key, SHA256_BYTES, "aws4_request", 12, key);
    return true;
}

static char *authorization(const struct sigv4_account *account, const char *moment,
                           const char *names, const char *request_hash)
{
    uint8_t key[SHA256_BYTES];
    uint8_t digest[SHA256_BYTES];
    char signature[SHA256_HEX_BYTES];
    char day[9];
    char *scope = NULL;
    char *text = NULL;
    char *line = NULL;
    memcpy(day, moment, 8);
    day[8] = '\0';
    if (asprintf(&scope, "%s/%s/%s/aws4_request", day, account->region, account->service) < 0)
        return NULL;
    int n = asprintf(&text, ALGORITHM "\n%s\n%s\n%s", moment, scope, request_hash);
    if (n >= 0 && make_key(account, day, key)) {
        sha256_hmac(key, sizeof(key), text, (size_t)n, digest);
        sha256_hex(digest, signature);
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
    char hash[SHA256_HEX_BYTES];
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
