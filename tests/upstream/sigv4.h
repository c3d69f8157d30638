/*
 * AWS signatures, version 4, as a server checks them. Documented at
 *
 *     https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#ifndef UPSTREAM_SIGV4_H
#define UPSTREAM_SIGV4_H

#include <stdbool.h>

struct evhttp_request;

/* Whether the request has such a signature, right or wrong. */
bool sigv4_is_there(struct evhttp_request *req);

/* NULL, or a static text that says what is wrong with it. The signature itself is checked only if a
 * secret is given, otherwise only what it claims. */
const char *sigv4_check(struct evhttp_request *req, const char *secret);

#endif
