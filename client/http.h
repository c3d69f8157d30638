/*
 * One POST to a provider by libcurl. The easy handle stays with the ration handle, so that calls reuse connections.
 */
#ifndef RATION_HTTP_H
#define RATION_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_ANSWER_BYTES (64u << 20)

struct http;

struct http_request {
    const char *url;
    const char *key_header; /* a whole header line, or NULL: no key is sent */
    const char *body;
    size_t body_bytes;
    uint32_t timeout_ms;
};

/* What came of it, errors included. Zeroed before use. */
struct http_answer {
    int status; /* 0: no answer came */
    char *body; /* gives; NULL: none */
    size_t body_bytes;
    bool sent;     /* at least some of the request left this machine: the provider may count it */
    bool complete; /* the whole answer came */
    int64_t retry_after_ms; /* 0: nothing said */
    uint64_t took_us;
    char why[256]; /* where it is not complete */
};

struct http *http_new(void); /* NULL: out of memory */
void http_free(struct http *http);

/* Errors: RATION_ENOMEM before anything was sent. Everything else is told by `answer`, whose body the caller frees. */
int http_post(struct http *http, const struct http_request *request, struct http_answer *answer);

#endif
