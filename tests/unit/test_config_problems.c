/* config*.c: the problem reported for each mistake in a document. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config_documents.h"
#include "config/config_parts.h"

/* A pool of one limit with these settings; the rest is the end of the problem's text. */
#define BAD_LIMIT(settings, ...)                                                                   \
    bad("{'pools': {'p': {'limits': [{" settings "}]}}}", __VA_ARGS__, (char *)NULL)

/* ---- Bad syntax ------------------------------------------------------------------------------ */

static void syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "t.json: the document is empty; write a JSON object..."},
        {" \n /* nothing */ // here", "t.json: the document is empty..."},
        {"[1]", "t.json: the document is a list; write an object..."},
        {"null", "t.json: the document is null; write an object..."},
        {"12", "t.json: the document is an integer; write an object..."},
        {"{", "t.json:1:2: found the end of the document; close what is open..."},
        {"{\n 'a': [1, 2", "t.json:2:12: found the end of the document; close what is open..."},
        {"{} x", "t.json:1:4: found 'x'; write strings and keys in double quotes..."},
        {"{} {}", "t.json:1:4: text after the end of the document; remove it..."},
        {"{}\n\n]", "t.json:3:1: text after the end of the document; remove it..."},
        {"{\n  'a': minit\n}",
         "t.json:2:8: found 'minit'; write strings and keys in double quotes..."},
        {"{'a': NaN}", "t.json:1:7: found 'NaN'; write strings..."},
        {"{'a': Infinity}", "t.json:1:7: found 'Infinity'; write strings..."},
        {"{'a': -Infinity}", "t.json:1:7: '-Infinity' is not a number..."},
        {"{'a': True}", "t.json:1:7: found 'True'; write strings..."},
        {"{'a': 01}", "t.json:1:7: '01' is not a number..."},
        {"{'a': 1.}", "t.json:1:7: '1.' is not a number..."},
        {"{'a': +1}", "t.json:1:7: '+1' is not a number..."},
        {"{'a': 1e}", "t.json:1:7: '1e' is not a number..."},
        {"{'a': 10s}", "t.json:1:7: '10s' is not a number..."},
        {"{'a': -}", "t.json:1:7: '-' is not a number..."},
        {"{'a': 1,}", "t.json:1:8: a comma with nothing after it; remove the comma"},
        {"{'a': [1, /* 2 */ ]}", "t.json:1:9: a comma with nothing after it; remove the comma"},
        {"{'a' 1}", "t.json:1:6: found '1'; expected ':' after the key"},
        {"{'a': 1 'b': 2}", "t.json:1:9: found '\\''; expected ',' or '}'"},
        {"{'a': [1 2]}", "t.json:1:10: found '2'; expected ',' or ']'"},
        {"{1: 2}", "t.json:1:2: found '1'; expected a key in double quotes or '}'"},
        {"{'a': }", "t.json:1:7: found '}'; expected a value"},
        {"{'a': 'x\n'}",
         "t.json:1:7: a string does not end on its line; close it with a double quote"},
        {"{'a': 'x", "t.json:1:7: a string does not end on its line..."},
        {"{'a': 'x\ty'}", "t.json:1:9: a control character inside a string..."},
        {"{'a': '\\q'}", "t.json:1:9: found 'q'; expected a string without unknown escapes"},
        {"{'\xc3\xa4': '\xff'}", "t.json:1:8: found '\\xff'; expected UTF-8 text"},
        {"{ /* x", "t.json:1:3: a comment does not end; close it with */"},
        {"{ / }", "t.json:1:3: found '/', which does not begin a comment..."},
        {"{ # x\n}", "t.json:1:3: found '#'; remove it, or..."},
        {"{'a': 1; 'b': 2}", "t.json:1:8: found ';'; remove it, or..."},
        {"{\xa0}", "t.json:1:2: found a byte that is not valid in JSON..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        bad(cases[i].text, cases[i].problem, (char *)NULL);

    struct config *config;
    struct config_problems problems;
    static const char with_nul[] = "{\"a\": \0 1}";
    assert_int_equal(config_parse("t", with_nul, sizeof with_nul - 1, &config, &problems), -1);
    config_problems_free(&problems);
    assert_int_equal(config_parse("t", "{'a': 1}", 8, &config, &problems), -1);
    assert_string_equal(problems.lines[0],
                        "t:1:2: found a single quote; write strings and keys in double quotes");
    config_problems_free(&problems);
    assert_int_equal(config_parse("t", NULL, 0, &config, &problems), -1);
    config_problems_free(&problems);
}

