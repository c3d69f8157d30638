/*
 * A stream of JSON values, one after another: lines of JSON, as Ollama sends them, but a value may
 * also take several lines, like an error that a server prints for people to read. Bytes come in any
 * pieces; each value is given as soon as it is whole.
 */
#ifndef RATION_JVALUES_H
#define RATION_JVALUES_H

#include "grow.h"

#include <stdbool.h>
#include <stddef.h>

#define JVALUES_MAX_BYTES (64u << 20) /* of one value */

/* One value, an object or a list, with a NUL behind its n bytes. A negative return value
 * ends the feeding, which returns it. */
typedef int (*jvalues_fn)(void *arg, const char *data, size_t n);

struct jvalues {
    jvalues_fn on_value;
    void *arg;
    struct grow value; /* the one that has begun */
    size_t depth;      /* of braces and brackets that are open */
    bool in_string;
    bool escaped; /* the last byte was a backslash in a string */
    int failed;
};

void jvalues_init(struct jvalues *values, jvalues_fn on_value, void *arg);

/* Errors: RATION_EPROTOCOL (anything but white space between two values, or a value that is too
 * large), RATION_ENOMEM, and what on_value returned. After an error, the same one again. */
int jvalues_feed(struct jvalues *values, const char *bytes, size_t n);

/* Frees what it holds; may be called twice. */
void jvalues_close(struct jvalues *values);

#endif
