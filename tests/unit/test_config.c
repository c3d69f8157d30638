/* config*.c: what a valid document becomes. test_config_problems.c has the invalid ones. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "config_documents.h"
#include "config/config_parts.h"
#include "log.h"
#include "config/presets.h"
#include "policy/zone.h"

/* ---- The built-in example and the table ------------------------------------------------------ */

static void the_example_is_as_promised(void **state)
{
    (void)state;
    struct config *config;
    struct config_problems problems;
    assert_int_equal(config_load_default(&config, &problems), 0);
    assert_int_equal(config_pool_count(config), 1);
    const struct config_pool *pool = config_pool_at(config, 0);
    assert_string_equal(pool->name, "openai/gpt-4o");
    assert_string_equal(pool->domain, "default");
    assert_int_equal(pool->limits->n, 3);
    static const int64_t floors[3][4] = {
        {500, 0, 50, 150}, {30000, 0, 3000, 9000}, {10000, 0, 1000, 3000}};
    for (size_t i = 0; i < 3; i++) {
        const struct limit *limit = &pool->limits->limits[i];
        assert_int_equal(limit->algorithm, LIMIT_ROLLING);
        assert_int_equal(limit->slack_ms, 250);
        assert_int_equal(limit->amount, floors[i][0]);
        for (size_t p = 0; p < 3; p++)
            assert_int_equal(limit->held_back[p], floors[i][p + 1]);
    }
    const char *const names[] = {"enterprise", "pro", "free"};
    static const int64_t amounts[3][2] = {{500, 500000}, {50, 50000}, {5, 5000}};
    for (unsigned p = 0; p < 3; p++) {
        const struct config_tier *tier = config_tier(config, names[p], strlen(names[p]));
        assert_non_null(tier);
        assert_int_equal(tier->priority, p);
        assert_int_equal(tier->limits->n, 2);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(tier->limits->limits[i].amount, amounts[p][i]);
            assert_int_equal(tier->limits->limits[i].algorithm, LIMIT_BUCKET);
            assert_int_equal(tier->limits->limits[i].per_ms, 60000);
        }
    }
    assert_int_equal(config_tenant_count(config), 2);
    assert_string_equal(config_tenant_at(config, 0)->name, "acme");
    assert_string_equal(config_tenant(config, "acme", 4)->tier->name, "pro");
    assert_string_equal(config_tenant(config, "globex", 6)->tier->name, "enterprise");
    assert_string_equal(config->default_tier->name, "free");
    assert_int_equal(config->on_outage, OUTAGE_DENY);
    assert_false(config->auth_required);
    assert_ptr_equal(config_ref(config), config);
    config_unref(config);
    config_unref(config);
    config_unref(NULL);
}

/* The example states every plain setting, each at its default. */
static void the_example_agrees_with_the_table(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct json_object *tree = config_text_parse("example", config_default_text(),
                                                 strlen(config_default_text()), &problems);
    assert_non_null(tree);
    for (size_t i = 0; i < config_setting_count(); i++) {
        const struct setting *row = config_setting_at(i);
        if (strpbrk(row->section, "<") != NULL || row->type == SETTING_SECRET)
            continue;
        char path[64];
        config_setting_path(row, path, sizeof path);
        struct json_object *part = tree;
        struct json_object *value;
        if (row->section[0] != '\0')
            assert_true(json_object_object_get_ex(tree, row->section, &part));
        bool there = json_object_object_get_ex(part, row->key, &value);
        if (strcmp(path, "auth") == 0 || strcmp(path, "default_tier") == 0)
            continue;
        if (!there)
            fail_msg("the example does not show %s", path);
        if (row->fallback[0] != '\0')
            assert_string_equal(value != NULL ? json_object_get_string(value) : "null",
                                row->fallback);
    }
    json_object_put(tree);
}

static void the_table_describes_itself(void **state)
{
    (void)state;
    char *text = config_describe();
    assert_non_null(text);
    for (size_t i = 0; i < config_setting_count(); i++) {
        const struct setting *row = config_setting_at(i);
        char path[64];
        config_setting_path(row, path, sizeof path);
        const char *line = strstr(text, path);
        if (line == NULL || strstr(line, row->help) == NULL)
            fail_msg("not described: %s", path);
        for (size_t j = 0; j < i; j++) {
            const struct setting *other = config_setting_at(j);
            assert_false(strcmp(other->section, row->section) == 0 &&
                         strcmp(other->key, row->key) == 0);
        }
    }
    free(text);
}