static void depth_and_size_are_bounded(void **state)
{
    (void)state;
    char deep[4096];
    memset(deep, '[', sizeof deep);
    struct config *config;
    struct config_problems problems;
    assert_int_equal(config_parse("t", deep, sizeof deep, &config, &problems), -1);
    assert_non_null(strstr(problems.lines[0], "nested too deeply"));
    config_problems_free(&problems);
    size_t n = (size_t)16 * 1024 * 1024 + 1;
    char *large = malloc(n);
    assert_non_null(large);
    memset(large, ' ', n);
    assert_int_equal(config_parse("t", large, n, &config, &problems), -1);
    assert_non_null(strstr(problems.lines[0], "16777216"));
    config_problems_free(&problems);
    free(large);
}

static void keys_given_twice(void **state)
{
    (void)state;
    bad("{" POOLS ", 'tiers': {'a': {}, 'b': {'weight': 1, 'weight': 2}, '\\u0061': {}}}",
        "tiers.b.weight: given twice; keep only one of the two",
        "tiers.a: given twice; keep only one of the two", (char *)NULL);
    bad("{" POOLS ", 'tiers': {'a\\u0000b': {}}}", "tiers.a: a key with a NUL character; remove it",
        (char *)NULL);
}

/* ---- Bad content ----------------------------------------------------------------------------- */

static void everything_in_one_run(void **state)
{
    (void)state;
    bad("{ // the mistakes of a bad day\n"
        "'pools': {'openai/gpt-4o': {'limits': [{'unit': 'tokns', 'amount': 1, 'per': 'minute'}]}},"
        "'tiers': {'free': {'limts': []},"
        "          'pro': {'limits': [" LIMIT
        ", {'unit': 'tokens', 'amount': '5', 'per': 'minit'}]},"
        "          'enterprise': {'priority': 3}},"
        "'tenants': {'acme': {'tier': 'gold'}, 'globex': {'tier': 'entreprise'}, 'nobody': {}},"
        "'default_tire': 'free', 'ttl_ms': 5, 'max_connections': true,"
        "'on_outage': 'fail', 'listen': {'resp': 7420}}",
        "default_tire: unknown key; did you mean 'default_tier'?",
        "listen.resp: expected a string, found an integer; use host:port or [v6]:port, such as "
        "'127.0.0.1:7420'",
        "pools['openai/gpt-4o'].limits[0].unit: 'tokns' is not valid here; did you mean "
        "'tokens'? use requests, tokens, input_tokens, output_tokens, usd or concurrent",
        "tiers.free.limts: unknown key; did you mean 'limits'?",
        "tiers.pro.limits[1].amount: expected an integer, found a string; use an integer from 1 to "
        "10000000000000",
        "tiers.pro.limits[1].per: 'minit' is not a period; use second, minute, hour, day, month or "
        "a duration such as '10s' (500ms, 10s, 5m, 2h, 7d)",
        "tiers.enterprise.priority: 3 is too large; use an integer from 0 to 2",
        "tenants.acme.tier: there is no tier 'gold'; tiers are free, pro, enterprise",
        "tenants.globex.tier: there is no tier 'entreprise'; did you mean 'enterprise'? tiers are "
        "free, pro, enterprise",
        "tenants.nobody.tier: missing; name one of the tiers: free, pro, enterprise",
        "on_outage: 'fail' is not valid here; use deny, allow or local",
        "ttl_ms: 5 is too small; use an integer from 100 to 3600000",
        "max_connections: expected an integer, found true or false; use an integer from 1 to "
        "1000000",
        (char *)NULL);
}

