/*
 * The forms of a request in a batch's input, each provider's own and the plain one:
 *
 *     OpenAI's     {"custom_id": "a-1", "method": "POST", "url": "/v1/responses", "body": {...}}
 *     Anthropic's  {"custom_id": "a-1", "params": {...}}
 *     Gemini's     {"key": "a-1", "request": {...}}
 *     plain        {"model": "gpt-4o", "messages": [...]}
 */
#ifndef RATION_TOOL_BATCH_FORM_H
#define RATION_TOOL_BATCH_FORM_H

#include <stdbool.h>

#include <json-c/json.h>

enum batch_format { BATCH_PLAIN, BATCH_OPENAI, BATCH_ANTHROPIC, BATCH_GEMINI };

/* One request, parsed. `body` and the strings live as long as `root`. */
struct batch_request {
    enum batch_format format;
    json_object *root;
    json_object *body;
    const char *custom_id; /* Gemini's "key" too; NULL in a plain one */
    const char *url;       /* NULL: none */
};

enum batch_format batch_form_of(json_object *root);

/* In a journal's first line. */
const char *batch_form_word(enum batch_format format);

/* For messages: "in Anthropic's batch format", "a plain body". */
const char *batch_form_text(enum batch_format format);

/* The member that identifies a request; NULL: its line number does. */
const char *batch_form_id(enum batch_format format);

/* The member that holds the body to send; NULL: the whole is the body. */
const char *batch_form_body(enum batch_format format);

/* Finds the parts; missing ones and those of a wrong type are NULL. */
void batch_form_take_apart(enum batch_format format, json_object *root,
                           struct batch_request *request);

/* What is wrong with the form of a request; NULL: nothing. Its body is up to the provider's
 * profile. */
const char *batch_form_check(const struct batch_request *request);

#endif