/* Every row is really read: a wrong type for it is a problem at its path. */
static void every_setting_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_setting_count(); i++) {
        const struct setting *row = config_setting_at(i);
        char text[512];
        char path[128];
        if (strcmp(row->section, "<limit>") == 0) {
            snprintf(text, sizeof text,
                     "{'pools': {'x': {'limits': [{'amount': 1, 'unit': 'tokens', 'per': 'day', "
                     "'algorithm': '%s', '%s': [7]}]}}}",
                     strcmp(row->key, "burst") == 0       ? "bucket"
                     : strcmp(row->key, "time_zone") == 0 ? "calendar"
                                                          : "rolling",
                     row->key);
            snprintf(path, sizeof path, "pools.x.limits[0].%s: ", row->key);
            /* The tree keeps the last of two equal keys. */
        } else if (strcmp(row->section, "<secret>") == 0) {
            snprintf(text, sizeof text, "{'auth': {'operator': {'%s': [7]}}}", row->key);
            snprintf(path, sizeof path, "auth.operator.%s: ", row->key);
        } else if (strcmp(row->section, "pools.<name>.breaker") == 0) {
            snprintf(text, sizeof text, "{'pools': {'x': {'breaker': {'%s': [7]}}}}", row->key);
            snprintf(path, sizeof path, "pools.x.breaker.%s: ", row->key);
        } else if (strchr(row->section, '<') != NULL) {
            snprintf(text, sizeof text, "{'%.*s': {'x': {'%s': 7.5}}}",
                     (int)strcspn(row->section, "."), row->section, row->key);
            snprintf(path, sizeof path, "%.*s.x.%s: ", (int)strcspn(row->section, "."),
                     row->section, row->key);
        } else if (row->section[0] != '\0') {
            snprintf(text, sizeof text, "{'%s': {'%s': 7.5}}", row->section, row->key);
            snprintf(path, sizeof path, "%s.%s: ", row->section, row->key);
        } else {
            snprintf(text, sizeof text, "{'%s': 7.5}", row->key);
            snprintf(path, sizeof path, "%s: ", row->key);
        }
        struct config *config;
        struct config_problems problems;
        assert_int_equal(parse(text, &config, &problems), -1);
        bool found = false;
        for (size_t j = 0; j < problems.n; j++)
            found |= strncmp(problems.lines[j], path, strlen(path)) == 0 &&
                     strstr(problems.lines[j], "found ") != NULL;
        if (!found)
            fail_msg("a wrong type is not noticed: %s", path);
        config_problems_free(&problems);
    }
}

/* ---- Good documents -------------------------------------------------------------------------- */

static void defaults(void **state)
{
    (void)state;
    struct config *config = good("{" POOLS "}");
    assert_string_equal(config->listen.resp_host, "127.0.0.1");
    assert_int_equal(config->listen.resp_port, 7420);
    assert_string_equal(config->listen.http_host, "127.0.0.1");
    assert_int_equal(config->listen.http_port, 7421);
    assert_int_equal(config->store.kind, STORE_EMBEDDED);
    assert_string_equal(config->store.url, "embedded");
    assert_int_equal(config->store.timeout_ms, 1000);
    assert_int_equal(config->on_outage, OUTAGE_DENY);
    assert_int_equal(config->ttl_ms, RATION_DEFAULT_TTL_MS);
    assert_int_equal(config->max_connections, 10000);
    assert_null(config->default_tier);
    assert_null(config->operator_secret);
    assert_int_equal(config->n_domains, 1);
    assert_string_equal(config->domains[0], "default");
    config_unref(config);
}

static void comments_and_order_do_not_matter(void **state)
{
    (void)state;
    struct config *config =
        good("\xef\xbb\xbf// first\n{ /* a * / b // */ 'default_tier': 't', // x\n"
             "'tenants': {'a//b': {'tier': 't', 'in_pool': {'p': []}}},"
             "'tiers': {'t': {'weight': 3}}, " POOLS " /**/ } // end");
    assert_non_null(config_tenant(config, "a//b", 4));
    assert_int_equal(config_tenant(config, "a//b", 4)->n_in_pool, 1);
    config_unref(config);
}

