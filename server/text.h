/* Text functions that several parts need. */
#ifndef RATIOND_TEXT_H
#define RATIOND_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Reads 2 * n hexadecimal digits, in any case, into n bytes; false: some are not. */
bool text_from_hex(const char *digits, unsigned char *to, size_t n);

/* How many letters must be added, removed or changed to make one word of the other; case does not
 * count. TEXT_FAR: one of them is too long to compare. */
#define TEXT_FAR 64
size_t text_distance(const char *a, size_t a_n, const char *b, size_t b_n);

#endif
