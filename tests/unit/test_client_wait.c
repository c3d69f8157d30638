/* How long a provider says to wait: every form that PROVIDERS write, and what is none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profile/wait.h"

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
        {"86400", WAIT_MAX_MS}, /* a day, and not more */
        {"24h", WAIT_MAX_MS},
        {"Sun, 01 Jun 2025 12:00:30 GMT", 30000},
        {"Sunday, 01-Jun-25 12:00:30 GMT", 30000},
        {"Sun Jun  1 12:00:30 2025", 30000},
        {"Sun, 01 Jun 2025 11:00:00 GMT", 0},
        {"2025-06-01T12:00:01Z", 1000},
        {"2025-06-01T12:00:01.25Z", 1250},
        {"2025-06-01T14:00:01.123456789+02:00", 1124},
        {"2025-06-01t06:30:10-05:30", 10000},
        {"2025-06-01T11:59:59Z", 0},
        /* moments since 1970: seconds, with a fraction, milliseconds; passed ones */
        {"1748779230", 30000},
        {" 1748779230 ", 30000},
        {"1748779230.25", 30250},
        {"1748779230123", 30123},
        {"1748779230123.5", 30124},
        {"1748865600", WAIT_MAX_MS},
        {"1748779199", 0},
        {"1748779199999", 0},
        {"1000000000", 0},
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
        /* longer than a day is not believed, and not cut to a day */
        "86401",
        "86400.001",
        "99999999999999999999",
        "24h0m0.001s",
        "100h",
        "99999999999h99999999999h99999999999h",
        "1748865601",    /* a moment, more than a day ahead */
        "1748865600001", /* the same in milliseconds */
        "174877923",     /* nine digits are no moment, and a wait of years */
        "17487792301",
        "1748779230s",
        "9999999999999",
        "Mon, 02 Jun 2025 12:00:01 GMT",
        "2025-06-02T12:00:01Z",
        "2035-01-01T00:00:00Z",
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
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } waits[] = {{"1500", 1500},
                 {"12.2", 13},
                 {"0", 0},
                 {"86400000", 86400000},
                 {"86400001", -1},
                 {"12s", -1},
                 {"-5", -1},
                 {"", -1},
                 {"1748779230123", 30123},
                 {"1748779200000", 0},
                 {"1748779100000", 0},
                 {"1748865600001", -1},
                 {"1748779230", 30000},
                 {"1748779230.5", 30500},
                 {"999999999", -1}};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        int64_t ms = -1;
        bool read = wait_parse_ms(waits[i].text, NOW_MS, &ms);
        if (read != (waits[i].ms >= 0) || ms != waits[i].ms)
            fail_msg("'%s' was read as %lld", waits[i].text, (long long)ms);
    }
}

/* A limit of a month is reset in a month; and how exactly it was told. */
static void reads_resets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        int64_t within_ms;
    } resets[] = {{"12", 12000, 1000},
                  {"6m0s", 360000, 1},
                  {"17ms", 17, 1},
                  {"0.5", 500, 1},
                  {"720h", INT64_C(2592000000), 1},
                  {"2678400", INT64_C(2678400000), 1000}, /* 31 days */
                  {"1751371200", INT64_C(2592000000), 1000},
                  {"1751371200500", INT64_C(2592000500), 1},
                  {"1748779199", 0, 1000},
                  {"2025-07-01T00:00:00Z", INT64_C(2548800000), 1000},
                  {"Tue, 01 Jul 2025 00:00:00 GMT", INT64_C(2548800000), 1000},
                  {"2764801", -1, -1}, /* 32 days and a second */
                  {"1751544001", -1, -1},
                  {"2025-08-01T00:00:00Z", -1, -1},
                  {"soon", -1, -1}};
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        int64_t ms = -1;
        int64_t within_ms = -1;
        wait_parse_reset(resets[i].text, NOW_MS, &ms, &within_ms);
        if (ms != resets[i].ms || within_ms != resets[i].within_ms)
            fail_msg("'%s' was read as %lld within %lld", resets[i].text, (long long)ms,
                     (long long)within_ms);
    }
}

static void tells_a_bare_number(void **state)
{
    (void)state;
    assert_true(wait_is_bare("12"));
    assert_true(wait_is_bare(" 123456789 "));
    assert_false(wait_is_bare("1748779230"));
    assert_false(wait_is_bare("12s"));
    assert_false(wait_is_bare("1.5"));
    assert_false(wait_is_bare(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_form),          cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(reads_plain_milliseconds), cmocka_unit_test(reads_resets),
        cmocka_unit_test(tells_a_bare_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
