/*
 * The parsed JSON lives only inside completion_parse(); only a small struct is kept, because
 * thousands of calls wait for their answer at once and a replayed prompt may be large. Each shape
 * reads its own fields; all of them take the real lengths of prompt and answer from `metadata`,
 * even if the provider has no such field.
 */
#include "completion.h"

#include <json-c/json.h>

#include "lengths.h"
#include "read.h"
#include "shape.h"

static int read_metadata(struct json_object *root, struct completion *c, struct complaint *bad)
{
    struct json_object *metadata;
    if (!json_object_object_get_ex(root, "metadata", &metadata) || metadata == NULL) {
        return 0;
    }
    if (!json_object_is_type(metadata, json_type_object)) {
        return read_complain(bad, "metadata", "metadata must be an object");
    }
    const struct {
        const char *name;
        int64_t *value;
    } known[] = {{"input_tokens", &c->prompt_tokens},
                 {"output_tokens", &c->output_tokens},
                 {"cached_tokens", &c->cached_tokens},
                 {"cache_write_tokens", &c->cache_write_tokens},
                 {"reasoning_tokens", &c->reasoning_tokens}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!read_whole(metadata, known[i].name, true, 0, COMPLETION_MAX_TOKENS, known[i].value)) {
            return read_complain(bad, "metadata",
                                 "input_tokens, output_tokens, cached_tokens, cache_write_tokens "
                                 "and reasoning_tokens in metadata must be whole numbers from 0 to "
                                 "1000000000");
        }
    }
    return 0;
}

static int read_request(struct json_object *root, struct completion *c, struct complaint *bad)
{
    int64_t characters = 0;
    if (!json_object_is_type(root, json_type_object)) {
        return complain(bad, REFUSAL_JSON, NULL, NULL, NULL);
    }
    if (fields_check(root, c->shape->fields, "", c->shape->lenient, bad) < 0) {
        return -1;
    }
    if (c->model[0] == '\0' && read_model(root, c->model, sizeof(c->model), bad) < 0) {
        return -1;
    }
    if (c->shape->read(root, c, &characters, bad) < 0) {
        return -1;
    }
    c->prompt_tokens = characters / 4 + (characters % 4 != 0);
    return read_metadata(root, c, bad);
}

int completion_parse(struct completion *c, const char *body, size_t len, struct complaint *bad)
{
    int rc = -1;
    c->choices = 1;
    c->max_output = COMPLETION_DEFAULT_OUTPUT;
    c->output_tokens = -1;
    c->stream_usage = true;
    complain(bad, REFUSAL_JSON, NULL, NULL, NULL); /* also without memory */
    struct json_tokener *tokener = json_tokener_new_ex(COMPLETION_MAX_DEPTH);
    if (tokener) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *root = json_tokener_parse_ex(tokener, body, (int)len);
        if (json_tokener_get_error(tokener) == json_tokener_success) {
            rc = read_request(root, c, bad);
        }
        json_object_put(root);
        json_tokener_free(tokener);
    }
    return rc;
}

int64_t completion_estimate(const struct completion *c)
{
    return c->prompt_tokens + (c->no_output ? 0 : c->choices * c->max_output);
}

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

void completion_use(const struct completion *c, const struct lengths *lengths, uint64_t *random,
                    struct usage *use)
{
    use->prompt_tokens = c->prompt_tokens;
    if (c->no_output) {
        use->completion_tokens = 0;
    } else if (c->output_tokens >= 0) {
        use->completion_tokens = c->choices * at_most(c->output_tokens, c->max_output);
    } else {
        use->completion_tokens = 0;
        for (int64_t i = 0; i < c->choices; i++) {
            use->completion_tokens += lengths_draw(lengths, c->max_output, random);
        }
    }
    use->cached_tokens = at_most(c->cached_tokens, use->prompt_tokens);
    use->cache_write_tokens =
        at_most(c->cache_write_tokens, use->prompt_tokens - use->cached_tokens);
    use->reasoning_tokens = at_most(c->reasoning_tokens, use->completion_tokens);
}

bool completion_was_cut(const struct completion *c, const struct usage *use)
{
    return use->completion_tokens == c->choices * c->max_output;
}
