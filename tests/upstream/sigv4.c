/*
 *     string to sign = algorithm, date, scope, hash of the canonical request
 *     key            = HMAC chain over secret, day, region, service, "aws4_request"
 *
 * The path is taken as sent and encoded once more, as all services except S3 require: a `%3A` in it
 * becomes `%253A` in the canonical request.
 */
#include "sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "sha256.h"
#include "shape.h"

#define ALGORITHM  "AWS4-HMAC-SHA256"
#define MOST_AGE_S 900

struct claim {
    char credential[160]; /* ID/DAY/REGION/SERVICE/aws4_request */
    char headers[512];    /* names separated by ; */
    char signature[80];
    char *scope; /* in credential, after the id */
    char day[16], region[40], service[40];
    const char *date; /* x-amz-date */
};

static bool take(const char *from, const char *name, char *out, size_t size)
{
    const char *at = strstr(from, name);
    size_t len = at ? strcspn(at + strlen(name), ", ") : 0;
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(out, at + strlen(name), len);
    out[len] = '\0';
    return true;
}

static const char *read_claim(struct evhttp_request *req, struct claim *claim)
{
    const char *value = shape_header(req, "Authorization");
    char end[16];
    if (!take(value, "Credential=", claim->credential, sizeof(claim->credential)) ||
        !take(value, "SignedHeaders=", claim->headers, sizeof(claim->headers)) ||
        !take(value, "Signature=", claim->signature, sizeof(claim->signature))) {
        return "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders'.";
    }
    claim->scope = strchr(claim->credential, '/');
    if (claim->scope == NULL ||
        sscanf(claim->scope, "/%15[^/]/%39[^/]/%39[^/]/%15s", claim->day, claim->region,
               claim->service, end) != 4 ||
        strcmp(end, "aws4_request") != 0) {
        return "Credential should be scoped to a day, a region, a service and aws4_request.";
    }
    claim->scope++;
    claim->date = shape_header(req, "x-amz-date");
    if (claim->date == NULL) {
        return "Authorization header requires existence of an 'X-Amz-Date' header.";
    }
    return NULL;
}

static bool signs(const struct claim *claim, const char *name)
{
    const char *at = claim->headers;
    size_t len = strlen(name);
    while (at) {
        if (strncmp(at, name, len) == 0 && (at[len] == ';' || at[len] == '\0')) {
            return true;
        }
        at = strchr(at, ';');
        at += at != NULL;
    }
    return false;
}

static const char *check_claim(const struct claim *claim)
{
    struct tm tm = {0};
    const char *end = strptime(claim->date, "%Y%m%dT%H%M%SZ", &tm);
    if (end == NULL || *end != '\0' || strncmp(claim->date, claim->day, 8) != 0) {
        return "Date in Credential scope does not match the one of X-Amz-Date.";
    }
    long long age = (long long)time(NULL) - (long long)timegm(&tm);
    if (age > MOST_AGE_S || age < -MOST_AGE_S) {
        return "Signature expired: X-Amz-Date is more than 15 minutes from now.";
    }
    if (strcmp(claim->service, "bedrock") != 0) {
        return "Credential should be scoped to correct service: 'bedrock'.";
    }
    if (!signs(claim, "host") || !signs(claim, "x-amz-date")) {
        return "'Host' and 'X-Amz-Date' must be signed headers.";
    }
    return NULL;
}

static void add_encoded(struct evbuffer *out, const char *path)
{
    for (; *path; path++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", *path)) {
            evbuffer_add(out, path, 1);
        } else {
            evbuffer_add_printf(out, "%%%02X", (unsigned char)*path);
        }
    }
}

/* Adds the signed headers with their values, without surrounding spaces. False if one of them is
 * missing. */
static bool add_headers(struct evbuffer *out, struct evhttp_request *req, const char *names)
{
    char name[80];
    while (*names) {
        size_t len = strcspn(names, ";");
        snprintf(name, sizeof(name), "%.*s", (int)len, names);
        const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), name);
        if (value == NULL) {
            return false;
        }
        value += strspn(value, " \t");
        size_t end = strlen(value);
        while (end > 0 && strchr(" \t", value[end - 1])) {
            end--;
        }
        evbuffer_add_printf(out, "%s:%.*s\n", name, (int)end, value);
        names += len + (names[len] == ';');
    }
    return true;
}

static bool hash_request(struct evhttp_request *req, const struct claim *claim,
                         char hex[SHA256_HEX])
{
    unsigned char digest[SHA256_BYTES];
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    struct evbuffer *body = evhttp_request_get_input_buffer(req);
    struct evbuffer *text = evbuffer_new();
    const char *query = evhttp_uri_get_query(uri);
    if (text == NULL) {
        return false;
    }
    evbuffer_add_printf(text, "POST\n");
    add_encoded(text, evhttp_uri_get_path(uri));
    evbuffer_add_printf(text, "\n%s\n", query ? query : "");
    bool whole = add_headers(text, req, claim->headers);
    sha256(evbuffer_pullup(body, -1), evbuffer_get_length(body), digest);
    sha256_hex(digest, hex);
    evbuffer_add_printf(text, "\n%s\n%s", claim->headers, hex);
    sha256(evbuffer_pullup(text, -1), evbuffer_get_length(text), digest);
    sha256_hex(digest, hex);
    evbuffer_free(text);
    return whole;
}

static void sign(const struct claim *claim, const char *secret, const char *request_hash,
                 char hex[SHA256_HEX])
{
    const char *const parts[] = {claim->day, claim->region, claim->service, "aws4_request"};
    unsigned char key[SHA256_BYTES];
    char text[512];
    snprintf(text, sizeof(text), "AWS4%.200s", secret);
    size_t len = strlen(text);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        unsigned char next[SHA256_BYTES];
        sha256_hmac(i == 0 ? (const void *)text : key, i == 0 ? len : sizeof(key), parts[i],
                    strlen(parts[i]), next);
        memcpy(key, next, sizeof(key));
    }
    snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s\n%s", claim->date, claim->scope, request_hash);
    sha256_hmac(key, sizeof(key), text, strlen(text), key);
    sha256_hex(key, hex);
}

bool sigv4_is_there(struct evhttp_request *req)
{
    const char *value = shape_header(req, "Authorization");
    return value && strncmp(value, ALGORITHM " ", sizeof(ALGORITHM)) == 0;
}

const char *sigv4_check(struct evhttp_request *req, const char *secret)
{
    struct claim claim;
    char hash[SHA256_HEX];
    char right[SHA256_HEX];
    const char *why = read_claim(req, &claim);
    if (why == NULL) {
        why = check_claim(&claim);
    }
    if (why || secret == NULL) {
        return why;
    }
    if (!hash_request(req, &claim, hash)) {
        return "A signed header is not there.";
    }
    sign(&claim, secret, hash, right);
    return strcmp(right, claim.signature) == 0
               ? NULL
               : "The request signature we calculated does not match the signature you provided.";
}
