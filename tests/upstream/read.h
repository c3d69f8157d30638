/*
 * Reading the fields of a request, whose types fields.c has checked. Reading stops at the first
 * wrong field, with an error text for the client.
 */
#ifndef UPSTREAM_READ_H
#define UPSTREAM_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"

struct json_object;

/* Sets *c to REFUSAL_VALUE with this text about the field (NULL: the body as a whole) and returns
 * -1. */
int read_complain(struct complaint *c, const char *param, const char *why);

/* Reads a field that may be absent or null. False if it is anything else but a whole number from
 * least to most. With `or_text`, a string of digits is accepted too. */
bool read_whole(struct json_object *object, const char *name, bool or_text, int64_t least,
                int64_t most, int64_t *value);

/* Whether a field is present and true. */
bool read_true(struct json_object *object, const char *name);

/* Adds the characters of a content: a string, null, or an array of parts, whose texts count. */
int read_content(struct json_object *content, const char *param, int64_t *n, struct complaint *bad);

/* Adds the characters of an array of at least one message, each with a content and one of these
 * roles: words, each followed by a space. */
int read_messages(struct json_object *root, const char *name, const char *roles, int64_t *n,
                  struct complaint *bad);

/* Reads the model's name into `model`, which has this size. */
int read_model(struct json_object *root, char *model, int size, struct complaint *bad);

#endif
