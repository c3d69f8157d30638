/*
 * Facts are filled in on the JSON before it is printed: a string that is the name of a fact becomes
 * that fact, whatever its type. Patches work on what a shape has printed, so that shapes need not
 * know of them.
 */
#include "form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "frame.h"
#include "jo.h"

#define PART 500 /* characters of $part in each of the events that it is spread over */

extern const char strict_forms_json[];

static struct json_object *forms;

/* ---- Finding --------------------------------------------------------------------------------- */

int forms_open(void)
{
    enum json_tokener_error error;
    forms = json_tokener_parse_verbose(strict_forms_json, &error);
    if (forms == NULL) {
        fprintf(stderr, "strict-provider: forms.json: %s\n", json_tokener_error_desc(error));
        return -1;
    }
    return 0;
}

void forms_close(void)
{
    json_object_put(forms);
    forms = NULL;
}

struct json_object *forms_find(const char *name)
{
    char plain[64];
    struct json_object *found = NULL;
    snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(name, ":"), name);
    json_object_object_get_ex(forms, plain, &found);
    return found;
}

struct json_object *form_for(struct json_object *named, const struct shape *shape)
{
    struct json_object *found = NULL;
    if (!json_object_object_get_ex(named, shape->name, &found) &&
        !json_object_object_get_ex(named, shape->family, &found)) {
        json_object_object_get_ex(named, "any", &found);
    }
    return found;
}

static bool headers_hold(struct json_object *headers)
{
    if (!json_object_is_type(headers, json_type_object)) {
        return false;
    }
    json_object_object_foreach(headers, name, value)
    {
        const char *text = value ? json_object_get_string(value) : "";
        if (name[0] == '\0' || (value && !json_object_is_type(value, json_type_string)) ||
            text[strcspn(text, "\r\n")] != '\0') {
            return false;
        }
    }
    return true;
}

const char *form_check(struct json_object *form)
{
    struct json_object *value;
    int status = form_status(form);
    if (status < 200 || status > 599) {
        return "status must be a number from 200 to 599";
    }
    if (json_object_object_get_ex(form, "headers", &value) && !headers_hold(value)) {
        return "headers must be an object of texts, or of null for one that is not to be sent";
    }
    static const char *const lists[] = {"events", "patch"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (json_object_object_get_ex(form, lists[i], &value) &&
            !json_object_is_type(value, json_type_array)) {
            return "events and patch must be lists";
        }
    }
    const char *hex = form_text(form, "hex");
    if (hex && (strlen(hex) % 2 != 0 || hex[strspn(hex, "0123456789abcdefABCDEF")] != '\0')) {
        return "hex must be two digits for each byte";
    }
    return NULL;
}

int form_status(struct json_object *form)
{
    struct json_object *value;
    return json_object_object_get_ex(form, "status", &value) ? json_object_get_int(value) : 200;
}

bool form_has(struct json_object *form, const char *key)
{
    return form && json_object_object_get_ex(form, key, NULL);
}

const char *form_text(struct json_object *form, const char *key)
{
    struct json_object *value;
    return form && json_object_object_get_ex(form, key, &value) &&
                   json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : NULL;
}

void form_headers(struct json_object *form, struct evkeyvalq *headers)
{
    struct json_object *mine;
    if (form == NULL || !json_object_object_get_ex(form, "headers", &mine)) {
        return;
    }
    json_object_object_foreach(mine, name, value)
    {
        evhttp_remove_header(headers, name);
        if (value) {
            evhttp_add_header(headers, name, json_object_get_string(value));
        }
    }
}

/* ---- Filling in ------------------------------------------------------------------------------ */

static struct json_object *repeated(int64_t len)
{
    static const char words[] = "well then ";
    char *text = malloc((size_t)len + 1);
    if (text == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < len; i++) {
        text[i] = words[i % (int64_t)(sizeof(words) - 1)];
    }
    struct json_object *o = json_object_new_string_len(text, (int)len);
    free(text);
    return o;
}

/* A number not written as an integer: as a text, with a decimal point, or as a fraction below it
 * that rounds up to it. */
static struct json_object *written(int64_t n, const char *how)
{
    char text[40];
    if (strcmp(how, "-text") == 0) {
        snprintf(text, sizeof(text), "%" PRId64, n);
        return json_object_new_string(text);
    }
    if (strcmp(how, "-float") == 0) {
        snprintf(text, sizeof(text), "%" PRId64 ".0", n);
        return json_object_new_double_s((double)n, text);
    }
    if (strcmp(how, "-over") == 0) {
        snprintf(text, sizeof(text), "%" PRId64 ".92", n > 0 ? n - 1 : 0);
        return json_object_new_double_s((double)n, text);
    }
    return NULL;
}

