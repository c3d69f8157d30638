/*
 * Reading the fields of a request, which fields.c has checked for their kind. The first one that is
 * wrong ends it with words for the caller.
 */
#ifndef UPSTREAM_READ_H
#define UPSTREAM_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"

struct json_object;

/* Sets *c to REFUSAL_VALUE with these words about the field (NULL: the body as a whole), and
 * returns -1. */
int read_complain(struct complaint *c, const char *param, const char *why);

/* A field that may be absent or null. False when it is there and is not a whole number from least
 * to most. A string of digits will do where `or_text` is set. */
bool read_whole(struct json_object *object, const char *name, bool or_text, int64_t least,
                int64_t most, int64_t *value);

/* A field that is there and true. */
bool read_true(struct json_object *object, const char *name);

/* Adds the characters of a content: a string, null, or an array of parts, of which those with a
 * text count. */
int read_content(struct json_object *content, const char *param, int64_t *n, struct complaint *bad);

/* Adds the characters of an array of at least one message, each with a content and one of these
 * roles: words with a blank after each. */
int read_messages(struct json_object *root, const char *name, const char *roles, int64_t *n,
                  struct complaint *bad);

/* A model's name into `model` of that size. */
int read_model(struct json_object *root, char *model, int size, struct complaint *bad);

#endif
