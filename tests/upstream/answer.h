/*
 * Sending answers in the shape of the request's path (OpenAI's for control paths). Every answer
 * carries its shape's rate limit headers, as they stand at the moment of sending.
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

/* Each of these ends the request, which then belongs to libevent. Borrows `json`. */
void answer_json(struct provider *p, struct evhttp_request *req, int status, const char *json);
void answer_error(struct provider *p, struct evhttp_request *req, const struct answer_error *error);

/* Answers with the status, headers and body of a form (form.h). */
void answer_form(struct provider *p, struct evhttp_request *req, struct json_object *form,
                 const struct form_facts *facts);

/* Answers with the shape's own answer, patched by a form. */
void answer_patched(struct provider *p, struct evhttp_request *req, struct json_object *form,
                    const struct form_facts *facts, const char *json);

/* Announces all of json, sends half of it, and closes the connection. */
void answer_truncated(struct provider *p, struct evhttp_request *req, const char *json);

/* Announces and sends half of json as if it were the whole, so that only a parser can tell. */
void answer_broken(struct provider *p, struct evhttp_request *req, const char *json);

/* These two do not end the request. This one announces all of json and sends half of it. */
void answer_half(struct provider *p, struct evhttp_request *req, const char *json);

/* Sends the head of an event stream, to be continued with evhttp_send_reply_chunk(). form may be
 * NULL. Sets in *gz whether to compress what follows. */
void answer_stream(struct provider *p, struct evhttp_request *req, struct json_object *form,
                   struct gzip *gz);

/* A duration as Go prints it, rounded up to a millisecond: 17ms, 1s, 1.5s, 6m0s, 1h0m0s. Returns
 * out. */
const char *answer_duration(char *out, size_t size, int64_t us);

#endif
