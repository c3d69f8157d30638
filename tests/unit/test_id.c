/* Ids: generated ones can be parsed, and nothing else can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/id.h"

static void make(struct id_maker *maker, uint64_t ms, const char *tenant, const char *pool,
                 struct id *out)
{
    memset(out, 0, sizeof *out);
    out->tenant_bytes = (uint8_t)strlen(tenant);
    memcpy(out->tenant, tenant, out->tenant_bytes);
    out->pool_bytes = (uint8_t)strlen(pool);
    memcpy(out->pool, pool, out->pool_bytes);
    assert_false(id_is_made(out));
    id_make(maker, ms, 1, out);
    assert_true(id_is_made(out));
}

static void test_made_ids_are_read_again(void **state)
{
    (void)state;
    struct id_maker maker;
    struct id made, read;
    char text[RATION_MAX_ID_BYTES], again[RATION_MAX_ID_BYTES];
    id_maker_init(&maker);
    for (int i = 0; i < 1000; i++) {
        make(&maker, (uint64_t)i, "acme@example.org", "openai/gpt-4o", &made);
        made.member = (uint8_t)(i % 256);
        size_t n = id_format(&made, text);
        assert_int_equal(n, strlen(text));
        assert_null(id_parse(text, n, &read));
        assert_false(read.free_form);
        assert_int_equal(read.member, i % 256);
        assert_true(id_is_for(&read, "acme@example.org", 16, "openai/gpt-4o", 13));
        assert_false(id_is_for(&read, "acme@example.com", 16, "openai/gpt-4o", 13));
        assert_int_equal(id_format(&read, again), n);
        assert_string_equal(text, again);
    }
}

static void test_a_slice_has_some_thousand_members_at_most(void **state)
{
    (void)state;
    for (size_t members = 1; members <= RATION_ID_MAX_MEMBERS; members++) {
        struct id_maker maker;
        struct id id = {0};
        char slice[RATION_ID_MAX_SLICE] = "";
        size_t in_slice = 0;
        id_maker_init(&maker);
        for (int i = 0; i < 300; i++) {
            id_make(&maker, 1000, members, &id);
            in_slice = memcmp(slice, id.slice, id.slice_bytes) == 0 ? in_slice : 0;
            memcpy(slice, id.slice, id.slice_bytes);
            in_slice += members;
            assert_true(in_slice <= 2000);
            assert_true(members > 1 || in_slice <= 100);
        }
    }
}

static void test_the_longest_id_fits(void **state)
{
    (void)state;
    struct id_maker maker;
    struct id made, read;
    char text[RATION_MAX_ID_BYTES];
    char tenant[RATION_MAX_TENANT_BYTES + 1] = "", pool[RATION_MAX_POOL_BYTES + 1] = "";
    memset(tenant, 't', sizeof tenant - 1);
    memset(pool, 'p', sizeof pool - 1);
    id_maker_init(&maker);
    maker.sequence = UINT64_MAX - 1;
    make(&maker, 0, tenant, pool, &made);
    memset(made.slice, 'z', sizeof made.slice);
    made.slice_bytes = sizeof made.slice;
    made.member = 255;
    size_t n = id_format(&made, text);
    assert_true(n < sizeof text);
    assert_null(id_parse(text, n, &read));
}

static void test_slices_are_rolled_by_number_and_by_age(void **state)
{
    (void)state;
    struct id_maker maker;
    struct id first, id;
    id_maker_init(&maker);
    make(&maker, 0, "t", "p", &first);
    int same = 1;
    for (;; same++) {
        make(&maker, 0, "t", "p", &id);
        if (id.slice_bytes != first.slice_bytes ||
            memcmp(id.slice, first.slice, id.slice_bytes) != 0)
            break;
    }
    assert_in_range(same, 50, 128);
    struct id later;
    make(&maker, 60000, "t", "p", &later);
    assert_true(memcmp(id.slice, later.slice, sizeof id.slice) != 0 ||
                id.slice_bytes != later.slice_bytes);
}

static void test_nonces_do_not_repeat(void **state)
{
    (void)state;
    struct id_maker maker;
    struct id a, b;
    id_maker_init(&maker);
    make(&maker, 0, "t", "p", &a);
    for (int i = 0; i < 1000; i++) {
        make(&maker, 0, "t", "p", &b);
        assert_memory_not_equal(a.nonce, b.nonce, sizeof a.nonce);
    }
}

static void test_wrong_ids_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "with space",
        "tab\there",
        "\x7f",
        "r1.",
        "r1.abc",
        "r1.abc.9f8e7d6c5b4a3928.0.acme",
        "r1..9f8e7d6c5b4a3928.0.acme@p",
        "r1.abc.9F8E7D6C5B4A3928.0.acme@p",
        "r1.abc.9f8e7d6c5b4a392.0.acme@p",
        "r1.abc.9f8e7d6c5b4a3928.256.acme@p",
        "r1.abc.9f8e7d6c5b4a3928.01.acme@p",
        "r1.abc.9f8e7d6c5b4a3928..acme@p",
        "r1.abc.9f8e7d6c5b4a3928.0.@p",
        "r1.abc.9f8e7d6c5b4a3928.0.acme@",
        "r1.ABC.9f8e7d6c5b4a3928.0.acme@p",
        "r1.abcdefghijklmnopqrstuvwxy.9f8e7d6c5b4a3928.0.acme@p",
    };
    struct id id;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!id_parse(wrong[i], strlen(wrong[i]), &id))
            fail_msg("accepted: %s", wrong[i]);
    char long_one[RATION_MAX_FREE_ID_BYTES + 1];
    memset(long_one, 'x', sizeof long_one);
    assert_non_null(id_parse(long_one, sizeof long_one, &id));
    assert_null(id_parse(long_one, sizeof long_one - 1, &id));
}

static void test_any_prefix_of_an_id_is_harmless(void **state)
{
    (void)state;
    static const char text[] = "r1.abc.9f8e7d6c5b4a3928.12.acme@openai/gpt-4o";
    struct id id;
    for (size_t n = 3; n < sizeof text - 13; n++)
        assert_non_null(id_parse(text, n, &id));
    assert_null(id_parse(text, sizeof text - 1, &id));
    assert_int_equal(id.member, 12);
}

static void test_free_form_ids_keep_their_words(void **state)
{
    (void)state;
    struct id id;
    char text[RATION_MAX_ID_BYTES];
    assert_null(id_parse("order-4711", 10, &id));
    assert_true(id.free_form);
    assert_int_equal(id_format(&id, text), 10);
    assert_string_equal(text, "order-4711");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_ids_are_read_again),
        cmocka_unit_test(test_a_slice_has_some_thousand_members_at_most),
        cmocka_unit_test(test_the_longest_id_fits),
        cmocka_unit_test(test_slices_are_rolled_by_number_and_by_age),
        cmocka_unit_test(test_nonces_do_not_repeat),
        cmocka_unit_test(test_wrong_ids_are_refused),
        cmocka_unit_test(test_any_prefix_of_an_id_is_harmless),
        cmocka_unit_test(test_free_form_ids_keep_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
