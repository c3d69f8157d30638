/*
 * Forms: answers that providers and those in between have been seen to give, as data. forms.json
 * has those with a name, which a client asks for with `x-fault: NAME` or `NAME:N`; POST /faults
 * with "fault": "body" brings one of its own. What a form may consist of is said at the head of
 * forms.json.
 *
 * A form is a struct json_object: those of forms.json live as long as the program, those of POST
 * /faults as long as the provider.
 */
#ifndef UPSTREAM_FORM_H
#define UPSTREAM_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shape.h"

struct evbuffer;
struct evkeyvalq;
struct json_object;

/* Reads forms.json; 0, or -1 with what is wrong on stderr, which is a mistake of ours. */
int forms_open(void);
void forms_close(void);

/* What forms.json has under a name: forms by the family of a shape. NULL: nothing. */
struct json_object *forms_find(const char *name);

/* The one among them that is for this shape; NULL: none. */
struct json_object *form_for(struct json_object *named, const struct shape *shape);

/* Whether a form of POST /faults can be one: NULL, or static words. */
const char *form_check(struct json_object *form);

int form_status(struct json_object *form);
bool form_has(struct json_object *form, const char *key);

/* The form's text of that key; NULL: none. */
const char *form_text(struct json_object *form, const char *key);

/* Those of the form instead of those of the same name; null takes one away. */
void form_headers(struct json_object *form, struct evkeyvalq *headers);

/* What a form is filled in with. */
struct form_facts {
    const struct reply *reply;
    int64_t fill; /* the N of NAME:N */
};

/* Appends the form's body: `body` as JSON, or word for word where it is a text, or `hex`. */
void form_body(struct json_object *form, const struct form_facts *facts, struct evbuffer *out);

/* How many steps its `events` have. */
size_t form_steps(struct json_object *form);

/* Appends one of them. */
void form_step(struct json_object *form, size_t step, const struct form_facts *facts,
               struct evbuffer *out);

/* Applies its `patch` to each JSON object in what the shape has written: to all of it, to the data
 * of events, to lines. */
void form_patch(struct json_object *form, const struct form_facts *facts, struct evbuffer *text);

#endif
