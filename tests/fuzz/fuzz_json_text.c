/*
 * Fuzz target: changing single members of a caller's JSON without touching the rest.
 *
 * A member that was set is found again, one that was cut out is not; setting it twice is the same
 * as once. If the text is JSON to a strict reader, so is the changed text, and apart from the
 * change both are equal.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "profile/jtext.h"

#define PLACE "stream_options.include_usage"

static json_object *parse(const char *text, size_t n)
{
    json_tokener *tokener = json_tokener_new_ex(64);
    CHECK(tokener != NULL);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *parsed = json_tokener_parse_ex(tokener, text, (int)n);
    if (json_tokener_get_error(tokener) != json_tokener_success ||
        !json_object_is_type(parsed, json_type_object)) {
        json_object_put(parsed);
        parsed = NULL;
    }
    json_tokener_free(tokener);
    return parsed;
}

/* Compares both without the top-level member that may differ. */
static void check_equal(const char *before, size_t n, const char *after, size_t after_n,
                        const char *name)
{
    json_object *a = parse(before, n);
    json_object *b = a ? parse(after, after_n) : NULL;
    if (a) {
        CHECK(b != NULL);
        json_object_object_del(a, name);
        json_object_object_del(b, name);
        CHECK(json_object_equal(a, b));
    }
    json_object_put(a);
    json_object_put(b);
}

static void check_set(const char *text, size_t n, bool replace)
{
    char *out = NULL;
    char *again = NULL;
    size_t out_n = 0;
    size_t again_n = 0;
    size_t at = 0;
    size_t len = 0;
    int done = jtext_set(text, n, PLACE, "true", replace, &out, &out_n);
    CHECK(done == 0 || done == 1);
    CHECK((done == 1) == (out != NULL));
    if (done == 0)
        return;
    CHECK(out[out_n] == '\0');
    check_equal(text, n, out, out_n, "stream_options");
    CHECK(jtext_find(out, out_n, "stream_options", &at, &len) && at + len <= out_n);
    if (jtext_set(out, out_n, PLACE, "true", replace, &again, &again_n) == 1)
        CHECK(again_n == out_n && memcmp(again, out, out_n) == 0);
    free(again);
    free(out);
}

static void check_drop(const char *text, size_t n)
{
    static const char *const names[] = {"model", "stream"};
    char *out = NULL;
    size_t out_n = 0;
    size_t at = 0;
    size_t len = 0;
    int done = jtext_drop(text, n, names, 2, &out, &out_n);
    CHECK(done == 0 || done == 1);
    CHECK((done == 1) == (out != NULL));
    if (done == 0)
        return;
    CHECK(out_n < n && out[out_n] == '\0');
    CHECK(!jtext_find(out, out_n, "model", &at, &len));
    CHECK(!jtext_find(out, out_n, "stream", &at, &len));
    json_object *before = parse(text, n);
    if (before)
        json_object_object_del(before, "model");
    json_object *after = before ? parse(out, out_n) : NULL;
    if (before) {
        json_object_object_del(before, "stream");
        CHECK(after != NULL && json_object_equal(before, after));
    }
    json_object_put(before);
    json_object_put(after);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    size_t len = 0;
    char *text = fuzz_copy((const char *)data, size);
    if (jtext_find(text, size, "stream", &at, &len))
        CHECK(len > 0 && at < size && len <= size - at);
    check_set(text, size, true);
    check_set(text, size, false);
    check_drop(text, size);
    free(text);
    return 0;
}
