/*
 * Short names for making JSON with json-c. Every function takes ownership of the values it is
 * given; NULL is JSON's null.
 */
#ifndef UPSTREAM_JO_H
#define UPSTREAM_JO_H

#include <stdint.h>

#include <json-c/json.h>

/* Each returns the object, so that calls can be nested. */
struct json_object *jo_put(struct json_object *o, const char *name, struct json_object *value);
struct json_object *jo_put_int(struct json_object *o, const char *name, int64_t n);
struct json_object *jo_put_string(struct json_object *o, const char *name,
                                  const char *s); /* NULL: null */

struct json_object *jo_string(const char *s); /* NULL: null */

/* An array of one. */
struct json_object *jo_list(struct json_object *only);

/* The text of root, for the caller to free(); releases root. NULL without memory. */
char *jo_render(struct json_object *root);

#endif
