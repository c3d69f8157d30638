/*
 * One result as a line of the output, in the output form of the provider whose form the request
 * had.
 *
 * OpenAI's batches:
 *     {"id": "batch_req_...", "custom_id": "a-1",
 *      "response": {"status_code": 200, "request_id": "...", "body": {...}}, "error": null}
 * "response" is what came, null if no answer did. Whatever was not answered has an "error",
 * {"code": "refused", "message": "..."}, even a 400; OpenAI's own files have none there.
 *
 * Anthropic's:
 *     {"custom_id": "a-1", "result": {"type": "succeeded", "message": {...}}}
 *     {"custom_id": "a-1", "result": {"type": "errored", "error": {"type": "error", ...},
 *      "outcome": "refused", "status_code": 400, "body": null}}
 *
 * Gemini's:
 *     {"key": "a-1", "response": {...}}
 *     {"key": "a-1", "error": {"code": 400, "message": "...", "status": "..."},
 *      "outcome": "refused", "status_code": 400, "body": null}
 *
 * In these two "error" is the provider's own if its answer has one of that form, else it is made
 * from the outcome and a message; then "body" is what came, so that nothing is lost.
 *
 * A plain body's:
 *     {"line": 1, "status_code": 200, "body": {...}, "error": null}
 * "error" is as in OpenAI's form; status_code is 0 and body null if no answer came.
 *
 * The body is the provider's text, byte for byte except for line ends between its values; if it is
 * not JSON it is a string.
 */
#ifndef RATION_TOOL_BATCH_RESULT_H
#define RATION_TOOL_BATCH_RESULT_H

#include "tool/batch/batch.h"
#include "tool/batch/input.h"

struct batch_outcome {
    enum batch_class class;
    int status;             /* 0: no answer came */
    const char *request_id; /* "": the provider names none */
    const char *body;       /* NULL: none */
    size_t body_bytes;
    const char *why; /* what went wrong, in words */
};

/* Gives the line without its end, to be freed, and its length; NULL: out of memory. */
char *batch_result_line(const struct batch_input *input, size_t i, const char *custom_id,
                        const struct batch_outcome *outcome, size_t *bytes);

#endif
