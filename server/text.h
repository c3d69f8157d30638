/* What more than one part does with text. */
#ifndef RATIOND_TEXT_H
#define RATIOND_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Reads 2 * n hexadecimal digits, in any case, into n bytes; false: not all are. */
bool text_from_hex(const char *digits, unsigned char *to, size_t n);

/* How many letters must be added, removed or changed to make one word of the other; case does not count.
 * TEXT_FAR: one is too long for that, so they are never close. */
#define TEXT_FAR 64
size_t text_distance(const char *a, size_t a_n, const char *b, size_t b_n);

#endif