static void stores(void **state)
{
    (void)state;
    struct config *c =
        good("{" POOLS ", 'store': {'url': 'redis://us%40er:p%3Aw@h@r.example:6380/3'}}");
    assert_int_equal(c->store.kind, STORE_TCP);
    assert_string_equal(c->store.user, "us@er");
    assert_string_equal(c->store.password, "p:w@h");
    assert_string_equal(c->store.host, "r.example");
    assert_int_equal(c->store.port, 6380);
    assert_int_equal(c->store.db, 3);
    assert_string_equal(c->store.url, "redis://us%40er@r.example:6380/3");
    config_unref(c);
    c = good("{" POOLS ", 'store': {'url': 'redis://:secret@[::1]'}}");
    assert_null(c->store.user);
    assert_string_equal(c->store.password, "secret");
    assert_string_equal(c->store.host, "::1");
    assert_int_equal(c->store.port, 6379);
    assert_string_equal(c->store.url, "redis://[::1]:6379/0");
    config_unref(c);
    c = good("{" POOLS
             ", 'store': {'url': 'redis+unix:///run/redis.sock?db=2', 'timeout_ms': 50}}");
    assert_int_equal(c->store.kind, STORE_UNIX);
    assert_string_equal(c->store.path, "/run/redis.sock");
    assert_int_equal(c->store.db, 2);
    assert_int_equal(c->store.timeout_ms, 50);
    config_unref(c);
}

static void limits_of_every_form(void **state)
{
    (void)state;
    struct config *c = good(
        "{'pools': {'p': {'domain': 'eu-1', 'hold_back': [0, 0.1, 0.333], 'limits': ["
        "{'unit': 'requests', 'amount': 10000, 'per': '10s', 'slack_ms': 0},"
        "{'unit': 'tokens', 'amount': 7, 'per': 'hour', 'algorithm': 'bucket', 'burst': "
        "9999999999999},"
        "{'unit': 'input_tokens', 'amount': 10000000000000, 'per': 'day', 'algorithm': 'calendar',"
        " 'time_zone': 'America/Los_Angeles'},"
        "{'unit': 'output_tokens', 'amount': 5, 'per': '500ms', 'counted': 'end', 'settle': false},"
        "{'unit': 'usd', 'amount': 5, 'per': 'month', 'algorithm': 'calendar'},"
        "{'unit': 'usd', 'amount': 5, 'per': '366d'},"
        "{'unit': 'concurrent', 'amount': 3}]},"
        "'q': {'limits': [{'unit': 'concurrent', 'amount': 1, 'algorithm': 'concurrent'}]}}}");
    const struct limit *l = config_pool(c, "p", 1)->limits->limits;
    assert_int_equal(l[0].per_ms, 10000);
    assert_string_equal(l[0].per, "10s");
    assert_int_equal(l[0].slack_ms, 0);
    assert_true(l[0].settle);
    assert_int_equal(l[0].held_back[1], 1000);
    assert_int_equal(l[0].held_back[2], 3330);
    assert_int_equal(l[1].per_ms, 3600000);
    assert_int_equal(l[1].capacity, 9999999999999);
    assert_int_equal(l[1].amount, 7);
    assert_int_equal(l[1].held_back[1], 1000000000000);
    assert_int_equal(l[2].algorithm, LIMIT_CALENDAR);
    assert_int_equal(l[2].calendar, CALENDAR_DAY);
    assert_string_equal(zone_name(l[2].zone), "America/Los_Angeles");
    assert_int_equal(l[2].held_back[2], 3330000000000);
    assert_true(l[3].counted_end);
    assert_false(l[3].settle);
    assert_int_equal(l[3].per_ms, 500);
    assert_int_equal(l[3].held_back[1], 1);
    assert_int_equal(l[4].calendar, CALENDAR_MONTH);
    assert_int_equal(l[4].per_ms, 2592000000);
    assert_string_equal(zone_name(l[4].zone), "UTC");
    assert_int_equal(l[5].per_ms, 31622400000);
    assert_int_equal(l[6].algorithm, LIMIT_CONCURRENT);
    assert_int_equal(l[6].per_ms, 0);
    assert_string_equal(l[6].per, "");
    assert_int_equal(c->n_domains, 2);
    assert_string_equal(c->domains[0], "eu-1");
    config_unref(c);
}

