/* FNV-1a: quick for short names, and good enough wherever equal hashes only cost a comparison. */
#ifndef RATIOND_HASH_H
#define RATIOND_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const char *bytes, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ULL;
    return hash;
}

#endif
