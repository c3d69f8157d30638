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

/* Each format's own words. */
struct batch_form {
    const char *word; /* in a journal's first line */
    const char *text; /* for messages: "in Anthropic's batch format", "a plain body" */
    const char *id;   /* the member that identifies a request; NULL: its line number does */
    const char *body; /* the member that holds the body to send; NULL: the whole is the body */
};
extern const struct batch_form batch_forms[];

/* Finds the parts; missing ones and those of a wrong type are NULL. */
void batch_form_take_apart(enum batch_format format, json_object *root,
                           struct batch_request *request);

/* Whether the form of a request is right; if not, `why` gets the reason. Its body is up to the
 * provider's profile. */
bool batch_form_check(const struct batch_request *request, char *why, size_t size);

#endif
