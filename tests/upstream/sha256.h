/*
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) over it, for sigv4.c. They protect nothing here; they
 * check what a client signed.
 */
#ifndef UPSTREAM_SHA256_H
#define UPSTREAM_SHA256_H

#include <stddef.h>

#define SHA256_BYTES 32
#define SHA256_HEX   65 /* with the terminating NUL */

void sha256(const void *bytes, size_t len, unsigned char out[SHA256_BYTES]);

/* Keys of up to 256 bytes and texts of up to 4096. */
void sha256_hmac(const void *key, size_t key_len, const void *text, size_t len,
                 unsigned char out[SHA256_BYTES]);

void sha256_hex(const unsigned char digest[SHA256_BYTES], char out[SHA256_HEX]);

#endif