static void limits_that_make_no_sense(void **state)
{
    (void)state;
#define AT     "pools.p.limits[0]"
#define TOKENS "'unit': 'tokens', 'amount': 1"
    BAD_LIMIT("'amount': 1, 'per': 'day'", AT ".unit: missing; use requests, tokens...");
    BAD_LIMIT("'unit': 'tokens', 'per': 'day'", AT ".amount: missing; give the amount...");
    BAD_LIMIT(TOKENS, AT ".per: missing; use second, minute...");
    BAD_LIMIT("'unit': 'tokens', 'amount': 0, 'per': 'day'", AT ".amount: 0 is too small; use...");
    BAD_LIMIT("'unit': 'tokens', 'amount': -1, 'per': 'day'",
              AT ".amount: -1 is too small; use...");
    BAD_LIMIT("'unit': 'tokens', 'amount': 10000000000001, 'per': 'day'",
              AT ".amount: 10000000000001 is too large; use...");
    BAD_LIMIT("'unit': 'tokens', 'amount': 99999999999999999999999, 'per': 'day'",
              AT ".amount: 18446744073709551615 is too large; use...");
    BAD_LIMIT("'unit': 'usd', 'amount': 1.5, 'per': 'day'",
              AT ".amount: expected an integer, found a number that is not an integer; use...");
    BAD_LIMIT(TOKENS ", 'per': null",
              AT ".per: expected a string, found null; use a string: second...");
    BAD_LIMIT(TOKENS ", 'per': ''", AT ".per: '' is not a period; use...");
    BAD_LIMIT(TOKENS ", 'per': '0s'", AT ".per: '0s' is not a period; use...");
    BAD_LIMIT(TOKENS ", 'per': '367d'", AT ".per: '367d' is not a period; use...");
    BAD_LIMIT(TOKENS ", 'per': '10'", AT ".per: '10' is not a period; use...");
    BAD_LIMIT(TOKENS ", 'per': '10 s'", AT ".per: '10 s' is not a period; use...");
    BAD_LIMIT(TOKENS ", 'per': '99999999999999999999999999s'", AT ".per: ...");
    BAD_LIMIT(TOKENS ", 'per': 'day', 'burst': 5",
              AT ".burst: only goes with the algorithm bucket...");
    BAD_LIMIT(TOKENS ", 'per': 'day', 'algorithm': 'bucket', 'slack_ms': 5",
              AT ".slack_ms: only goes with the algorithm rolling; remove it");
    BAD_LIMIT(TOKENS ", 'per': 'day', 'time_zone': 'UTC'",
              AT ".time_zone: only goes with the algorithm calendar; remove it");
    BAD_LIMIT(TOKENS ", 'per': 'hour', 'algorithm': 'calendar'",
              AT ".per: a calendar limit is per day or month...");
    BAD_LIMIT(TOKENS ", 'per': 'day', 'algorithm': 'calendar', 'time_zone': 'Mars/Olympus'", AT
              ".time_zone: 'Mars/Olympus' is not a time zone on this system; use an IANA name such "
              "as 'UTC' or 'America/Los_Angeles', and install tzdata if it is missing");
    BAD_LIMIT("'unit': 'concurrent', 'amount': 1, 'per': 'minute', 'burst': 2, 'settle': false",
              AT ".per: only goes with units other than concurrent...", AT ".burst: only goes...",
              AT ".settle: only goes...");
    BAD_LIMIT("'unit': 'concurrent', 'amount': 1, 'algorithm': 'bucket'",
              AT ".algorithm: the unit concurrent has an algorithm of its own...");
    BAD_LIMIT(TOKENS ", 'per': 'day', 'algorithm': 'concurrent'",
              AT ".algorithm: concurrent counts calls in flight...");
    BAD_LIMIT("'unit': 'concurent', 'amount': 1",
              AT ".unit: 'concurent' is not valid here; did you mean 'concurrent'?...");
    BAD_LIMIT("'unit': 'tok\\u0000ens', 'amount': 1, 'per': 'day'",
              AT ".unit: contains a NUL character; remove it");
    BAD_LIMIT(TOKENS ", 'per': 'day'}, {" TOKENS ", 'per': '24h'",
              "pools.p.limits[1]: the same unit, algorithm and per as [0] of this list...");
    BAD_LIMIT(TOKENS ", 'per': 'day'}, 5, {" TOKENS ", 'per': 'hour'",
              "pools.p.limits[1]: expected an object, found an integer; use {...}");
    bad("{'pools': {'p': {'limits': {}}}}", "pools.p.limits: expected a list, found an object...",
        (char *)NULL);
}

