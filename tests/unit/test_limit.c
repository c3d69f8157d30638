/* limit.c: labels, and which limit sets need time slots. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/limit.h"

static void label_is_unit_and_period(void **state)
{
    (void)state;
    char buf[64];
    struct limit tokens = {.unit = RATION_UNIT_TOKENS, .per = "minute"};
    assert_int_equal(limit_label(&tokens, buf, sizeof buf), 13);
    assert_string_equal(buf, "tokens/minute");
    struct limit calls = {.unit = RATION_UNIT_CONCURRENT, .algorithm = LIMIT_CONCURRENT};
    limit_label(&calls, buf, sizeof buf);
    assert_string_equal(buf, "concurrent");
    struct limit usd = {.unit = RATION_UNIT_USD, .per = "10s"};
    limit_label(&usd, buf, sizeof buf);
    assert_string_equal(buf, "usd/10s");
    char small[8];
    assert_int_equal(limit_label(&tokens, small, sizeof small), 13); /* like snprintf */
    assert_string_equal(small, "tokens/");
}

static void every_unit_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(limit_unit_name(RATION_UNIT_REQUESTS), "requests");
    assert_string_equal(limit_unit_name(RATION_UNIT_INPUT_TOKENS), "input_tokens");
    assert_string_equal(limit_unit_name(RATION_UNIT_OUTPUT_TOKENS), "output_tokens");
    assert_string_equal(limit_unit_name(RATION_UNIT_CONCURRENT), "concurrent");
}

static bool has_slots(struct limit limit)
{
    struct limit_set *set = calloc(1, sizeof *set + 2 * sizeof(struct limit));
    assert_non_null(set);
    set->n = 2;
    set->limits[0] = (struct limit){.algorithm = LIMIT_BUCKET};
    set->limits[1] = limit;
    bool slots = limit_set_has_slots(set);
    free(set);
    return slots;
}

static void slots_are_for_rolling_concurrent_and_counted_end(void **state)
{
    (void)state;
    assert_false(has_slots((struct limit){.algorithm = LIMIT_BUCKET}));
    assert_false(has_slots((struct limit){.algorithm = LIMIT_CALENDAR}));
    assert_true(has_slots((struct limit){.algorithm = LIMIT_ROLLING}));
    assert_true(has_slots((struct limit){.algorithm = LIMIT_CONCURRENT}));
    assert_true(has_slots((struct limit){.algorithm = LIMIT_BUCKET, .counted_end = true}));
    assert_true(has_slots((struct limit){.algorithm = LIMIT_CALENDAR, .counted_end = true}));
    struct limit_set empty = {0};
    assert_false(limit_set_has_slots(&empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_is_unit_and_period),
        cmocka_unit_test(every_unit_has_its_name),
        cmocka_unit_test(slots_are_for_rolling_concurrent_and_counted_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
