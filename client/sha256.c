/* One block after the other; the constants are those of FIPS 180-4, section 4.2.2. */
#include "sha256.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 64

static const uint32_t round_words[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct hash {
    uint32_t h[8];
    uint8_t block[BLOCK];
    uint64_t bytes; /* in all so far */
};

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static void mix(struct hash *hash)
{
    uint32_t w[64];
    uint32_t v[8];
    for (int i = 0; i < 16; i++) {
        const uint8_t *b = hash->block + (size_t)i * 4;
        w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, hash->h, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t a = v[7] + s1 + choice + round_words[i] + w[i];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t most = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += a;
        v[0] = a + s0 + most;
    }
    for (int i = 0; i < 8; i++)
        hash->h[i] += v[i];
}

static void begin(struct hash *hash)
{
    *hash = (struct hash){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void add(struct hash *hash, const void *data, size_t n)
{
    const uint8_t *from = data;
    while (n > 0) {
        size_t used = hash->bytes % BLOCK;
        size_t part = BLOCK - used < n ? BLOCK - used : n;
        memcpy(hash->block + used, from, part);
        hash->bytes += part;
        from += part;
        n -= part;
        if (hash->bytes % BLOCK == 0)
            mix(hash);
    }
}

static void end(struct hash *hash, uint8_t out[SHA256_BYTES])
{
    static const uint8_t padding[BLOCK] = {0x80};
    uint64_t bits = hash->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    size_t used = hash->bytes % BLOCK;
    add(hash, padding, used < 56 ? 56 - used : BLOCK + 56 - used);
    add(hash, length, sizeof(length));
    for (int i = 0; i < SHA256_BYTES; i++)
        out[i] = (uint8_t)(hash->h[i / 4] >> (24 - 8 * (i % 4)));
    explicit_bzero(hash, sizeof(*hash));
}

void sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES])
{
    struct hash hash;
    begin(&hash);
    add(&hash, data, n);
    end(&hash, out);
}

void sha256_hmac(const void *key, size_t key_n, const void *data, size_t n,
                 uint8_t out[SHA256_BYTES])
{
    uint8_t pad[BLOCK] = {0};
    struct hash hash;
    if (key_n > BLOCK)
        sha256(key, key_n, pad);
    else
        memcpy(pad, key, key_n);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    begin(&hash);
    add(&hash, pad, BLOCK);
    add(&hash, data, n);
    end(&hash, out);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    begin(&hash);
    add(&hash, pad, BLOCK);
    add(&hash, out, SHA256_BYTES);
    end(&hash, out);
    explicit_bzero(pad, sizeof(pad));
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX_BYTES])
{
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