static void pools_that_make_no_sense(void **state)
{
    (void)state;
    bad("{}", "pools: none configured; add at least one...", (char *)NULL);
    bad("{'pools': {}}", "pools: none configured; add at least one...", (char *)NULL);
    bad("{'pools': []}", "pools: expected an object, found a list; use {...}", (char *)NULL);
    bad("{'pools': {'p': {}}}", "pools.p: no limits; give limits, or a preset...", (char *)NULL);
    bad("{'pools': {'p': {'limits': []}}}", "pools.p: no limits; give limits...", (char *)NULL);
    bad("{'pools': {'p': {'preset': 'openai/gpt-4o/tier-1'}}}",
        "pools.p.preset: there is no preset 'openai/gpt-4o/tier-1'; did you mean "
        "'openai/gpt-4o/tier1'?",
        (char *)NULL);
    bad("{'pools': {'p': {'preset': 'x'}}}",
        "pools.p.preset: there is no preset 'x'; give limits, or a preset such as "
        "openai/gpt-4o/free,...",
        (char *)NULL);
    bad("{'pools': {'a@b': {'preset': 'gemini/free'}, 'a b': {'preset': 'gemini/free'}}}",
        "pools['a@b']: not a valid name for a pool; use 1 to 128...",
        "pools['a b']: not a valid name for a pool; use 1 to 128...", (char *)NULL);
    bad("{'pools': {'p': {'preset': 'gemini/free', 'domain': 'a.b'}}}",
        "pools.p.domain: 'a.b' is not a valid name for a domain; use 1 to 32 letters...",
        (char *)NULL);
    static const char *const shares[] = {"[0, 0.1]",     "[0.2, 0.1, 0.3]", "[0, 0, 1]",
                                         "[0, '0', 0]",  "[-0.1, 0, 0]",    "[0, null, 0]",
                                         "[0, 0, 1e999]"};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{'pools': {'p': {'preset': 'gemini/free', 'hold_back': %s}}}",
                 shares[i]);
        bad(text, "pools.p.hold_back: not three fractions; use...", (char *)NULL);
    }
}