/* The fact of that name; NULL: no such fact. */
static struct json_object *fact(const char *name, const struct form_facts *facts, int64_t part)
{
    const struct reply *r = facts->reply;
    const struct usage *use = r->use;
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {
        {"$in", use->prompt_tokens},
        {"$out", use->completion_tokens},
        {"$total", use->prompt_tokens + use->completion_tokens},
        {"$fresh", use->prompt_tokens - use->cached_tokens - use->cache_write_tokens},
        {"$cached", use->cached_tokens},
        {"$writes", use->cache_write_tokens},
        {"$reasoning", use->reasoning_tokens},
        {"$visible", use->completion_tokens - use->reasoning_tokens},
        {"$created", r->created_s},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        size_t len = strlen(numbers[i].name);
        if (strncmp(name, numbers[i].name, len) == 0) {
            if (name[len] == '\0') {
                return json_object_new_int64(numbers[i].n);
            }
            struct json_object *o = written(numbers[i].n, name + len);
            if (o) {
                return o;
            }
        }
    }
    if (strcmp(name, "$model") == 0) {
        return json_object_new_string(r->asked->model);
    }
    if (strcmp(name, "$fill") == 0) {
        return repeated(facts->fill);
    }
    return strcmp(name, "$part") == 0 ? repeated(part) : NULL;
}

/* A copy with all facts filled in. */
static struct json_object *filled(struct json_object *from, const struct form_facts *facts,
                                  int64_t part)
{
    struct json_object *copy = NULL;
    if (json_object_is_type(from, json_type_object)) {
        copy = json_object_new_object();
        json_object_object_foreach(from, name, value)
        {
            json_object_object_add(copy, name, filled(value, facts, part));
        }
    } else if (json_object_is_type(from, json_type_array)) {
        copy = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(from); i++) {
            json_object_array_add(copy, filled(json_object_array_get_idx(from, i), facts, part));
        }
    } else {
        if (json_object_is_type(from, json_type_string)) {
            copy = fact(json_object_get_string(from), facts, part);
        }
        copy = copy ? copy : json_object_get(from);
    }
    return copy;
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static void add_hex(struct evbuffer *out, const char *hex)
{
    char two[3] = "";
    for (; hex[0] && hex[1]; hex += 2) {
        memcpy(two, hex, 2);
        unsigned char byte = (unsigned char)strtoul(two, NULL, 16);
        evbuffer_add(out, &byte, 1);
    }
}

void form_body(struct json_object *form, const struct form_facts *facts, struct evbuffer *out)
{
    struct json_object *body;
    const char *hex = form_text(form, "hex");
    if (hex) {
        add_hex(out, hex);
        return;
    }
    if (!json_object_object_get_ex(form, "body", &body)) {
        return;
    }
    if (json_object_is_type(body, json_type_string)) {
        evbuffer_add(out, json_object_get_string(body), (size_t)json_object_get_string_len(body));
        return;
    }
    char *json = jo_render(filled(body, facts, 0));
    evbuffer_add_printf(out, "%s", json ? json : "");
    free(json);
}

/* ---- Events ---------------------------------------------------------------------------------- */

size_t form_steps(struct json_object *form)
{
    struct json_object *events;
    return json_object_object_get_ex(form, "events", &events) ? json_object_array_length(events)
                                                              : 0;
}

/* How many of the steps before `end` are this word. */
static int64_t count_word(struct json_object *events, const char *word, size_t end)
{
    int64_t n = 0;
    for (size_t i = 0; i < end; i++) {
        struct json_object *step = json_object_array_get_idx(events, i);
        n += json_object_is_type(step, json_type_string) &&
             strcmp(json_object_get_string(step), word) == 0;
    }
    return n;
}

/* $begin, $piece and $end are the shape's own. False for any other text. */
static bool own_step(struct json_object *events, size_t step, const char *word,
                     const struct form_facts *facts, struct evbuffer *out)
{
    static const char *const words[] = {"$begin", "$piece", "$end"};
    struct reply reply = *facts->reply;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            reply.piece = count_word(events, "$piece", step);
            reply.pieces = count_word(events, "$piece", json_object_array_length(events));
            reply.asked->shape->stream(out, &reply, (enum stream_step)i);
            return true;
        }
    }
    return false;
}

static void append_event(struct json_object *event, const struct form_facts *facts, int64_t part,
                         struct evbuffer *out)
{
    const struct shape *shape = facts->reply->asked->shape;
    struct json_object *data = event;
    const char *name = form_text(event, "$event");
    if (name) {
        json_object_object_get_ex(event, "data", &data);
    }
    (shape->event ? shape->event : shape_event)(out, name, filled(data, facts, part));
}

void form_step(struct json_object *form, size_t step, const struct form_facts *facts,
               struct evbuffer *out)
{
    struct json_object *events;
    json_object_object_get_ex(form, "events", &events);
    struct json_object *event = json_object_array_get_idx(events, step);
    if (json_object_is_type(event, json_type_string)) {
        if (!own_step(events, step, json_object_get_string(event), facts, out)) {
            evbuffer_add(out, json_object_get_string(event),
                         (size_t)json_object_get_string_len(event));
        }
        return;
    }
    bool spread = strstr(json_object_to_json_string(event), "\"$part\"") != NULL;
    int64_t left = spread ? facts->fill : 0;
    do {
        int64_t part = left < PART ? left : PART;
        append_event(event, facts, part, out);
        left -= part;
    } while (left > 0);
}

