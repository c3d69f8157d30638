/* A form is recognized by its members' names. An object with nothing but a batch's body is one that
 * forgot its id. */
#include "tool/batch/form.h"

#include <string.h>

static const struct form {
    const char *word;
    const char *text;
    const char *id;
    const char *body;
    const char *id_is_wrong;
    const char *body_is_wrong;
} forms[] = {
    [BATCH_PLAIN] = {"plain", "a plain body", NULL, NULL, NULL, NULL},
    [BATCH_OPENAI] = {"batch", "in OpenAI's batch format", "custom_id", "body",
                      "\"custom_id\" must be a string that is not empty: the result is known by it",
                      "\"body\" must be an object: the request that is sent"},
    [BATCH_ANTHROPIC] = {"anthropic", "in Anthropic's batch format", "custom_id", "params",
                         "\"custom_id\" must be a string that is not empty: the result is known by "
                         "it",
                         "\"params\" must be an object: the request that is sent"},
    [BATCH_GEMINI] = {"gemini", "in Gemini's batch format", "key", "request",
                      "\"key\" must be a string that is not empty: the result is known by it",
                      "\"request\" must be an object: the request that is sent"},
};

#define FORMS (sizeof(forms) / sizeof(forms[0]))

static bool has(json_object *o, const char *key)
{
    return json_object_object_get_ex(o, key, NULL);
}

static const char *get_string(json_object *o, const char *key)
{
    json_object *value = NULL;
    if (!json_object_object_get_ex(o, key, &value) || !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

enum batch_format batch_form_of(json_object *root)
{
    bool alone = json_object_object_length(root) == 1;
    for (size_t i = BATCH_OPENAI; i < FORMS; i++) {
        if (has(root, forms[i].body) && (alone || has(root, forms[i].id)))
            return (enum batch_format)i;
    }
    return has(root, "custom_id") || (has(root, "body") && has(root, "url")) ? BATCH_OPENAI
                                                                             : BATCH_PLAIN;
}

const char *batch_form_word(enum batch_format format)
{
    return forms[format].word;
}

const char *batch_form_text(enum batch_format format)
{
    return forms[format].text;
}

const char *batch_form_id(enum batch_format format)
{
    return forms[format].id;
}

const char *batch_form_body(enum batch_format format)
{
    return forms[format].body;
}

void batch_form_take_apart(enum batch_format format, json_object *root,
                           struct batch_request *request)
{
    *request = (struct batch_request){.format = format, .root = root, .body = root};
    if (format == BATCH_PLAIN)
        return;
    request->body = json_object_object_get(root, forms[format].body);
    request->custom_id = get_string(root, forms[format].id);
    if (format == BATCH_OPENAI)
        request->url = get_string(root, "url");
}

/* Members that only OpenAI's form has. */
static const char *check_sending(const struct batch_request *request)
{
    const char *method = get_string(request->root, "method");
    if (has(request->root, "method") && (!method || strcmp(method, "POST") != 0))
        return "\"method\" must be \"POST\"";
    if (has(request->root, "url") && !request->url)
        return "\"url\" must be a string like \"/v1/chat/completions\"";
    return NULL;
}

const char *batch_form_check(const struct batch_request *request)
{
    const struct form *form = &forms[request->format];
    const char *wrong = NULL;
    if (request->format == BATCH_PLAIN)
        return NULL;
    if (!request->custom_id || !request->custom_id[0])
        return form->id_is_wrong;
    if (request->format == BATCH_OPENAI)
        wrong = check_sending(request);
    if (!wrong && !json_object_is_type(request->body, json_type_object))
        wrong = form->body_is_wrong;
    return wrong;
}