static void units_and_algorithms_are_what_they_say(void **state)
{
    (void)state;
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++) {
        char text[256];
        snprintf(text, sizeof text, "{'pools': {'p': {'limits': [{'unit': '%s', 'amount': 1%s}]}}}",
                 limit_unit_name((enum ration_unit)unit),
                 unit == RATION_UNIT_CONCURRENT ? "" : ", 'per': 'second'");
        struct config *c = good(text);
        assert_int_equal(config_pool_at(c, 0)->limits->limits[0].unit, unit);
        config_unref(c);
    }
    static const struct {
        const char *per;
        uint64_t ms;
    } periods[] = {{"second", 1000},      {"minute", 60000}, {"hour", 3600000}, {"day", 86400000},
                   {"month", 2592000000}, {"1ms", 1},        {"90s", 90000},    {"5m", 300000},
                   {"2h", 7200000},       {"7d", 604800000}};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{'pools': {'p': {'limits': [{'unit': 'usd', 'amount': 1, 'per': '%s'}]}}}",
                 periods[i].per);
        struct config *c = good(text);
        assert_int_equal(config_pool_at(c, 0)->limits->limits[0].per_ms, periods[i].ms);
        assert_string_equal(config_pool_at(c, 0)->limits->limits[0].per, periods[i].per);
        config_unref(c);
    }
    static const struct {
        const char *name;
        int outage;
    } outages[] = {{"deny", OUTAGE_DENY}, {"allow", OUTAGE_ALLOW}, {"local", OUTAGE_LOCAL}};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        snprintf(text, sizeof text, "{" POOLS ", 'on_outage': '%s'}", outages[i].name);
        struct config *c = good(text);
        assert_int_equal(c->on_outage, outages[i].outage);
        config_unref(c);
    }
}

static void own_limits_go_before_those_of_the_preset(void **state)
{
    (void)state;
    struct config *c = good("{'pools': {'p': {'preset': 'openai/gpt-4o/tier1', 'limits': ["
                            "{'unit': 'tokens', 'amount': 1, 'per': '60s', 'algorithm': 'bucket'},"
                            "{'unit': 'tokens', 'amount': 2, 'per': 'day'}]}}}");
    const struct limit_set *set = config_pool(c, "p", 1)->limits;
    assert_int_equal(set->n, 4);
    assert_int_equal(set->limits[0].amount, 500);
    assert_int_equal(set->limits[1].amount, 10000);
    assert_int_equal(set->limits[2].amount, 1);
    assert_int_equal(set->limits[3].amount, 2);
    config_unref(c);
}

static void every_preset_is_sound(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct json_object *presets =
        config_text_parse("presets", ration_presets_json, ration_presets_json_size, &problems);
    assert_non_null(presets);
    assert_int_equal(problems.n, 0);
    assert_true(json_object_object_length(presets) >= 15);
    json_object_object_foreach(presets, name, preset)
    {
        char text[256];
        snprintf(text, sizeof text, "{'pools': {'p': {'preset': '%s'}}}", name);
        struct config *c = good(text);
        assert_true(config_pool_at(c, 0)->limits->n >= 1);
        config_unref(c);
        struct json_object *value;
        assert_true(json_object_object_get_ex(preset, "source", &value));
        assert_memory_equal(json_object_get_string(value), "https://", 8);
        assert_true(json_object_object_get_ex(preset, "checked", &value));
        assert_int_equal(json_object_get_string_len(value), 10);
        /* source, published, checked and limits; "unverified" and a note if needed */
        bool unverified = json_object_object_get_ex(preset, "unverified", &value);
        bool note = json_object_object_get_ex(preset, "note", NULL);
        assert_true(!unverified || json_object_get_boolean(value));
        assert_int_equal(json_object_object_length(preset), 4 + unverified + note);
    }
    json_object_put(presets);
}

