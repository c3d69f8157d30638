/*
 * Sending answers, in the shape that the request's path asks for (control paths: OpenAI's). Every
 * answer carries the headers of limits that its shape has, as they stand at the moment of sending.
 */
#ifndef UPSTREAM_ANSWER_H
#define UPSTREAM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shape.h"

struct evhttp_request;
struct form_facts;
struct gzip;
struct json_object;
struct provider;

/* Each of these ends the request: it belongs to libevent afterwards. `json` is borrowed. */
void answer_json(struct provider *p, struct evhttp_request *req, int status, const char *json);
void answer_error(struct provider *p, struct evhttp_request *req, const struct answer_error *error);

/* With the status, the headers and the body of a form (form.h). */
void answer_form(struct provider *p, struct evhttp_request *req, struct json_object *form,
                 const struct form_facts *facts);

/* The shape's own answer, as a form changes it. */
void answer_patched(struct provider *p, struct evhttp_request *req, struct json_object *form,
                    const struct form_facts *facts, const char *json);

/* Announces all of json, sends half of it, and closes the connection. */
void answer_truncated(struct provider *p, struct evhttp_request *req, const char *json);

/* Announces half of json as the whole, so that only a parser can tell. */
void answer_broken(struct provider *p, struct evhttp_request *req, const char *json);

/* These do not end it. Announces all of json, and sends half of it. */
void answer_half(struct provider *p, struct evhttp_request *req, const char *json);

/* Sends the head of a stream of events; evhttp_send_reply_chunk() goes on. form may be NULL. Says
 * in *gz whether what follows is to be compressed. */
void answer_stream(struct provider *p, struct evhttp_request *req, struct json_object *form,
                   struct gzip *gz);

/* A duration as Go prints it, rounded up to a millisecond: 17ms, 1s, 1.5s, 6m0s, 1h0m0s. Returns
 * out. */
const char *answer_duration(char *out, size_t size, int64_t us);

#endif
