/*
 * One result as the line that goes to the output, in the form of the output of the provider whose form the request had.
 *
 * OpenAI's batches:
 *     {"id": "batch_req_...", "custom_id": "a-1",
 *      "response": {"status_code": 200, "request_id": "...", "body": {...}}, "error": null}
 * "response" is what came, null where no answer did. Whatever was not answered has an "error",
 * {"code": "refused", "message": "..."}, an answer of 400 too: in that, OpenAI's own files differ.
 *
 * Anthropic's:
 *     {"custom_id": "a-1", "result": {"type": "succeeded", "message": {...}}}
 *     {"custom_id": "a-1", "result": {"type": "errored", "error": {"type": "error", "error": {...}}, "outcome": "refused",
 *      "status_code": 400, "body": null}}
 *
 * Gemini's:
 *     {"key": "a-1", "response": {...}}
 *     {"key": "a-1", "error": {"code": 400, "message": "...", "status": "..."}, "outcome": "refused", "status_code": 400,
 *      "body": null}
 *
 * In these two "error" is the provider's own where its answer has one of that form, else it is made of the outcome and of
 * words; then "body" is what came, so that nothing is lost.
 *
 * Of a plain body:
 *     {"line": 1, "status_code": 200, "body": {...}, "error": null}
 * "error" is as in OpenAI's form; status_code is 0 and body null where no answer came.
 *
 * The body is the provider's text, byte for byte but for the line ends between its values; one that is no JSON is a string.
 */
#ifndef RATION_TOOL_BATCH_RESULT_H
#define RATION_TOOL_BATCH_RESULT_H

#include "tool/batch/batch.h"
#include "tool/batch/input.h"

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
