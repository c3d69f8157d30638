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

/* The same for what was found wrong with a request. */
void refuse_complaint(struct provider *p, struct evhttp_request *req, enum report_failure failure,
                      const struct complaint *bad);

/* What a refusal counts, for those that are answered elsewhere. */
void refuse_count(struct provider *p, enum report_failure failure);

/* The 429 of a limit that was exceeded, or would be by this many tokens. */
void refuse_over_limit(struct provider *p, struct evhttp_request *req, int64_t tokens,
                       enum window_answer why);

#endif