/* ---- Secrets --------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void secrets_come_from_files_and_the_environment(void **state)
{
    (void)state;
    char folder[] = "/tmp/ration-config-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof path, "%s/secret", folder);
    write_file(path, "hush hush\r\n", 11);
    setenv("RATION_TEST_SECRET", "op", 1);
    char text[512];
    snprintf(text, sizeof text,
             "{" POOLS ", 'tiers': {'t': {}}, 'auth': {'operator': {'env': 'RATION_TEST_SECRET'}},"
             "'tenants': {'a': {'tier': 't', 'secret': {'file': '%s'}}, 'b': {'tier': 't'}},"
             "'store': {'url': 'redis://user@h', 'password': {'file': '%s'}}}",
             path, path);
    struct config *c = good(text);
    assert_string_equal(c->operator_secret, "op");
    assert_string_equal(config_tenant(c, "a", 1)->secret, "hush hush");
    assert_null(config_tenant(c, "b", 1)->secret);
    assert_string_equal(c->store.password, "hush hush");
    assert_true(c->auth_required);
    assert_int_equal(chmod(path, 0644), 0);
    log_set_level(LOG_LEVEL_ERROR);
    config_unref(good(text)); /* a warning, not a problem */
    log_set_level(LOG_LEVEL_INFO);
    config_unref(c);

    /* A single tenant's credential is enough for everybody to need one. */
    snprintf(text, sizeof text,
             "{" POOLS ", 'tiers': {'t': {}}, 'tenants': {'a': {'tier': 't', 'secret': "
             "{'env': 'RATION_TEST_SECRET'}}}}");
    c = good(text);
    assert_true(c->auth_required);
    assert_null(c->operator_secret);
    config_unref(c);

    char long_secret[300];
    memset(long_secret, 'x', sizeof long_secret);
    const struct {
        const char *bytes;
        size_t n;
        const char *problem;
    } wrong[] = {
        {"", 0, "the secret is empty"},
        {"\n", 1, "the secret is empty"},
        {"a\nb\n", 4, "the secret has a control character"},
        {"a\0b", 3, "the secret has a control character"},
        {long_secret, 257, "the secret is too long"},
        {long_secret, 300, "the secret is too long"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_file(path, wrong[i].bytes, wrong[i].n);
        snprintf(text, sizeof text, "{" POOLS ", 'auth': {'operator': {'file': '%s'}}}", path);
        char problem[128];
        snprintf(problem, sizeof problem, "auth.operator.file: %s...", wrong[i].problem);
        bad(text, problem, (char *)NULL);
    }
    write_file(path, long_secret, 256);
    config_unref(good(text));
    unlink(path);
    snprintf(text, sizeof text, "{" POOLS ", 'auth': {'operator': {'file': '%s'}}}", folder);
    bad(text, "auth.operator.file: cannot read...", (char *)NULL);
    rmdir(folder);
    bad(text, "auth.operator.file: cannot read...", (char *)NULL);
    unsetenv("RATION_TEST_SECRET");
    bad("{" POOLS ", 'auth': {'operator': {'env': 'RATION_TEST_SECRET'}}}",
        "auth.operator.env: there is no environment variable 'RATION_TEST_SECRET'; set it...",
        (char *)NULL);
    bad("{" POOLS ", 'auth': {'operator': 'plain'}}",
        "auth.operator: a secret must not be in the configuration; use...", (char *)NULL);
    bad("{" POOLS ", 'auth': {'operator': {}}}",
        "auth.operator: names no place to read it from; use...", (char *)NULL);
    bad("{" POOLS ", 'auth': {'operator': {'env': 'A', 'file': '/x'}}}",
        "auth.operator: both a file and an environment variable; use...", (char *)NULL);
    setenv("RATION_TEST_SECRET", "same", 1);
    bad("{" POOLS ", 'tiers': {'t': {}}, 'auth': {'operator': {'env': 'RATION_TEST_SECRET'}},"
        "'tenants': {'a': {'tier': 't', 'secret': {'env': 'RATION_TEST_SECRET'}}}}",
        "tenants.a.secret: the same as the operator...", (char *)NULL);
    unsetenv("RATION_TEST_SECRET");
}

/* ---- Files, and what needs a restart --------------------------------------------------------- */

