/* SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for signing requests. Pure; no state is kept. */
#ifndef RATION_SHA256_H
#define RATION_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES     32
#define SHA256_HEX_BYTES 65 /* with the NUL */

void sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES]);
void sha256_hmac(const void *key, size_t key_n, const void *data, size_t n,
                 uint8_t out[SHA256_BYTES]);
void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX_BYTES]);

#endif
