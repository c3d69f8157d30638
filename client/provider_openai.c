/*
 * The OpenAI chat API, not streamed.
 *
 * A request is estimated at a quarter of the characters of its messages (rounded up) plus the most that it may answer, n
 * times: max_completion_tokens, else the older max_tokens, else a plain guess, since without either a model may answer up
 * to its own limit, which no request says. An answer says what was used in its `usage` object.
 *
 * Not every failure is refused here: a body that the provider will not like is the provider's to refuse. Refused is only
 * what the library cannot do (a streamed answer) and what would make the estimate meaningless (amounts out of range).
 */
#include "provider.h"

#define DEFAULT_OUTPUT_TOKENS 1024
#define MAX_CHOICES           128

static int64_t count_text(json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return 0;
    return provider_count_characters(json_object_get_string(value),
                                     (size_t)json_object_get_string_len(value));
}

/* A message's content is a text, or a list of parts of which some have a text. */
static int64_t count_content(json_object *content)
{
    if (!json_object_is_type(content, json_type_array))
        return count_text(content);
    int64_t n = 0;
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        json_object *part = json_object_array_get_idx(content, i);
        json_object *text = NULL;
        if (json_object_is_type(part, json_type_object) &&
            json_object_object_get_ex(part, "text", &text))
            n += count_text(text);
    }
    return n;
}

static int64_t count_messages(json_object *request)
{
    json_object *messages = NULL;
    if (!json_object_object_get_ex(request, "messages", &messages) ||
        !json_object_is_type(messages, json_type_array))
        return 0;
    int64_t n = 0;
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        json_object *message = json_object_array_get_idx(messages, i);
        json_object *content = NULL;
        if (json_object_is_type(message, json_type_object) &&
            json_object_object_get_ex(message, "content", &content))
            n += count_content(content);
    }
    return n;
}

static bool is_set(json_object *request, const char *key)
{
    json_object *value = NULL;
    return json_object_object_get_ex(request, key, &value) && value != NULL;
}

static int most_output(json_object *request, int64_t *out, const char **why)
{
    int64_t tokens = DEFAULT_OUTPUT_TOKENS;
    int64_t choices = 1;
    const char *key =
        is_set(request, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    if (is_set(request, key) && !provider_get_count(request, key, &tokens)) {
        *why = "the body's max_completion_tokens or max_tokens is not a number of tokens";
        return RATION_EINVALID;
    }
    if (is_set(request, "n") &&
        (!provider_get_count(request, "n", &choices) || choices < 1 || choices > MAX_CHOICES)) {
        *why = "the body's n is not 1 - 128";
        return RATION_EINVALID;
    }
    *out = tokens > RATION_MAX_COST / choices ? RATION_MAX_COST : tokens * choices;
    return 0;
}

static int64_t stated(int64_t n)
{
    return n == 0 ? RATION_ZERO : n;
}

static int estimate_chat(json_object *request, struct ration_amounts *estimate, const char **why)
{
    json_object *stream = NULL;
    if (json_object_object_get_ex(request, "stream", &stream) && json_object_get_boolean(stream)) {
        *why = "streamed answers are not supported: leave out \"stream\"";
        return RATION_EUNSUPPORTED;
    }
    int64_t output = 0;
    int err = most_output(request, &output, why);
    if (err < 0)
        return err;
    /* A caller that states only the sum has said all: the server charges it to either part until the report. */
    if (estimate->tokens != 0)
        return 0;
    if (estimate->input_tokens == 0)
        estimate->input_tokens = stated((count_messages(request) + 3) / 4);
    if (estimate->output_tokens == 0)
        estimate->output_tokens = stated(output);
    return 0;
}

static bool read_usage(json_object *answer, struct ration_amounts *used)
{
    json_object *usage = NULL;
    int64_t input = 0;
    int64_t output = 0;
    int64_t total = 0;
    if (!json_object_is_type(answer, json_type_object) ||
        !json_object_object_get_ex(answer, "usage", &usage) ||
        !provider_get_count(usage, "prompt_tokens", &input) ||
        !provider_get_count(usage, "completion_tokens", &output))
        return false;
    if (!provider_get_count(usage, "total_tokens", &total))
        total = input + output;
    if (total > RATION_MAX_COST)
        return false;
    used->tokens = stated(total);
    used->input_tokens = stated(input);
    used->output_tokens = stated(output);
    return true;
}

const struct provider provider_openai = {
    .name = "openai",
    .url = "https://api.openai.com",
    .path = "/v1/chat/completions",
    .key_header = "Authorization: Bearer ",
    .key_variable = "OPENAI_API_KEY",
    .estimate = estimate_chat,
    .usage = read_usage,
};