static void files(void **state)
{
    (void)state;
    struct config *config;
    struct config_problems problems;
    assert_int_equal(config_load_file("/nonexistent/ration.json", &config, &problems), -1);
    assert_string_equal(problems.lines[0],
                        "/nonexistent/ration.json: cannot read the configuration: No such file or "
                        "directory; name a readable JSON file");
    config_problems_free(&problems);
    assert_int_equal(config_load_file("/", &config, &problems), -1);
    config_problems_free(&problems);
    char path[] = "/tmp/ration-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(config_load_file(path, &config, &problems), -1);
    assert_non_null(strstr(problems.lines[0], "is empty"));
    config_problems_free(&problems);
    write_file(path, config_default_text(), strlen(config_default_text()));
    assert_int_equal(config_load_file(path, &config, &problems), 0);
    config_unref(config);
    unlink(path);
}

static void some_changes_need_a_restart(void **state)
{
    (void)state;
    setenv("RATION_TEST_SECRET", "x", 1);
    struct config *from = good("{" POOLS "}");
    static const struct {
        const char *change, *path;
    } cases[] = {
        {"'ttl_ms': 5000, 'on_outage': 'allow', 'max_connections': 5", NULL},
        {"'auth': {'operator': {'env': 'RATION_TEST_SECRET'}}", NULL},
        {"'listen': {'resp': '127.0.0.1:1'}", "listen.resp"},
        {"'listen': {'resp': '0.0.0.0:7420'}", "listen.resp"},
        {"'listen': {'http': null}", "listen.http"},
        {"'listen': {'http': '127.0.0.1:1'}", "listen.http"},
        {"'listen': {'unix': '/run/r.sock'}", "listen.unix"},
        {"'store': {'url': 'redis://h'}", "store.url"},
        {"'store': {'timeout_ms': 5000}", "store.timeout_ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "{" POOLS ", %s}", cases[i].change);
        struct config *to = good(text);
        const char *path = config_restart_needed(from, to);
        if (cases[i].path == NULL)
            assert_null(path);
        else
            assert_string_equal(path, cases[i].path);
        config_unref(to);
    }
    config_unref(from);
    from = good("{" POOLS ", 'store': {'url': 'redis://:a@h'}}");
    struct config *to = good("{" POOLS ", 'store': {'url': 'redis://:b@h'}}");
    assert_string_equal(config_restart_needed(from, to), "store.password");
    config_unref(from);
    config_unref(to);
    unsetenv("RATION_TEST_SECRET");
}

static void many_tenants(void **state)
{
    (void)state;
    size_t cap = 1 << 20;
    char *text = malloc(cap);
    assert_non_null(text);
    size_t n = (size_t)snprintf(text, cap, "{" POOLS ", 'tiers': {'t': {}}, 'tenants': {");
    for (int i = 0; i < 20000; i++)
        n +=
            (size_t)snprintf(text + n, cap - n, "%s'tenant%d': {'tier': 't'}", i > 0 ? "," : "", i);
    snprintf(text + n, cap - n, "}}");
    struct config *c = good(text);
    free(text);
    assert_int_equal(config_tenant_count(c), 20000);
    for (int i = 0; i < 20000; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "tenant%d", i);
        assert_ptr_equal(config_tenant(c, name, (size_t)length), config_tenant_at(c, (size_t)i));
    }
    assert_null(config_tenant(c, "tenant20000", 11));
    config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_as_promised),
        cmocka_unit_test(the_example_agrees_with_the_table),
        cmocka_unit_test(the_table_describes_itself),
        cmocka_unit_test(every_setting_is_checked),
        cmocka_unit_test(defaults),
        cmocka_unit_test(comments_and_order_do_not_matter),
        cmocka_unit_test(stores),
        cmocka_unit_test(limits_of_every_form),
        cmocka_unit_test(units_and_algorithms_are_what_they_say),
        cmocka_unit_test(own_limits_go_before_those_of_the_preset),
        cmocka_unit_test(every_preset_is_sound),
        cmocka_unit_test(secrets_come_from_files_and_the_environment),
        cmocka_unit_test(files),
        cmocka_unit_test(some_changes_need_a_restart),
        cmocka_unit_test(many_tenants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
