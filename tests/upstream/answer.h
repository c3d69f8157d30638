/*
 * Sending answers. Every answer that this module sends carries x-request-id and the six x-ratelimit-* headers, as they
 * stand at the moment of sending.
 */
#ifndef UPSTREAM_ANSWER_H
#define UPSTREAM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evhttp_request;
struct provider;

/* An error to be told: type, param and code as OpenAI's clients know them; param and code may be NULL. */
struct answer_error {
    int status;
    const char *type;
    const char *param;
    const char *code;
    const char *message;
};

/* Each of these ends the request: it belongs to libevent afterwards. `json` is borrowed. */
void answer_json(struct provider *p, struct evhttp_request *req, int status, const char *json);
void answer_error(struct provider *p, struct evhttp_request *req, const struct answer_error *error);

/* Announces all of json, sends half of it, and closes the connection. */
void answer_truncated(struct provider *p, struct evhttp_request *req, const char *json);

/* Announces half of json as the whole, so that only a parser can tell. */
void answer_broken(struct provider *p, struct evhttp_request *req, const char *json);

/* Adds Retry-After, in whole seconds rounded up, and retry-after-ms to an answer that is yet to be sent. */
void answer_add_wait(struct evhttp_request *req, int64_t wait_us);

/* A duration as Go prints it, rounded up to a millisecond: 17ms, 1s, 1.5s, 6m0s, 1h0m0s. Returns out. */
const char *answer_duration(char *out, size_t size, int64_t us);

#endif
