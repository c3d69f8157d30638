/*
 * A JSON object as text: finds its members and changes single ones without touching the rest, so
 * that what a caller wrote reaches the provider byte by byte, numbers beyond 64 bits, lone
 * surrogates and odd white space included. Knows strings and brackets only. Text that is not JSON
 * is left alone: judging it is the reader's business. Pure; keeps nothing.
 */
#ifndef RATION_JTEXT_H
#define RATION_JTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Finds the value of a member of the object in `text`; the last one of that name counts, as for
 * other readers of JSON. False: there is none, or the text is not an object. */
bool jtext_find(const char *text, size_t n, const char *name, size_t *at, size_t *len);

/* The functions below return 1 and give a new text, NUL-terminated, to be freed with free(); or 0
 * if there is nothing to change, with *out NULL; or RATION_ENOMEM. */

/*
 * Sets the member at `place` ("stream", "stream_options.include_usage") to `value`, itself JSON,
 * and creates the objects on the way if they are missing or null.
 * replace  false: a value that is there already stays, unless it is null
 */
int jtext_set(const char *text, size_t n, const char *place, const char *value, bool replace,
              char **out, size_t *out_n);

/* Cuts out all members of those names. */
int jtext_drop(const char *text, size_t n, const char *const *names, size_t n_names, char **out,
               size_t *out_n);

#endif
