/* Names of keys: no two of them collide, whatever the kinds and the names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/key_names.h"

/* Names that try to look like the kinds, the separators and the endings of others. */
static const char *const tenants[] = {
    "a",   "a:s", "s",   ":s",  "p:a",  "ts:a", "t",  "a@b",    "a@b:s", "a@b@", "@b",  "a:s@b",
    "r:a", "n:a", "f:a", "k:a", "[fr]", "*",    "a:", "ps:a@b", "is:a",  "=a",   "a=b", "e:a@b"};
static const char *const pools[] = {"a",   "b",   "a:s",   "b:s",  "s", ":s", "p:a", "ps:a",
                                    "k:a", "b:k", "t:a:s", "[fr]", "*", "=a", "r:a"};
static const char *const slices[] = {"a", "b", "s", "as", "ab"};
static const char *const free_ids[] = {"a",  "b",   "a:s", "s",     ":s",  "@b", "a@b",
                                       "=a", "f:a", "{a}", "a@b:s", "n:a", "*",  "[fr]:a"};

enum { MOST = 8192 };

struct made {
    char key[KEY_BYTES];
    enum key_kind kind;
    const char *first, *second;
};

static struct made made[MOST];
static size_t n_made;

static void make(enum key_kind kind, const char *first, const char *second, const struct id *id)
{
    assert_true(n_made < MOST);
    struct made *m = &made[n_made++];
    *m = (struct made){.kind = kind, .first = first, .second = second};
    size_t n = key_name(kind, "d", id, m->key);
    assert_int_equal(n, strlen(m->key));
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct made *)a)->key, ((const struct made *)b)->key);
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static uint8_t set(char *to, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        to[i] = text[i];
    return (uint8_t)n;
}

static void test_no_two_keys_meet(void **state)
{
    (void)state;
    struct id id = {0};
    for (size_t p = 0; p < COUNT(pools); p++) {
        id.pool_bytes = set(id.pool, pools[p]);
        for (int kind = KEY_POOL; kind <= KEY_POOL_HEALTH; kind++)
            make((enum key_kind)kind, pools[p], "", &id);
    }
    for (size_t t = 0; t < COUNT(tenants); t++) {
        id.tenant_bytes = set(id.tenant, tenants[t]);
        make(KEY_TENANT, tenants[t], "", &id);
        make(KEY_TENANT_SLOTS, tenants[t], "", &id);
        for (size_t p = 0; p < COUNT(pools); p++) {
            id.pool_bytes = set(id.pool, pools[p]);
            for (int kind = KEY_IN_POOL; kind <= KEY_ESTIMATES; kind++)
                make((enum key_kind)kind, tenants[t], pools[p], &id);
        }
        for (size_t f = 0; f < COUNT(free_ids); f++) {
            id.free_bytes = set(id.free_text, free_ids[f]);
            make(KEY_FREE_ID, tenants[t], free_ids[f], &id);
        }
    }
    for (size_t s = 0; s < COUNT(slices); s++) {
        id.slice_bytes = set(id.slice, slices[s]);
        make(KEY_SLICE, slices[s], "", &id);
    }
    for (size_t f = 0; f < COUNT(free_ids); f++) {
        id.free_bytes = set(id.free_text, free_ids[f]);
        make(KEY_FREE_TENANT, free_ids[f], "", &id);
    }
    bool met[KEY_KINDS] = {false};
    qsort(made, n_made, sizeof made[0], by_key);
    for (size_t i = 0; i < n_made; i++) {
        met[made[i].kind] = true;
        if (i > 0 && strcmp(made[i - 1].key, made[i].key) == 0)
            fail_msg("%s is of kind %d for '%s' '%s' and of kind %d for '%s' '%s'", made[i].key,
                     (int)made[i - 1].kind, made[i - 1].first, made[i - 1].second,
                     (int)made[i].kind, made[i].first, made[i].second);
    }
    for (int kind = 0; kind < KEY_KINDS; kind++)
        assert_true(met[kind]);
}

static void test_the_longest_names_fit(void **state)
{
    (void)state;
    struct id id;
    char domain[RATION_MAX_DOMAIN_BYTES + 1] = "", pool[RATION_MAX_POOL_BYTES + 1] = "";
    memset(&id, 'x', sizeof id);
    memset(domain, 'd', RATION_MAX_DOMAIN_BYTES);
    memset(pool, 'x', RATION_MAX_POOL_BYTES);
    id.slice_bytes = RATION_ID_MAX_SLICE;
    id.tenant_bytes = RATION_MAX_TENANT_BYTES;
    id.pool_bytes = RATION_MAX_POOL_BYTES;
    id.free_bytes = RATION_MAX_FREE_ID_BYTES;
    for (int kind = 0; kind < KEY_KINDS; kind++) {
        char key[KEY_BYTES];
        assert_true(key_name((enum key_kind)kind, domain, &id, key) < sizeof key);
    }
    char one[KEY_BYTES], other[KEY_BYTES];
    key_name(KEY_POOL_SLOTS, domain, &id, one);
    key_name_of_pool(KEY_POOL_SLOTS, domain, pool, other);
    assert_string_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_two_keys_meet),
        cmocka_unit_test(test_the_longest_names_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
