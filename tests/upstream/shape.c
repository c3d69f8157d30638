/*
 * Paths, keys, and whatever else the shapes have in common.
 */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "jo.h"

static const struct {
    const char *before; /* the path up to the model's name, or all of it; * is one path segment */
    const char *after;  /* the path after the model's name; NULL: no model in the path */
    const struct shape *shape;
    bool stream;
} paths[] = {
    {"/v1/chat/completions", NULL, &shape_openai_chat, false},
    {"/openai/v1/chat/completions", NULL, &shape_openai_chat, false},     /* Groq, Azure's v1 */
    {"/api/v1/chat/completions", NULL, &shape_openai_chat, false},        /* OpenRouter */
    {"/chat/completions", NULL, &shape_openai_chat, false},               /* DeepSeek */
    {"/v1beta/openai/chat/completions", NULL, &shape_openai_chat, false}, /* Gemini in its form */
    {"/api/paas/v4/chat/completions", NULL, &shape_openai_chat, false},   /* z.ai */
    {"/inference/v1/chat/completions", NULL, &shape_openai_chat, false},  /* Fireworks */
    {"/v1/responses", NULL, &shape_openai_responses, false},
    {"/v1/embeddings", NULL, &shape_openai_embeddings, false},
    {"/v1/completions", NULL, &shape_openai_completions, false},
    {"/mistral/v1/chat/completions", NULL, &shape_mistral, false},
    {"/v2/chat", NULL, &shape_cohere, false},
    {"/api/chat", NULL, &shape_ollama, false},
    {"/v1/messages", NULL, &shape_anthropic, false},
    {"/v1beta/models/", ":generateContent", &shape_gemini, false},
    {"/v1beta/models/", ":streamGenerateContent", &shape_gemini, true},
    {"/v1/projects/*/locations/*/publishers/google/models/", ":generateContent", &shape_vertex,
     false},
    {"/v1/projects/*/locations/*/publishers/google/models/", ":streamGenerateContent",
     &shape_vertex, true},
    {"/openai/deployments/", "/chat/completions", &shape_azure, false},
    {"/model/", "/converse", &shape_bedrock, false},
    {"/model/", "/converse-stream", &shape_bedrock, true},
};

/* How much of the path matches `before`; 0 if its beginning does not. */
static size_t front_of(const char *path, const char *before)
{
    const char *at = path;
    for (; *before; before++) {
        if (*before == '*') {
            size_t len = strcspn(at, "/");
            if (len == 0) {
                return 0;
            }
            at += len;
        } else if (*at++ != *before) {
            return 0;
        }
    }
    return (size_t)(at - path);
}

/* The length of the model's name between the two; -1 if the path does not match. */
static int middle(const char *path, size_t front, const char *after)
{
    size_t len = strlen(path);
    if (after == NULL) {
        return len == front ? 0 : -1;
    }
    size_t back = strlen(after);
    if (len <= front + back || len - front - back > COMPLETION_MAX_MODEL ||
        strcmp(path + len - back, after) != 0 || memchr(path + front, '/', len - front - back)) {
        return -1;
    }
    return (int)(len - front - back);
}

const struct shape *shape_of(struct evhttp_request *req, struct completion *asked)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    if (path == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        size_t front = front_of(path, paths[i].before);
        int len = front > 0 ? middle(path, front, paths[i].after) : -1;
        if (len < 0) {
            continue;
        }
        if (asked) {
            memset(asked, 0, sizeof(*asked));
            asked->shape = paths[i].shape;
            asked->stream = paths[i].stream;
            snprintf(asked->model, sizeof(asked->model), "%.*s", len, path + front);
        }
        return paths[i].shape;
    }
    return NULL;
}

