/* Whole numbers in the bytes of files and streams: n bytes, at most 7. */
#ifndef RATION_BYTES_H
#define RATION_BYTES_H

#include <stdint.h>

static inline int64_t bytes_big_endian(const uint8_t *b, int n)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | b[i];
    return value;
}

static inline int64_t bytes_little_endian(const uint8_t *b, int n)
{
    int64_t value = 0;
    for (int i = n; i > 0; i--)
        value = value << 8 | b[i - 1];
    return value;
}

#endif
