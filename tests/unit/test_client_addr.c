/* The list of servers: each form, each way to get it wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "wire/addr.h"

static void takes_each_form(void **state)
{
    (void)state;
    struct addr_list list;
    assert_int_equal(
        addr_list_parse("a.example, b.example:7000,[::1],[fe80::2]:80 ,unix:/run/r.sock,10.0.0.1:1",
                        &list),
        0);
    assert_int_equal(list.n, 6);
    assert_string_equal(list.at[0].host, "a.example");
    assert_int_equal(list.at[0].port, RATION_PORT_RESP);
    assert_string_equal(list.at[0].text, "a.example:7420");
    assert_string_equal(list.at[1].host, "b.example");
    assert_int_equal(list.at[1].port, 7000);
    assert_string_equal(list.at[2].host, "::1");
    assert_string_equal(list.at[2].text, "[::1]:7420");
    assert_string_equal(list.at[3].host, "fe80::2");
    assert_int_equal(list.at[3].port, 80);
    assert_string_equal(list.at[4].host, "/run/r.sock");
    assert_int_equal(list.at[4].port, 0);
    assert_string_equal(list.at[4].text, "unix:/run/r.sock");
    assert_int_equal(list.at[5].port, 1);
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         ",",      "a,",    ",a",    "a,,b",    "a:",     "a:0",     "a:65536",
        "a:123456", "a:7x",   "a:-1",  ":7420", "::1",     "[::1",   "[]",      "[]:80",
        "[::1]x",   "[::1]:", "unix:", "a b",   "a\tb:80", "a\n:80", "a:80:80", "[::1]:0",
    };
    struct addr_list list = {.n = 7};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (addr_list_parse(wrong[i], &list) != RATION_EINVALID)
            fail_msg("'%s' was taken", wrong[i]);
    }
    assert_int_equal(list.n, 7); /* untouched */
}

static void keeps_to_its_bounds(void **state)
{
    (void)state;
    struct addr_list list;
    char text[600];

    strcpy(text, "a");
    for (int i = 1; i < ADDR_MAX; i++)
        strcat(text, ",a");
    assert_int_equal(addr_list_parse(text, &list), 0);
    assert_int_equal(list.n, ADDR_MAX);
    strcat(text, ",a");
    assert_int_equal(addr_list_parse(text, &list), RATION_EINVALID);

    memset(text, 'h', sizeof(text));
    text[ADDR_HOST_BYTES - 1] = '\0';
    assert_int_equal(addr_list_parse(text, &list), 0);
    text[ADDR_HOST_BYTES - 1] = 'h';
    text[ADDR_HOST_BYTES] = '\0';
    assert_int_equal(addr_list_parse(text, &list), RATION_EINVALID);

    memset(text, 'p', sizeof(text));
    memcpy(text, "unix:/", 6);
    text[5 + 107] = '\0'; /* sun_path has 108 bytes with its NUL */
    assert_int_equal(addr_list_parse(text, &list), 0);
    text[5 + 107] = 'p';
    text[5 + 108] = '\0';
    assert_int_equal(addr_list_parse(text, &list), RATION_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_form),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(keeps_to_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
