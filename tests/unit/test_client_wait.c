/* How long a provider says to wait: every form that PROVIDERS write, and what is none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wait.h"

#define NOW_MS INT64_C(1748779200000) /* 2025-06-01 12:00:00 UTC, a Sunday */

static void reads_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } waits[] = {
        {"0", 0},
        {"20", 20000},
        {" 20 ", 20000},
        {"1.5", 1500},
        {"0.0001", 1}, /* rounded up: coming back too early is a denial */
        {"2.000", 2000},
        {"17ms", 17},
        {"1s", 1000},
        {"6m0s", 360000},
        {"2m59.56s", 179560},
        {"1h2m3s", 3723000},
        {"37s", 37000},
        {"3.123456789s", 3124},
        {"250us", 1},
        {"1.5\xc2\xb5s", 1}, /* with the micro sign, as Go writes it */
        {"3.5s", 3500},
        {"86399", 86399000},
        {"99999999999999999999", WAIT_MAX_MS},
        {"100h", WAIT_MAX_MS},
        {"Sun, 01 Jun 2025 12:00:30 GMT", 30000},
        {"Sunday, 01-Jun-25 12:00:30 GMT", 30000},
        {"Sun Jun  1 12:00:30 2025", 30000},
        {"Sun, 01 Jun 2025 11:00:00 GMT", 0},
        {"2025-06-01T12:00:01Z", 1000},
        {"2025-06-01T12:00:01.25Z", 1250},
        {"2025-06-01T14:00:01.123456789+02:00", 1124},
        {"2025-06-01t06:30:10-05:30", 10000},
        {"2025-06-01T11:59:59Z", 0},
    };
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        int64_t ms = -1;
        if (!wait_parse(waits[i].text, NOW_MS, &ms) || ms != waits[i].ms)
            fail_msg("'%s' was read as %lld", waits[i].text, (long long)ms);
    }
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "-1",
        "soon",
        "nan",
        "inf",
        "1e3",
        "0x10",
        "1.",
        ".5",
        "1 2",
        "5 parsecs",
        "s",
        "1m2",
        "1..5s",
        "Sun",
        "Monday",
        "2025-06-01",
        "2025-06-01T12:00:01",
        "2025-13-01T12:00:01Z",
        "2025-06-01T25:00:01Z",
        "2025-06-01T12:00:01.Z",
        "2025-06-01T12:00:01+2:00",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int64_t ms = 77;
        if (wait_parse(wrong[i], NOW_MS, &ms))
            fail_msg("'%s' was read as %lld", wrong[i], (long long)ms);
        assert_int_equal(ms, 77);
    }
}

static void reads_plain_milliseconds(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(wait_parse_ms("1500", &ms));
    assert_int_equal(ms, 1500);
    assert_true(wait_parse_ms("12.2", &ms));
    assert_int_equal(ms, 13);
    assert_false(wait_parse_ms("12s", &ms));
    assert_false(wait_parse_ms("-5", &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_form),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(reads_plain_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
