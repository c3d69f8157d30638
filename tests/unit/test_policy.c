/* policy.c: which buckets apply, in which order, with whose limits. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policy/policy.h"

static const char document[] =
    "{'pools': {'a': {'limits': [{'unit': 'requests', 'amount': 1, 'per': 'minute'}]},"
    "           'b': {'limits': [{'unit': 'requests', 'amount': 2, 'per': 'minute'}]},"
    "           'c': {'limits': [{'unit': 'requests', 'amount': 3, 'per': 'minute'}]}},"
    " 'tiers': {'free': {'priority': 2, 'limits': [{'unit': 'tokens', 'amount': 10, 'per': 'day'}],"
    "                    'in_pool': {'c': [{'unit': 'tokens', 'amount': 33, 'per': 'day'}],"
    "                                'b': [{'unit': 'tokens', 'amount': 20, 'per': 'day'}]}},"
    "           'open': {'priority': 0}},"
    " 'tenants': {'plain': {'tier': 'free'},"
    "             'own': {'tier': 'free', 'limits': [{'unit': 'tokens', 'amount': 11, 'per': "
    "'day'}],"
    "                     'in_pool': {'b': [{'unit': 'tokens', 'amount': 21, 'per': 'day'}]}},"
    "             'freed': {'tier': 'free', 'limits': [], 'in_pool': {'b': []}},"
    "             'unlimited': {'tier': 'open'}},"
    " 'default_tier': %s}";

static struct config *load(const char *default_tier)
{
    char text[sizeof document + 64];
    snprintf(text, sizeof text, document, default_tier);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    struct config *config;
    struct config_problems problems;
    if (config_parse("test", text, strlen(text), &config, &problems) != 0)
        fail_msg("%s", problems.lines[0]);
    return config;
}

static enum policy_result resolve(const struct config *config, const char *pool, const char *tenant,
                                  struct policy *out)
{
    return policy_resolve(config, pool, strlen(pool), tenant, strlen(tenant), out);
}

enum { NO_LIMITS = -1 };

/* An expected row: scope and the amount of the first limit. */
struct expected {
    enum policy_scope scope;
    int64_t amount;
};

static void expect(const struct config *config, const char *pool, const char *tenant,
                   unsigned priority, unsigned n, const struct expected *rows)
{
    struct policy policy;
    assert_int_equal(resolve(config, pool, tenant, &policy), POLICY_OK);
    assert_string_equal(policy.pool->name, pool);
    assert_int_equal(policy.priority, priority);
    assert_int_equal(policy.n, n);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(policy.buckets[i].scope, rows[i].scope);
        const struct limit_set *set = policy.buckets[i].set;
        assert_int_equal(set->n > 0 ? set->limits[0].amount : NO_LIMITS, rows[i].amount);
    }
}

static void buckets_of_tenants(void **state)
{
    (void)state;
    struct config *config = load("\"free\"");
    expect(config, "a", "plain", 2, 2, (struct expected[]){{SCOPE_POOL, 1}, {SCOPE_TENANT, 10}});
    expect(config, "b", "plain", 2, 3,
           (struct expected[]){{SCOPE_POOL, 2}, {SCOPE_TENANT, 10}, {SCOPE_TENANT_IN_POOL, 20}});
    expect(config, "c", "plain", 2, 3,
           (struct expected[]){{SCOPE_POOL, 3}, {SCOPE_TENANT, 10}, {SCOPE_TENANT_IN_POOL, 33}});
    expect(config, "b", "own", 2, 3,
           (struct expected[]){{SCOPE_POOL, 2}, {SCOPE_TENANT, 11}, {SCOPE_TENANT_IN_POOL, 21}});
    /* If the tenant says nothing about a pool, its tier decides. */
    expect(config, "c", "own", 2, 3,
           (struct expected[]){{SCOPE_POOL, 3}, {SCOPE_TENANT, 11}, {SCOPE_TENANT_IN_POOL, 33}});
    /* An empty list means no limit. */
    expect(config, "b", "freed", 2, 2,
           (struct expected[]){{SCOPE_POOL, 2}, {SCOPE_TENANT, NO_LIMITS}});
    expect(config, "c", "freed", 2, 3,
           (struct expected[]){
               {SCOPE_POOL, 3}, {SCOPE_TENANT, NO_LIMITS}, {SCOPE_TENANT_IN_POOL, 33}});
    expect(config, "b", "unlimited", 0, 2,
           (struct expected[]){{SCOPE_POOL, 2}, {SCOPE_TENANT, NO_LIMITS}});
    config_unref(config);
}

static void unknown_tenants_have_the_default_tier(void **state)
{
    (void)state;
    struct config *config = load("\"free\"");
    expect(config, "b", "stranger", 2, 3,
           (struct expected[]){{SCOPE_POOL, 2}, {SCOPE_TENANT, 10}, {SCOPE_TENANT_IN_POOL, 20}});
    config_unref(config);
    config = load("null");
    struct policy policy;
    assert_int_equal(resolve(config, "b", "stranger", &policy), POLICY_NOTENANT);
    assert_int_equal(resolve(config, "b", "plain", &policy), POLICY_OK);
    config_unref(config);
}

static void names_are_bytes_with_a_length(void **state)
{
    (void)state;
    struct config *config = load("null");
    struct policy policy;
    assert_int_equal(policy_resolve(config, "abc", 1, "plainly", 5, &policy), POLICY_OK);
    assert_int_equal(policy_resolve(config, "abc", 2, "plain", 5, &policy), POLICY_NOPOOL);
    assert_int_equal(policy_resolve(config, "a", 0, "plain", 5, &policy), POLICY_NOPOOL);
    assert_int_equal(policy_resolve(config, "a\0", 2, "plain", 5, &policy), POLICY_NOPOOL);
    assert_int_equal(policy_resolve(config, "a", 1, "plain", 4, &policy), POLICY_NOTENANT);
    assert_int_equal(resolve(config, "nowhere", "stranger", &policy), POLICY_NOPOOL);
    config_unref(config);
}

static void names(void **state)
{
    (void)state;
    assert_true(policy_name_ok("openai/gpt-4o", 13, 128));
    assert_true(policy_name_ok("!~:;,.@", 7, 128));
    assert_false(policy_name_ok("", 0, 128));
    assert_false(policy_name_ok("abcd", 4, 3));
    assert_true(policy_name_ok("abc", 3, 3));
    static const char *const bad[] = {"a b", "a\"", "a'",    "a\\",     "{a",
                                      "a}",  "a\n", "a\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(policy_name_ok(bad[i], strlen(bad[i]), 128));
    assert_false(policy_name_ok("a\0b", 3, 128));
    for (int c = 1; c < 256; c++) {
        char name = (char)c;
        bool ok = c > 0x20 && c < 0x7f && strchr(RATION_NAME_FORBIDDEN, c) == NULL;
        assert_int_equal(policy_name_ok(&name, 1, 128), ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_of_tenants),
        cmocka_unit_test(unknown_tenants_have_the_default_tier),
        cmocka_unit_test(names_are_bytes_with_a_length),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
