/*
 * Paths, and what the shapes have in common.
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
    const char *before; /* the path up to the model's name, or all of it */
    const char *after;  /* and from there on; NULL: no model in the path */
    const struct shape *shape;
    bool stream;
} paths[] = {
    {"/v1/chat/completions", NULL, &shape_openai_chat, false},
    {"/openai/v1/chat/completions", NULL, &shape_openai_chat, false},
    {"/v1/responses", NULL, &shape_openai_responses, false},
    {"/v1/messages", NULL, &shape_anthropic, false},
    {"/v1beta/models/", ":generateContent", &shape_gemini, false},
    {"/v1beta/models/", ":streamGenerateContent", &shape_gemini, true},
    {"/openai/deployments/", "/chat/completions", &shape_azure, false},
};

/* The length of the model's name between the two; -1 when the path is not of this kind. */
static int middle(const char *path, const char *before, const char *after)
{
    size_t len = strlen(path);
    size_t front = strlen(before);
    if (after == NULL) {
        return strcmp(path, before) == 0 ? 0 : -1;
    }
    size_t back = strlen(after);
    if (len <= front + back || len - front - back > COMPLETION_MAX_MODEL ||
        memcmp(path, before, front) != 0 || strcmp(path + len - back, after) != 0 ||
        memchr(path + front, '/', len - front - back)) {
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
        int len = middle(path, paths[i].before, paths[i].after);
        if (len < 0) {
            continue;
        }
        if (asked) {
            memset(asked, 0, sizeof(*asked));
            asked->shape = paths[i].shape;
            asked->stream = paths[i].stream;
            snprintf(asked->model, sizeof(asked->model), "%.*s", len,
                     path + strlen(paths[i].before));
        }
        return paths[i].shape;
    }
    return NULL;
}

bool shape_has_header(struct evhttp_request *req, const char *name)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), name);
    return value && value[0];
}

bool shape_has_bearer(struct evhttp_request *req)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), "Authorization");
    return value && strncasecmp(value, "Bearer ", 7) == 0 && value[7 + strspn(value + 7, " ")];
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
