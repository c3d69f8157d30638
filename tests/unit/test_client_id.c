/* Ids: those that are made are valid and never meet, slices turn when they should, and the checks
 * know the grammar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "wire/id.h"

#define N 1000

static void slice_of(const char *id, char *out)
{
    size_t len = strcspn(id + 3, ".");
    assert_in_range(len, 1, RATION_ID_MAX_SLICE);
    memcpy(out, id + 3, len);
    out[len] = '\0';
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void made_ids_are_canonical_and_unique(void **state)
{
    (void)state;
    static char ids[N][RATION_MAX_ID_BYTES];
    struct id_maker maker;
    assert_int_equal(id_maker_init(&maker), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(id_make(&maker, 1000, "openai/gpt-4o", "acme", ids[i]), 0);
        assert_true(id_is_canonical(ids[i]));
        assert_true(id_is_valid(ids[i]));
        assert_non_null(strstr(ids[i], ".0.acme@openai/gpt-4o"));
    }
    qsort(ids, N, sizeof(ids[0]), by_text);
    for (int i = 1; i < N; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
}

static void slices_turn_by_use_and_by_age(void **state)
{
    (void)state;
    struct id_maker maker;
    char id[RATION_MAX_ID_BYTES];
    char slice[32];
    char before[32] = "";
    int turns = 0;
    assert_int_equal(id_maker_init(&maker), 0);
    for (int i = 0; i < 10 * ID_SLICE_USES; i++) {
        id_make(&maker, 0, "p", "t", id);
        slice_of(id, slice);
        turns += strcmp(slice, before) != 0;
        strcpy(before, slice);
    }
    assert_int_equal(turns, 10);

    id_maker_init(&maker);
    id_make(&maker, 100, "p", "t", id);
    slice_of(id, before);
    id_make(&maker, 100 + ID_SLICE_AGE_MS - 1, "p", "t", id);
    slice_of(id, slice);
    assert_string_equal(slice, before);
    id_make(&maker, 100 + ID_SLICE_AGE_MS, "p", "t", id);
    slice_of(id, slice);
    assert_string_not_equal(slice, before);
}

static void longest_names_and_counter_fit(void **state)
{
    (void)state;
    struct id_maker maker;
    char pool[RATION_MAX_POOL_BYTES + 1];
    char tenant[RATION_MAX_TENANT_BYTES + 1];
    char id[RATION_MAX_ID_BYTES];
    memset(pool, 'p', sizeof(pool) - 1);
    memset(tenant, 't', sizeof(tenant) - 1);
    pool[sizeof(pool) - 1] = tenant[sizeof(tenant) - 1] = '\0';
    assert_int_equal(id_maker_init(&maker), 0);
    maker.slice = UINT64_MAX - 1;
    assert_int_equal(id_make(&maker, 0, pool, tenant, id), 0);
    assert_true(id_is_canonical(id));
}

static void handles_do_not_share_slices(void **state)
{
    (void)state;
    struct id_maker a;
    struct id_maker b;
    assert_int_equal(id_maker_init(&a), 0);
    assert_int_equal(id_maker_init(&b), 0);
    assert_string_not_equal(a.prefix, b.prefix);
}

static void checks_know_the_grammar(void **state)
{
    (void)state;
    static const char *const canonical[] = {
        "r1.k7f3q2m9x1a.9f8e7d6c5b4a3928.0.acme@openai/gpt-4o",
        "r1.a.0000000000000000.255.t@p",
        "r1.abcdefghijklmnopqrstuvwx.ffffffffffffffff.10.user@example.org@pool",
    };
    static const char *const neither[] = {
        "",
        "has space",
        "tab\there",
        "r1.",
        "r1.x",
        "r1..9f8e7d6c5b4a3928.0.acme@p",
        "r1.K.9f8e7d6c5b4a3928.0.acme@p",
        "r1.abcdefghijklmnopqrstuvwxy.9f8e7d6c5b4a3928.0.acme@p",
        "r1.k.9f8e7d6c5b4a392.0.acme@p",
        "r1.k.9F8e7d6c5b4a3928.0.acme@p",
        "r1.k.9f8e7d6c5b4a3928.256.acme@p",
        "r1.k.9f8e7d6c5b4a3928.00.acme@p",
        "r1.k.9f8e7d6c5b4a3928..acme@p",
        "r1.k.9f8e7d6c5b4a3928.0.acme",
        "r1.k.9f8e7d6c5b4a3928.0.@p",
        "r1.k.9f8e7d6c5b4a3928.0.acme@",
        "r1.k.9f8e7d6c5b4a3928.0.ac{me@p",
    };
    for (size_t i = 0; i < sizeof(canonical) / sizeof(canonical[0]); i++)
        assert_true(id_is_canonical(canonical[i]) && id_is_valid(canonical[i]));
    for (size_t i = 0; i < sizeof(neither) / sizeof(neither[0]); i++) {
        if (id_is_valid(neither[i]) || id_is_canonical(neither[i]))
            fail_msg("'%s' was taken", neither[i]);
    }
    assert_true(id_is_valid("order-4711"));
    assert_false(id_is_canonical("order-4711"));
    char free_id[RATION_MAX_FREE_ID_BYTES + 2];
    memset(free_id, 'x', sizeof(free_id));
    free_id[RATION_MAX_FREE_ID_BYTES] = '\0';
    assert_true(id_is_valid(free_id));
    free_id[RATION_MAX_FREE_ID_BYTES] = 'x';
    free_id[RATION_MAX_FREE_ID_BYTES + 1] = '\0';
    assert_false(id_is_valid(free_id));

    assert_true(id_pool_is_valid("openai/gpt-4o"));
    assert_false(id_pool_is_valid("a@b"));
    assert_true(id_tenant_is_valid("a@b"));
    assert_false(id_tenant_is_valid(""));
    assert_false(id_tenant_is_valid("a\"b"));
    assert_false(id_tenant_is_valid("\xc3\xa4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_ids_are_canonical_and_unique),
        cmocka_unit_test(slices_turn_by_use_and_by_age),
        cmocka_unit_test(longest_names_and_counter_fit),
        cmocka_unit_test(handles_do_not_share_slices),
        cmocka_unit_test(checks_know_the_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
