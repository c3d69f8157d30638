/*
 * The CRC-32 of gzip and of Amazon's event streams.
 */
#ifndef UPSTREAM_CRC32_H
#define UPSTREAM_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Extends crc, the CRC of all bytes so far (0 at first), by these bytes. */
uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len);

#endif
