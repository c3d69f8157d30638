/* Changing single members of a JSON text, with every other byte left as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "profile/jtext.h"

static void expect(int done, char *out, size_t n, const char *text, const char *wanted)
{
    if (!wanted) {
        assert_int_equal(done, 0);
        assert_null(out);
        return;
    }
    if (done != 1 || n != strlen(wanted) || strcmp(out, wanted) != 0)
        fail_msg("%s became %s", text, done == 1 ? out : "nothing else");
    free(out);
}

static void sets_members(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *place;
        bool replace;
        const char *wanted; /* NULL: nothing is changed */
    } cases[] = {
        {"{}", "stream", true, "{\"stream\":true}"},
        {" {\n} \n", "stream", true, " {\n\"stream\":true} \n"},
        {"{\"a\":1}", "stream", true, "{\"a\":1,\"stream\":true}"},
        {"{\"stream\" : false, \"a\":1}", "stream", true, "{\"stream\" : true, \"a\":1}"},
        {"{\"stream\":false}", "stream", false, NULL},
        {"{\"stream\":null}", "stream", false, "{\"stream\":true}"},
        /* of two the last rules */
        {"{\"stream\":1,\"stream\":2}", "stream", true, "{\"stream\":1,\"stream\":true}"},
        {"{\"str\\u0065am\":1}", "stream", true, "{\"str\\u0065am\":true}"},
        {"{\"stream\\n\":1}", "stream", true, "{\"stream\\n\":1,\"stream\":true}"},
        {"{\"x\":\"\\\"}{,\\\\\",\"y\":[{\"stream\":[]},\"]\"]}", "stream", true,
         "{\"x\":\"\\\"}{,\\\\\",\"y\":[{\"stream\":[]},\"]\"],\"stream\":true}"},
        {"\xef\xbb\xbf{\"a\":1}", "stream", true, "\xef\xbb\xbf{\"a\":1,\"stream\":true}"},
        {"{}", "a.b.c", false, "{\"a\":{\"b\":{\"c\":true}}}"},
        {"{\"a\":null}", "a.b", false, "{\"a\":{\"b\":true}}"},
        {"{\"a\": { \"x\":1 } }", "a.b", false, "{\"a\": { \"x\":1,\"b\":true } }"},
        {"{\"a\":{}}", "a.b", false, "{\"a\":{\"b\":true}}"},
        {"{\"a\":{\"b\":false}}", "a.b", false, NULL},
        {"{\"a\":7}", "a.b", false, NULL},
        /* no JSON, or no object: left alone */
        {"", "a", true, NULL},
        {"[]", "a", true, NULL},
        {"{\"b\":1", "a", true, NULL},
        {"{\"b\":\"", "a", true, NULL},
        {"{\"b\":\"\\", "a", true, NULL},
        {"{b:1}", "a", true, NULL},
        {"{\"b\" 1}", "a", true, NULL},
        {"{\"b\":1 \"c\":2}", "a", true, NULL},
        {"{\"b\":}", "a", true, NULL},
        {"{\"b\":]}", "a", true, NULL},
        {"{/* */\"b\":1}", "a", true, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out = NULL;
        size_t n = 0;
        int done = jtext_set(cases[i].text, strlen(cases[i].text), cases[i].place, "true",
                             cases[i].replace, &out, &n);
        expect(done, out, n, cases[i].text, cases[i].wanted);
    }
}

static void drops_members(void **state)
{
    (void)state;
    static const char *const names[] = {"model", "stream"};
    static const struct {
        const char *text;
        const char *wanted;
    } cases[] = {
        {"{\"model\":1}", "{}"},
        {"{ \"model\":1 , \"a\":2 }", "{\"a\":2 }"},
        {"{\"a\":2 ,\n \"model\":{\"x\":[1,2]}}", "{\"a\":2}"},
        {"{\"model\":1,\"a\":12345678901234567890123,\"stream\":true}",
         "{\"a\":12345678901234567890123}"},
        {"{\"a\":1, \"model\":2, \"b\":\"\\ud800\", \"stream\":3, \"c\":3}",
         "{\"a\":1, \"b\":\"\\ud800\", \"c\":3}"},
        {"{\"model\":1,\"stream\":2,\"model\":3}", "{}"},
        {"{\"a\":{\"model\":1}}", NULL},
        {"{}", NULL},
        {"{\"model\":1", NULL},
        {"{\"model\":1,", NULL},
        {"[1]", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out = NULL;
        size_t n = 0;
        int done = jtext_drop(cases[i].text, strlen(cases[i].text), names, 2, &out, &n);
        expect(done, out, n, cases[i].text, cases[i].wanted);
    }
}

static void finds_members(void **state)
{
    (void)state;
    size_t at = 0;
    size_t len = 0;
    const char *text = "{\"id\": 1, \"body\" : {\"n\": 123456789012345678901} , \"z\":0}";
    assert_true(jtext_find(text, strlen(text), "body", &at, &len));
    assert_memory_equal(text + at, "{\"n\": 123456789012345678901}", len);
    assert_int_equal(len, 28);
    assert_false(jtext_find(text, strlen(text), "n", &at, &len));
    assert_false(jtext_find("[]", 2, "n", &at, &len));
    assert_false(jtext_find("{\"n\":1", 6, "n", &at, &len));
}

/* Every beginning of a text is one that ends too early: none may be read past its end, or
 * changed. */
static void stays_within(void **state)
{
    (void)state;
    static const char *const names[] = {"model"};
    const char *text =
        "{\"model\":\"a\\\\\\\"b\",\"x\":[{\"y\":null},-1.5e3,\"\\u00e4\"],\"s\":{}}";
    for (size_t n = 0; n < strlen(text); n++) {
        char *copy = malloc(n ? n : 1); /* without a NUL, for the sanitizer */
        char *out = NULL;
        size_t out_n = 0;
        assert_non_null(copy);
        memcpy(copy, text, n);
        assert_int_equal(jtext_drop(copy, n, names, 1, &out, &out_n), 0);
        assert_int_equal(jtext_set(copy, n, "s.t", "1", true, &out, &out_n), 0);
        free(copy);
    }
}

static void minds_no_depth(void **state)
{
    (void)state;
    const size_t depth = 100000;
    char *text = malloc(2 * depth + 16);
    char *out = NULL;
    size_t n = 0;
    assert_non_null(text);
    strcpy(text, "{\"a\":");
    memset(text + 5, '[', depth);
    memset(text + 5 + depth, ']', depth);
    strcpy(text + 5 + 2 * depth, "}");
    assert_int_equal(jtext_set(text, strlen(text), "b", "1", false, &out, &n), 1);
    assert_string_equal(out + n - 8, "]],\"b\":1}" + 1);
    free(out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_members),   cmocka_unit_test(drops_members),
        cmocka_unit_test(finds_members),  cmocka_unit_test(stays_within),
        cmocka_unit_test(minds_no_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
