/*
 * Saying no to a call: counted in the report, logged where asked, answered.
 */
#ifndef UPSTREAM_REFUSE_H
#define UPSTREAM_REFUSE_H

#include <stdint.h>

#include "answer.h"
#include "report.h"
#include "window.h"

/* For anything but the limits. */
void refuse(struct provider *p, struct evhttp_request *req, enum report_failure failure,
            const struct answer_error *error);

/* 400, with words for the caller and the field that they are about (NULL: the body as a whole). */
void refuse_malformed(struct provider *p, struct evhttp_request *req, const char *message,
                      const char *param);

/* The 429 of a limit that was exceeded, or would be by this many tokens. */
void refuse_over_limit(struct provider *p, struct evhttp_request *req, int64_t tokens,
                       enum window_answer why);

#endif
