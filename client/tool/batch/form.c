/* A form is recognized by its members' names. An object with nothing but a batch's body is one that
 * forgot its id. */
#include "tool/batch/form.h"

#include "tool/object.h"

#include <stdio.h>
#include <string.h>

const struct batch_form batch_forms[] = {
    [BATCH_PLAIN] = {"plain", "a plain body", NULL, NULL},
    [BATCH_OPENAI] = {"batch", "in OpenAI's batch format", "custom_id", "body"},
    [BATCH_ANTHROPIC] = {"anthropic", "in Anthropic's batch format", "custom_id", "params"},
    [BATCH_GEMINI] = {"gemini", "in Gemini's batch format", "key", "request"},
};

#define FORMS (sizeof(batch_forms) / sizeof(batch_forms[0]))

static bool has(json_object *o, const char *key)
{
    return json_object_object_get_ex(o, key, NULL);
}

enum batch_format batch_form_of(json_object *root)
{
    bool alone = json_object_object_length(root) == 1;
    for (size_t i = BATCH_OPENAI; i < FORMS; i++) {
        if (has(root, batch_forms[i].body) && (alone || has(root, batch_forms[i].id)))
            return (enum batch_format)i;
    }
    return has(root, "custom_id") || (has(root, "body") && has(root, "url")) ? BATCH_OPENAI
                                                                             : BATCH_PLAIN;
}

void batch_form_take_apart(enum batch_format format, json_object *root,
                           struct batch_request *request)
{
    *request = (struct batch_request){.format = format, .root = root, .body = root};
    if (format == BATCH_PLAIN)
        return;
    request->body = json_object_object_get(root, batch_forms[format].body);
    request->custom_id = object_string(root, batch_forms[format].id);
    if (format == BATCH_OPENAI)
        request->url = object_string(root, "url");
}

/* Members that only OpenAI's form has. */
static const char *check_sending(const struct batch_request *request)
{
    const char *method = object_string(request->root, "method");
    if (has(request->root, "method") && (!method || strcmp(method, "POST") != 0))
        return "\"method\" must be \"POST\"";
    if (has(request->root, "url") && !request->url)
        return "\"url\" must be a string like \"/v1/chat/completions\"";
    return NULL;
}

bool batch_form_check(const struct batch_request *request, char *why, size_t size)
{
    const struct batch_form *form = &batch_forms[request->format];
    const char *wrong = request->format == BATCH_OPENAI ? check_sending(request) : NULL;
    if (request->format == BATCH_PLAIN)
        return true;
    if (!request->custom_id || !request->custom_id[0])
        snprintf(why, size, "\"%s\" must be a string that is not empty: it identifies the result",
                 form->id);
    else if (!wrong && !json_object_is_type(request->body, json_type_object))
        snprintf(why, size, "\"%s\" must be an object: the request that is sent", form->body);
    else
        snprintf(why, size, "%s", wrong ? wrong : "");
    return !why[0];
}