static void too_many(void **state)
{
    (void)state;
    char text[65536] = "{'pools': {'p': {'limits': [";
    for (int i = 0; i < 17; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%s{'unit': 'tokens', 'amount': 1, 'per': '%ds'}", i > 0 ? ", " : "", i + 1);
    snprintf(text + strlen(text), sizeof text - strlen(text), "]}}}");
    bad(text, "pools.p.limits: 17 limits; the most is 16 in one list", (char *)NULL);

    snprintf(text, sizeof text, "{");
    for (int i = 0; i < 500; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s'unknown%d': 1",
                 i > 0 ? ", " : "", i);
    snprintf(text + strlen(text), sizeof text - strlen(text), "}");
    struct config *config;
    struct config_problems problems;
    assert_int_equal(parse(text, &config, &problems), -1);
    assert_int_equal(problems.n, CONFIG_MAX_PROBLEMS + 1);
    assert_string_equal(problems.lines[CONFIG_MAX_PROBLEMS],
                        "there are more problems; correct these first");
    config_problems_free(&problems);
}

static void references(void **state)
{
    (void)state;
    bad("{" POOLS ", 'default_tier': 'free'}",
        "default_tier: there is no tier 'free'; tiers has none, so add it there", (char *)NULL);
    bad("{" POOLS ", 'tenants': {'a': {}}}",
        "tenants.a.tier: missing; add a tier to tiers, and name it here", (char *)NULL);
    bad("{" POOLS ", 'tiers': {'t': {'in_pool': {'q': [" LIMIT "], 'p': " LIMIT "}}}}",
        "tiers.t.in_pool.q: there is no pool 'q'; did you mean 'p'? pools are p",
        "tiers.t.in_pool.p: expected a list of limits, found an object...", (char *)NULL);
    bad("{" POOLS ", 'tiers': {'t': {}}, 'tenants': {'': {'tier': 't'}}}",
        "tenants['']: not a valid name for a tenant; use 1 to 128...", (char *)NULL);
    /* Invalid names are not offered as suggestions, whatever bytes they have. */
    bad("{" POOLS ", 'tiers': {'g\\nld': {}, 't': {}}, 'default_tier': 'gold'}",
        "tiers['g\\x0ald']: not a valid name for a tier; use 1 to 64...",
        "default_tier: there is no tier 'gold'; tiers are t", (char *)NULL);
    /* A broken tier is still a tier. */
    bad("{" POOLS ", 'tiers': {'t': 5}, 'tenants': {'a': {'tier': 't'}}, 'default_tier': 't'}",
        "tiers.t: expected an object, found an integer; use {...}", (char *)NULL);
}

static void addresses(void **state)
{
    (void)state;
    struct config *c = good("{" POOLS ", 'listen': {'resp': '[::]:0', 'http': null}}");
    assert_string_equal(c->listen.resp_host, "::");
    assert_int_equal(c->listen.resp_port, 0);
    assert_null(c->listen.http_host);
    config_unref(c);
    static const char *const wrong[] = {
        "",       "7420",      ":7420", "h:",      "h:65536", "h:x",
        "::1:80", "[::1]7420", "[::1]", "[::1:80", "a b:80",  "h:-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[128];
        char problem[64];
        snprintf(text, sizeof text, "{" POOLS ", 'listen': {'resp': '%s'}}", wrong[i]);
        snprintf(problem, sizeof problem, "listen.resp: '%s': ...", wrong[i]);
        bad(text, problem, (char *)NULL);
    }
    bad("{" POOLS ", 'listen': {'resp': null}}",
        "listen.resp: expected a string, found null; use host:port...", (char *)NULL);
}

static void store_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *problem;
    } cases[] = {
        {"rediss://h:1/0",
         "rediss:// is not supported by this version; use redis://host:port/db..."},
        {"redis+sentinel://h", "redis+sentinel:// is not supported by this version; use..."},
        {"redis+cluster://h", "redis+cluster:// is not supported by this version; use..."},
        {"http://h", "its scheme is not known; use 'embedded'..."},
        {"", "its scheme is not known; use 'embedded'..."},
        {"redis://", "the host is missing..."},
        {"redis://h:0", "the port is not a number from 1 to 65535..."},
        {"redis://h/x", "the text after '/' is not a database number..."},
        {"redis://user:hush%zz@h", "a '%' in the password is not followed..."},
        {"redis://us%0@h", "a '%' in the user is not followed..."},
        {"redis://us%00er:x@h", "a '%' in the user is not followed..."},
        {"redis://::1", "an IPv6 address needs brackets..."},
        {"redis://user@h", "a user without a password; add one here, or as store.password"},
        {"redis://user:@h", "a user without a password; add one here, or as store.password"},
        {"redis+unix://", "the socket..."},
        {"redis+unix://run/s", "the socket..."},
        {"redis+unix:///run/s?x=1", "the text after '?' is not db= and a number..."},
        {"redis+unix:///run/s?db=", "the text after '?' is not db= and a number..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        char problem[256];
        snprintf(text, sizeof text, "{" POOLS ", 'store': {'url': '%s'}}", cases[i].url);
        snprintf(problem, sizeof problem, "store.url: %s", cases[i].problem);
        bad(text, problem, (char *)NULL);
    }
    bad("{" POOLS ", 'store': {'durability': 'safe'}}",
        "store.durability: safe and ledger are not supported by this version; use 'fast'",
        (char *)NULL);
    bad("{" POOLS ", 'store': {'durability': 'sure'}}",
        "store.durability: 'sure' is not valid here...", (char *)NULL);
    setenv("RATION_TEST_SECRET", "x", 1);
    bad("{" POOLS ", 'store': {'url': 'redis://:p@h', 'password': {'env': 'RATION_TEST_SECRET'}}}",
        "store.password: the URL already has a password; keep one of the two", (char *)NULL);
    bad("{" POOLS ", 'store': {'password': {'env': 'RATION_TEST_SECRET'}}}",
        "store.password: the embedded store has no password; remove it", (char *)NULL);
    unsetenv("RATION_TEST_SECRET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(keys_given_twice),
        cmocka_unit_test(everything_in_one_run),
        cmocka_unit_test(limits_that_make_no_sense),
        cmocka_unit_test(pools_that_make_no_sense),
        cmocka_unit_test(too_many),
        cmocka_unit_test(references),
        cmocka_unit_test(addresses),
        cmocka_unit_test(store_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
