/*
 * A buffer that grows as bytes are added, up to a maximum that it is given at birth.
 *
 *     struct grow text;
 *     grow_init(&text, MAX_BYTES);
 *     err = grow_add(&text, bytes, n);
 *     ...
 *     grow_close(&text);
 *
 * Once something was added, a NUL follows the last byte; it counts neither as a byte nor towards
 * the maximum.
 */
#ifndef RATION_GROW_H
#define RATION_GROW_H

#include <stddef.h>

struct grow {
    char *bytes; /* NULL: nothing was ever added */
    size_t n;    /* set it lower, or to 0, to forget; the memory is kept */
    size_t room;
    size_t max;
};

void grow_init(struct grow *grow, size_t max);

/* Copies n bytes to the end. Errors: RATION_EPROTOCOL (more than the maximum), RATION_ENOMEM; then
 * the buffer is as before. */
int grow_add(struct grow *grow, const void *bytes, size_t n);

/* Makes sure that the next n bytes fit: adding them cannot fail then. Errors: as above. */
int grow_reserve(struct grow *grow, size_t n);

/* Gives the bytes, to be freed with free(), and leaves the buffer empty. NULL: nothing was
 * added. */
char *grow_take(struct grow *grow);

/* Frees what it holds; may be called twice. The buffer is empty then, and may be used again. */
void grow_close(struct grow *grow);

#endif
