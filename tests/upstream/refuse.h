/*
 * Refusing a call: counted in the report, logged if asked for, answered.
 */
#ifndef UPSTREAM_REFUSE_H
#define UPSTREAM_REFUSE_H

#include <stdint.h>

#include "answer.h"
#include "report.h"
#include "window.h"

/* Refuses for any reason but the limits. */
void refuse(struct provider *p, struct evhttp_request *req, enum report_failure failure,
            const struct answer_error *error);

/* Refuses for what is wrong with the request. */
void refuse_complaint(struct provider *p, struct evhttp_request *req, enum report_failure failure,
                      const struct complaint *bad);

/* Counts a refusal that is answered elsewhere. */
void refuse_count(struct provider *p, enum report_failure failure);

/* Answers 429: a limit was exceeded, or would be by this many tokens. */
void refuse_over_limit(struct provider *p, struct evhttp_request *req, int64_t tokens,
                       enum window_answer why);

#endif