const struct shape *shape_near(struct evhttp_request *req)
{
    static const struct {
        const char *begins;
        const struct shape *shape;
    } near[] = {{"/v1beta/", &shape_gemini},
                {"/v1/messages", &shape_anthropic},
                {"/v1/projects/", &shape_vertex},
                {"/model/", &shape_bedrock},
                {"/mistral/", &shape_mistral},
                {"/v2/", &shape_cohere},
                {"/openai/deployments/", &shape_azure},
                {"/api/", &shape_ollama}};
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const struct shape *shape = shape_of(req, NULL);
    for (size_t i = 0; !shape && path && i < sizeof(near) / sizeof(near[0]); i++) {
        if (strncmp(path, near[i].begins, strlen(near[i].begins)) == 0) {
            shape = near[i].shape;
        }
    }
    return shape ? shape : &shape_openai_chat;
}

const char *shape_header(struct evhttp_request *req, const char *name)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), name);
    return value && value[0] ? value : NULL;
}

bool shape_has_query(struct evhttp_request *req, const char *name, const char *value)
{
    struct evkeyvalq query;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    if (text == NULL || evhttp_parse_query_str(text, &query) < 0) {
        return false;
    }
    const char *found = evhttp_find_header(&query, name);
    bool has = found && (value ? strcmp(found, value) == 0 : found[0] != '\0');
    evhttp_clear_headers(&query);
    return has;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Only visible ASCII characters can be in a key: a space, a line break or a quote got in by
 * mistake. */
static enum key_state judge(const char *key, const char *only)
{
    for (const char *c = key; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '"' || *c == '\'') {
            return KEY_WRONG;
        }
    }
    return only == NULL || strcmp(key, only) == 0 ? KEY_GOOD : KEY_WRONG;
}

static const char *bearer(struct evhttp_request *req)
{
    const char *value = shape_header(req, "Authorization");
    return value && strncasecmp(value, "Bearer ", 7) == 0 && value[7 + strspn(value + 7, " ")]
               ? value + 7
               : NULL;
}

static enum key_state judge_query(struct evhttp_request *req, const char *only)
{
    struct evkeyvalq query;
    enum key_state state = KEY_MISSING;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    if (text == NULL || evhttp_parse_query_str(text, &query) < 0) {
        return KEY_MISSING;
    }
    const char *found = evhttp_find_header(&query, "key");
    if (found && found[0]) {
        state = judge(found, only);
    }
    evhttp_clear_headers(&query);
    return state;
}

enum key_state shape_key(struct evhttp_request *req, unsigned keys, const char *only)
{
    static const struct {
        unsigned key;
        const char *header;
    } headers[] = {{KEY_X_API_KEY, "x-api-key"},
                   {KEY_API_KEY, "api-key"},
                   {KEY_GOOG_API_KEY, "x-goog-api-key"}};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        const char *value = keys & headers[i].key ? shape_header(req, headers[i].header) : NULL;
        if (value) {
            return judge(value, only);
        }
    }
    const char *value = keys & KEY_BEARER ? bearer(req) : NULL;
    if (value) {
        return judge(value, only);
    }
    return keys & KEY_QUERY ? judge_query(req, only) : KEY_MISSING;
}

/* ---- Writing --------------------------------------------------------------------------------- */

void shape_add_number(struct evkeyvalq *headers, const char *name, int64_t n)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, n);
    evhttp_add_header(headers, name, digits);
}

int64_t shape_seconds(int64_t us)
{
    return us / 1000000 + (us % 1000000 != 0);
}

void shape_event(struct evbuffer *out, const char *name, struct json_object *data)
{
    char *json = jo_render(data);
    if (name) {
        evbuffer_add_printf(out, "event: %s\n", name);
    }
    evbuffer_add_printf(out, "data: %s\n\n", json ? json : "{}");
    free(json);
}

void shape_typed_event(struct evbuffer *out, const char *name, struct json_object *data)
{
    struct json_object *type;
    bool typed = json_object_object_get_ex(data, "type", &type) &&
                 json_object_is_type(type, json_type_string);
    shape_event(out, name ? name : typed ? json_object_get_string(type) : NULL, data);
}
