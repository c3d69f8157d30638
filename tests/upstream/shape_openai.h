/*
 * What OpenAI's APIs, and those modelled on its chat, have in common.
 */
#ifndef UPSTREAM_SHAPE_OPENAI_H
#define UPSTREAM_SHAPE_OPENAI_H

#include "shape.h"

#define OPENAI_MAX_BODY (50 * MIB) /* best known: the most that a request's files may total */

/* Refusals of a body, as the models themselves phrase them in each of these APIs. */
#define OPENAI_BODY_REFUSALS                                                                       \
    [REFUSAL_JSON] = {400, NULL, NULL, false,                                                      \
                      "We could not parse the JSON body of your request."},                        \
    [REFUSAL_MISSING] = {400, NULL, "missing_required_parameter", true,                            \
                         "Missing required parameter: '{name}'."},                                 \
    [REFUSAL_WRONG_TYPE] = {400, NULL, "invalid_type", true,                                       \
                            "Invalid type for '{name}': expected {wants}, but got {got} "          \
                            "instead."},                                                           \
    [REFUSAL_TOO_SMALL] = {400, NULL, "integer_below_min_value", true,                             \
                           "Invalid '{name}': integer below minimum value. Expected a value >= "   \
                           "{wants}, but got {got} instead."},                                     \
    [REFUSAL_TOO_LARGE] = {400, NULL, "integer_above_max_value", true,                             \
                           "Invalid '{name}': integer above maximum value. Expected a value <= "   \
                           "{wants}, but got {got} instead."},                                     \
    [REFUSAL_VALUE] = {400, NULL, NULL, true, "{wants}"}

/* Refusals of the rest of a request. The API reads nothing from a form, which clients send if they
 * name no content type, so it complains that the model is missing. */
#define OPENAI_REQUEST_REFUSALS                                                                    \
    [REFUSAL_NO_KEY] = {401, NULL, NULL, false,                                                    \
                        "You didn't provide an API key: send it as `Authorization: Bearer KEY`."}, \
    [REFUSAL_BAD_KEY] = {401, NULL, "invalid_api_key", false, "Incorrect API key provided."},      \
    [REFUSAL_CONTENT_TYPE] = {415, NULL, "unsupported_content_type", false,                        \
                              "Unsupported content type: '{got}'. This API method only accepts "   \
                              "'application/json' requests."},                                     \
    [REFUSAL_FORM] = {400, NULL, NULL, false, "you must provide a model parameter"},               \
    [REFUSAL_NO_MODEL] = {400, NULL, NULL, false, "you must provide a model parameter"},           \
    [REFUSAL_BODY] = {413, NULL, NULL, false, "Payload too large: more than {wants} bytes."},      \
    [REFUSAL_METHOD] = {405, NULL, "method_not_supported", false,                                  \
                        "Not allowed to {got} on {name}."},                                        \
    [REFUSAL_PATH] = {404, NULL, NULL, false, "Invalid URL ({got} {name})"}

extern const struct refusal_words openai_refusals[REFUSAL_COUNT];

/* max_tokens or its newer name, n, stream and stream_options. */
int openai_read_shared(struct json_object *root, struct completion *c, struct complaint *bad);

void openai_limits(struct evkeyvalq *headers, const struct limits_now *now);
void openai_wait(struct evkeyvalq *headers, int64_t wait_us);
char *openai_error(const struct answer_error *error);
void openai_stream_error(struct evbuffer *out, const struct answer_error *error);

/* An object with this one number, for usage's details. */
struct json_object *openai_details(const char *name, int64_t n);

struct json_object *openai_usage(const struct usage *use);

/* Answers of chat, whole and streamed. */
char *openai_answer(const struct reply *reply);
void openai_stream(struct evbuffer *out, const struct reply *reply, enum stream_step step);

#endif
