/*
 * One result as the line that goes to the output.
 *
 * Of a request in OpenAI's batch format, as in the output of OpenAI's own batches:
 *     {"id": "batch_req_...", "custom_id": "a-1",
 *      "response": {"status_code": 200, "request_id": "...", "body": {...}}, "error": null}
 * Where no answer came, "response" is null and "error" is {"code": "timed_out", "message": "..."}.
 *
 * Of a plain body:
 *     {"line": 1, "status_code": 200, "body": {...}, "error": null}
 * Where there was no 2xx, "error" is {"code": "refused", "message": "..."}; status_code is 0 and body null where no answer came.
 *
 * The body is the provider's text, byte for byte but for the line ends between its values; one that is no JSON is a string.
 */
#ifndef RATION_TOOL_BATCH_RESULT_H
#define RATION_TOOL_BATCH_RESULT_H

#include "batch.h"
#include "batch_input.h"

struct batch_outcome {
    enum batch_class class;
    int status;             /* 0: no answer came */
    const char *request_id; /* "" where the provider names none */
    const char *body;       /* NULL: none */
    size_t body_bytes;
    const char *why; /* what went wrong, in words */
};

/* Gives the line without its end, to be freed, and its length; NULL: out of memory. */
char *batch_result_line(const struct batch_input *input, size_t i, const char *custom_id,
                        const struct batch_outcome *outcome, size_t *bytes);

#endif
