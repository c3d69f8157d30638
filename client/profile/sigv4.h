/*
 * AWS Signature Version 4, as Bedrock wants it: headers that prove that the holder of a secret made
 * the request.
 *
 * libcurl can sign too (CURLOPT_AWS_SIGV4), but releases in use, 7.88 of Debian 12 among them, sign
 * the path as it is sent although AWS encodes it once more, so that every model id with a colon in
 * it is refused, and sign headers that are then not sent. A signature of our own is the same with
 * every libcurl.
 *
 * Pure: the caller passes the time. A signature holds for about five minutes, so each try is signed
 * anew.
 */
#ifndef RATION_SIGV4_H
#define RATION_SIGV4_H

#include <stddef.h>
#include <time.h>

#define SIGV4_MAX_LINES 3

struct sigv4_account {
    const char *id;
    const char *secret;
    const char *session; /* token of a temporary account; NULL: it is not one */
    const char *region;  /* "eu-west-1" */
    const char *service; /* "bedrock" */
};

/* Lines "Name: value", in the order in which they are sent. Freed by sigv4_free(). */
struct sigv4_headers {
    char *line[SIGV4_MAX_LINES];
    size_t n;
};

/*
 * Signs a POST.
 * url           as it is sent, encoded
 * content_type  as it is sent; NULL: none
 * Errors: RATION_ENOMEM (or libcrypto does not hash), and nothing is to be freed; RATION_EINVALID
 * if the URL is not one, or has more than 64 parameters.
 */
int sigv4_sign(const struct sigv4_account *account, const char *url, const char *content_type,
               const char *body, size_t body_bytes, time_t now, struct sigv4_headers *out);
void sigv4_free(struct sigv4_headers *headers); /* allowed on a zeroed or already freed struct */

#endif
