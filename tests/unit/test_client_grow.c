/* The growing buffer: its bound, its NUL, what failing leaves behind. The linker leads the
 * library's realloc() here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "grow.h"

#define MAX 5000

static bool fails;
static size_t largest;

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_realloc(void *p, size_t size)
{
    largest = size > largest ? size : largest;
    return fails ? NULL : __real_realloc(p, size);
}

static void grows_by_pieces(void **state)
{
    (void)state;
    struct grow grow;
    grow_init(&grow, MAX);
    assert_null(grow.bytes);
    assert_int_equal(grow_add(&grow, NULL, 0), 0);
    assert_string_equal(grow.bytes, "");
    for (int i = 0; i < 2000; i++)
        assert_int_equal(grow_add(&grow, i % 2 ? "b" : "a", 1), 0);
    assert_int_equal(grow.n, 2000);
    assert_int_equal(strlen(grow.bytes), 2000);
    assert_memory_equal(grow.bytes + 1998, "ab", 3);
    grow.n = 0;
    assert_int_equal(grow_add(&grow, "x\0y", 3), 0);
    assert_memory_equal(grow.bytes, "x\0y", 4);
    grow_close(&grow);
    grow_close(&grow);
}

static void keeps_its_bound(void **state)
{
    (void)state;
    static const char filler[MAX + 1];
    struct grow grow;
    grow_init(&grow, MAX);
    largest = 0;
    assert_int_equal(grow_add(&grow, filler, MAX + 1), RATION_EPROTOCOL);
    assert_null(grow.bytes);
    assert_int_equal(grow_add(&grow, filler, MAX), 0);
    assert_int_equal(largest, MAX + 1); /* with the NUL */
    assert_int_equal(grow_add(&grow, filler, 0), 0);
    assert_int_equal(grow_add(&grow, filler, 1), RATION_EPROTOCOL);
    assert_int_equal(grow_add(&grow, filler, SIZE_MAX), RATION_EPROTOCOL);
    assert_int_equal(grow_reserve(&grow, 1), RATION_EPROTOCOL);
    assert_int_equal(grow.n, MAX);
    grow_close(&grow);
}

static void survives_without_memory(void **state)
{
    (void)state;
    static const char filler[3000];
    struct grow grow;
    grow_init(&grow, MAX);
    fails = true;
    assert_int_equal(grow_add(&grow, "x", 1), RATION_ENOMEM);
    fails = false;
    assert_int_equal(grow_add(&grow, "abc", 3), 0);
    assert_int_equal(grow_reserve(&grow, 1500), 0);
    fails = true;
    assert_int_equal(grow_add(&grow, filler, sizeof(filler)), RATION_ENOMEM);
    assert_int_equal(grow.n, 3);
    assert_string_equal(grow.bytes, "abc");
    assert_int_equal(grow_add(&grow, filler, 1500), 0); /* as reserved */
    fails = false;
    grow_close(&grow);
}

static void gives_what_it_has(void **state)
{
    (void)state;
    struct grow grow;
    grow_init(&grow, MAX);
    assert_null(grow_take(&grow));
    assert_int_equal(grow_add(&grow, "first", 5), 0);
    char *first = grow_take(&grow);
    assert_int_equal(grow.n, 0);
    assert_int_equal(grow_add(&grow, "second", 6), 0);
    assert_string_equal(first, "first");
    assert_string_equal(grow.bytes, "second");
    assert_int_equal(grow_reserve(&grow, MAX), RATION_EPROTOCOL);
    free(first);
    grow_close(&grow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_by_pieces),
        cmocka_unit_test(keeps_its_bound),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(gives_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
