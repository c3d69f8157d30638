/*
 * One line per event on stderr: time=... level=... event=... and then key=value.
 */
#ifndef UPSTREAM_LOG_H
#define UPSTREAM_LOG_H

#include <stddef.h>

/* The format holds the keys; a value from outside goes through log_quote() first. */
void log_event(const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes from into out as a quoted value, cut to fit: printable ASCII unchanged, all else as \xNN.
 * Returns out. */
const char *log_quote(char *out, size_t size, const char *from);

#endif
