/*
 * Signatures of AWS, version 4, as a server checks them. Documented at
 *
 *     https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#ifndef UPSTREAM_SIGV4_H
#define UPSTREAM_SIGV4_H

#include <stdbool.h>

struct evhttp_request;

/* The request has such a signature, right or wrong. */
bool sigv4_is_there(struct evhttp_request *req);

/* NULL, or static words that say what is wrong with it. The signature itself is checked where a
 * secret is given, else only what it claims. */
const char *sigv4_check(struct evhttp_request *req, const char *secret);

#endif
