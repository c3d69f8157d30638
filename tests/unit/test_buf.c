/* Buffers: bytes come out as they went in, the maximum holds, storage is returned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "buf.h"

static void test_append_and_consume(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1000, NULL);
    assert_null(buf.data);
    assert_true(buf_append(&buf, "hello ", 6));
    assert_true(buf_append(&buf, "world", 5));
    assert_int_equal(buf_size(&buf), 11);
    assert_memory_equal(buf_bytes(&buf), "hello world", 11);
    buf_consume(&buf, 6);
    assert_memory_equal(buf_bytes(&buf), "world", 5);
    buf_consume(&buf, 5);
    assert_int_equal(buf_size(&buf), 0);
    assert_non_null(buf.data);
    buf_release(&buf);
    assert_null(buf.data);
    buf_close(&buf);
}

static void test_maximum(void **state)
{
    struct buf buf;
    char bytes[600];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    buf_init(&buf, 1000, NULL);
    assert_true(buf_append(&buf, bytes, 600));
    assert_false(buf_append(&buf, bytes, 401));
    assert_true(buf.failed);
    assert_int_equal(buf_size(&buf), 600); /* nothing was appended */
    assert_true(buf_append(&buf, bytes, 400));
    assert_true(buf.failed); /* and the failure sticks */
    assert_false(buf_append(&buf, bytes, 1));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    buf_consume(&buf, 600);
    assert_true(buf_append(&buf, bytes, 600)); /* consumed bytes make room */
    buf_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(buf_size(&buf), 0);
    buf_close(&buf);
}

static void test_release_keeps_what_is_there(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100, NULL);
    assert_true(buf_append(&buf, "a", 1));
    buf_release(&buf);
    assert_memory_equal(buf_bytes(&buf), "a", 1);
    buf_close(&buf);
    buf_close(&buf); /* twice is harmless */
}

static void test_pool(void **state)
{
    struct buf_pool pool;
    struct buf one, two;
    (void)state;
    buf_pool_init(&pool, 64, 1);
    buf_init(&one, 10000, &pool);
    buf_init(&two, 10000, &pool);
    assert_true(buf_append(&one, "1", 1));
    assert_true(buf_append(&two, "2", 1));
    assert_int_equal(one.cap, 64);
    char *block = one.data;
    buf_consume(&one, 1);
    buf_release(&one);
    assert_int_equal(pool.n, 1);
    assert_true(buf_append(&one, "1", 1));
    assert_ptr_equal(one.data, block); /* the same block again, not a new one */
    assert_int_equal(pool.n, 0);
    for (int i = 0; i < 1000; i++) /* outgrows the block, which returns to the pool */
        assert_true(buf_append(&one, "0123456789", i == 0 ? 9 : 8));
    assert_int_equal(pool.n, 1);
    assert_int_equal(buf_size(&one), 1 + 9 + 999 * 8);
    buf_close(&one);
    buf_close(&two); /* the pool keeps one */
    assert_int_equal(pool.n, 1);
    buf_pool_close(&pool);
}

/* Against the simplest possible model: a long array. */
static void test_random_use(void **state)
{
    enum { STEPS = 20000, MAX = 5000 };
    struct buf_pool pool;
    struct buf buf;
    static char model[STEPS * 64];
    size_t first = 0, last = 0;
    (void)state;
    srand(1);
    buf_pool_init(&pool, 256, 4);
    buf_init(&buf, MAX, &pool);
    for (int i = 0; i < STEPS; i++) {
        size_t n = (size_t)rand() % 64;
        if (rand() % 100 < 51) {
            for (size_t k = 0; k < n; k++)
                model[last + k] = (char)rand();
            bool fits = last - first + n <= MAX;
            assert_int_equal(buf_append(&buf, model + last, n), fits);
            last += fits ? n : 0;
        } else if (n <= last - first) {
            buf_consume(&buf, n);
            first += n;
        }
        if (rand() % 10 == 0)
            buf_release(&buf);
        assert_int_equal(buf_size(&buf), last - first);
        if (last > first)
            assert_memory_equal(buf_bytes(&buf), model + first, last - first);
    }
    buf_close(&buf);
    buf_pool_close(&pool);
}

static void test_printf(void **state)
{
    struct buf buf;
    char long_text[3000];
    (void)state;
    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    buf_init(&buf, 4000, NULL);
    assert_true(buf_printf(&buf, "%d-%s", 42, "x"));
    assert_memory_equal(buf_bytes(&buf), "42-x", 4);
    assert_true(buf_printf(&buf, "%s", long_text));
    assert_int_equal(buf_size(&buf), 4 + 1023);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_release_keeps_what_is_there),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_random_use),
        cmocka_unit_test(test_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
