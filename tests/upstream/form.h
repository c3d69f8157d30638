/*
 * Forms: answers seen from providers and from proxies in front of them, as data. forms.json has the
 * named ones, which a client asks for with `x-fault: NAME` or `NAME:N`; POST /faults with "fault":
 * "body" brings its own. The head of forms.json says what a form consists of.
 *
 * A form is a struct json_object. Those of forms.json live as long as the program, those of POST
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

/* Reads forms.json; 0, or -1 after saying on stderr what is wrong with it, which is our own
 * mistake. */
int forms_open(void);
void forms_close(void);

/* The entry of forms.json by that name: forms keyed by family of shapes. NULL: no such entry. */
struct json_object *forms_find(const char *name);

/* The form among them for this shape; NULL: none. */
struct json_object *form_for(struct json_object *named, const struct shape *shape);

/* Checks a form from POST /faults: NULL, or a static text that says what is wrong. */
const char *form_check(struct json_object *form);

int form_status(struct json_object *form);
bool form_has(struct json_object *form, const char *key);

/* The form's text of that key; NULL: none. */
const char *form_text(struct json_object *form, const char *key);

/* The form's headers replace those of the same name; null removes one. */
void form_headers(struct json_object *form, struct evkeyvalq *headers);

/* What fills in a form. */
struct form_facts {
    const struct reply *reply;
    int64_t fill; /* the N of NAME:N */
};

/* Appends the form's body: `body` as JSON, or verbatim if it is a string, or the bytes of `hex`. */
void form_body(struct json_object *form, const struct form_facts *facts, struct evbuffer *out);

/* How many steps its `events` have. */
size_t form_steps(struct json_object *form);

/* Appends one of them. */
void form_step(struct json_object *form, size_t step, const struct form_facts *facts,
               struct evbuffer *out);

/* Applies its `patch` to each JSON object that the shape has written: to the whole text, the data
 * of events, or lines. */
void form_patch(struct json_object *form, const struct form_facts *facts, struct evbuffer *text);

#endif
