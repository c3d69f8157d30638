/*
 * What OpenAI's chat and responses have in common.
 */
#ifndef UPSTREAM_SHAPE_OPENAI_H
#define UPSTREAM_SHAPE_OPENAI_H

#include "shape.h"

#define OPENAI_NO_KEY                                                                              \
    "There is no API key: send the header `Authorization: Bearer KEY`; any key will do."

void openai_limits(struct evkeyvalq *headers, const struct limits_now *now);
void openai_wait(struct evkeyvalq *headers, int64_t wait_us);
char *openai_error(const struct answer_error *error);

/* An object with that one number: usage's details. */
struct json_object *openai_details(const char *name, int64_t n);

#endif