/* ---- Patches --------------------------------------------------------------------------------- */

/* The element of that name or number; NULL: none. */
static struct json_object *element(struct json_object *of, const char *name)
{
    struct json_object *found = NULL;
    if (json_object_is_type(of, json_type_array)) {
        return json_object_array_get_idx(of, strtoul(name, NULL, 10));
    }
    if (json_object_is_type(of, json_type_object)) {
        json_object_object_get_ex(of, name, &found);
    }
    return found;
}

/* The object that contains a place; the last part of its name goes into `last`. */
static struct json_object *parent_of(struct json_object *root, const char *place, char *last,
                                     size_t size)
{
    while (root) {
        size_t len = strcspn(place, ".");
        snprintf(last, size, "%.*s", (int)len, place);
        if (place[len] == '\0') {
            return json_object_is_type(root, json_type_object) ? root : NULL;
        }
        root = element(root, last);
        place += len + 1;
    }
    return NULL;
}

static bool is_there(struct json_object *root, const char *place)
{
    char last[64];
    struct json_object *parent = parent_of(root, place, last, sizeof(last));
    return parent && element(parent, last) != NULL;
}

static void apply(struct json_object *root, struct json_object *op, const struct form_facts *facts)
{
    char last[64];
    struct json_object *value;
    const char *at = form_text(op, "at");
    const char *with = form_text(op, "with");
    struct json_object *parent = at ? parent_of(root, at, last, sizeof(last)) : NULL;
    if (parent == NULL || (with && !is_there(root, with))) {
        return;
    }
    if (json_object_object_get_ex(op, "add", &value) ||
        (json_object_object_get_ex(op, "set", &value) && element(parent, last))) {
        json_object_object_add(parent, last, filled(value, facts, 0));
    } else if (json_object_object_get_ex(op, "drop", &value)) {
        json_object_object_del(parent, last);
    }
}

static void patch_line(struct json_object *form, const struct form_facts *facts, const char *line,
                       struct evbuffer *out)
{
    struct json_object *ops;
    const char *json = strncmp(line, "data: ", 6) == 0 ? line + 6 : line;
    struct json_object *root = json[0] == '{' ? json_tokener_parse(json) : NULL;
    if (root == NULL) {
        evbuffer_add_printf(out, "%s", line);
        return;
    }
    json_object_object_get_ex(form, "patch", &ops);
    for (size_t i = 0; i < json_object_array_length(ops); i++) {
        apply(root, json_object_array_get_idx(ops, i), facts);
    }
    char *text = jo_render(root);
    size_t len = strlen(line);
    evbuffer_add_printf(out, "%.*s%s%s", (int)(json - line), line, text ? text : "{}",
                        len && line[len - 1] == '\r' ? "\r" : "");
    free(text);
}

/* Patches the payloads of a binary stream's messages. */
static void patch_messages(struct json_object *form, const struct form_facts *facts,
                           struct evbuffer *text, struct evbuffer *out)
{
    char *headers;
    char *payload;
    size_t headers_len;
    struct evbuffer *patched = evbuffer_new();
    while (patched && frame_take(text, &headers, &headers_len, &payload)) {
        patch_line(form, facts, payload, patched);
        size_t len = evbuffer_get_length(patched);
        frame_append_raw(out, headers, headers_len, (char *)evbuffer_pullup(patched, -1), len);
        evbuffer_drain(patched, len);
        free(headers);
    }
    if (patched) {
        evbuffer_free(patched);
    }
}

static void patch_lines(struct json_object *form, const struct form_facts *facts,
                        struct evbuffer *text, struct evbuffer *out)
{
    while (evbuffer_get_length(text) > 0) {
        size_t len;
        char *line = evbuffer_readln(text, &len, EVBUFFER_EOL_LF);
        if (line == NULL) {
            len = evbuffer_get_length(text);
            line = malloc(len + 1);
            if (line == NULL) {
                break;
            }
            evbuffer_remove(text, line, len);
            line[len] = '\0';
            patch_line(form, facts, line, out);
        } else {
            patch_line(form, facts, line, out);
            evbuffer_add(out, "\n", 1);
        }
        free(line);
    }
}

void form_patch(struct json_object *form, const struct form_facts *facts, struct evbuffer *text)
{
    char first = ' ';
    struct evbuffer *out = form_has(form, "patch") ? evbuffer_new() : NULL;
    if (out == NULL) {
        return;
    }
    evbuffer_copyout(text, &first, 1);
    if (first == '\0') {
        patch_messages(form, facts, text, out);
    } else {
        patch_lines(form, facts, text, out);
    }
    evbuffer_add_buffer(text, out);
    evbuffer_free(out);
}
