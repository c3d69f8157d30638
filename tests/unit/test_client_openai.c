/* The OpenAI profile: what a request is estimated at, and what an answer says was used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "provider.h"

static int estimate(const char *body, struct ration_amounts *amounts)
{
    const char *why = NULL;
    json_object *request = json_tokener_parse(body);
    assert_non_null(request);
    int err = provider_openai.estimate(request, amounts, &why);
    if (err < 0)
        assert_non_null(why);
    json_object_put(request);
    return err;
}

static void expect_estimate(const char *body, int64_t input, int64_t output)
{
    struct ration_amounts amounts = {0};
    assert_int_equal(estimate(body, &amounts), 0);
    if (amounts.input_tokens != input || amounts.output_tokens != output)
        fail_msg("%s: %lld + %lld", body, (long long)amounts.input_tokens,
                 (long long)amounts.output_tokens);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi, you\"}]" /* 7 characters: 2 tokens */

static void estimates_requests(void **state)
{
    (void)state;
    expect_estimate("{" HI ",\"max_tokens\":100}", 2, 100);
    expect_estimate("{" HI ",\"max_completion_tokens\":50,\"max_tokens\":100}", 2, 50);
    expect_estimate("{" HI ",\"max_tokens\":100,\"n\":3}", 2, 300);
    expect_estimate("{" HI "}", 2, 1024);
    expect_estimate("{" HI ",\"n\":2,\"max_tokens\":null,\"stream\":false}", 2, 2048);
    expect_estimate("{\"messages\":[]}", RATION_ZERO, 1024);
    expect_estimate("{}", RATION_ZERO, 1024);
    /* characters, not bytes; all messages; parts that have a text; nothing else */
    expect_estimate("{\"max_tokens\":1,\"messages\":[{\"content\":\"\\u00e4\\u00f6\\u00fc\\u20ac\"}"
                    ",{\"content\":\"abcd\"}]}",
                    2, 1);
    expect_estimate(
        "{\"max_tokens\":1,\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"abcdefgh\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://"
        "x\"}},7,null]},null,8,{\"content\":null}]}",
        2, 1);
}

static void keeps_what_is_stated(void **state)
{
    (void)state;
    struct ration_amounts a = {.input_tokens = 7};
    assert_int_equal(estimate("{" HI ",\"max_tokens\":100}", &a), 0);
    assert_int_equal(a.input_tokens, 7);
    assert_int_equal(a.output_tokens, 100);
    struct ration_amounts b = {.tokens = 500};
    assert_int_equal(estimate("{" HI ",\"max_tokens\":100}", &b), 0);
    assert_int_equal(b.tokens, 500);
    assert_int_equal(b.input_tokens, 0);
    assert_int_equal(b.output_tokens, 0);
}

static void refuses_what_it_cannot_do(void **state)
{
    (void)state;
    struct ration_amounts a = {0};
    assert_int_equal(estimate("{" HI ",\"stream\":true}", &a), RATION_EUNSUPPORTED);
    assert_int_equal(estimate("{" HI ",\"max_tokens\":\"many\"}", &a), RATION_EINVALID);
    assert_int_equal(estimate("{" HI ",\"max_tokens\":-1}", &a), RATION_EINVALID);
    assert_int_equal(estimate("{" HI ",\"max_tokens\":1.5}", &a), RATION_EINVALID);
    assert_int_equal(estimate("{" HI ",\"n\":0}", &a), RATION_EINVALID);
    assert_int_equal(estimate("{" HI ",\"n\":129}", &a), RATION_EINVALID);
    expect_estimate("{" HI ",\"max_tokens\":1000000000000,\"n\":128}", 2, RATION_MAX_COST);
}

static bool usage(const char *answer, struct ration_amounts *used)
{
    json_object *o = json_tokener_parse(answer);
    bool known = provider_openai.usage(o, used);
    json_object_put(o);
    return known;
}

static void reads_usage(void **state)
{
    (void)state;
    struct ration_amounts used = {0};
    assert_true(usage(
        "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}", &used));
    assert_int_equal(used.tokens, 15);
    assert_int_equal(used.input_tokens, 10);
    assert_int_equal(used.output_tokens, 5);
    assert_int_equal(used.requests, 0);
    assert_true(usage("{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":0}}", &used));
    assert_int_equal(used.tokens, 10);
    assert_int_equal(used.output_tokens, RATION_ZERO);
}

static void tells_unusable_usage(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "null",
        "7",
        "[]",
        "\"usage\"",
        "{}",
        "{\"usage\":null}",
        "{\"usage\":[]}",
        "{\"usage\":{\"prompt_tokens\":10}}",
        "{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":5}}",
        "{\"usage\":{\"prompt_tokens\":\"10\",\"completion_tokens\":5}}",
        "{\"usage\":{\"prompt_tokens\":1.5,\"completion_tokens\":5}}",
        "{\"usage\":{\"prompt_tokens\":1000000000001,\"completion_tokens\":5}}",
        "{\"usage\":{\"prompt_tokens\":1000000000000,\"completion_tokens\":1000000000000}}",
        "{\"usage\":{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":5}}",
    };
    struct ration_amounts used = {.tokens = 42};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (usage(answers[i], &used))
            fail_msg("%s was taken", answers[i]);
        assert_int_equal(used.tokens, 42);
    }
}

static void finds_profiles(void **state)
{
    (void)state;
    assert_ptr_equal(provider_find(NULL), &provider_openai);
    assert_ptr_equal(provider_find("openai"), &provider_openai);
    assert_null(provider_find("nobody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_requests),        cmocka_unit_test(keeps_what_is_stated),
        cmocka_unit_test(refuses_what_it_cannot_do), cmocka_unit_test(reads_usage),
        cmocka_unit_test(tells_unusable_usage),      cmocka_unit_test(finds_profiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
