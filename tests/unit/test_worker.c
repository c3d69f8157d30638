/* A worker's references to its configurations: each lives while an operation of the worker does. */
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Two references: the worker's, and one that shows the test whether the worker's is gone. */
static struct config *make_config(void)
{
    struct config_problems problems = {0, NULL};
    struct config *config;
    if (config_load_default(&config, &problems) != 0)
        fail_msg("%s", problems.lines[0]);
    return config_ref(config);
}

static void an_operation_costs_no_atomic_reference(void **state)
{
    (void)state;
    struct worker worker = {0};
    struct config *config = make_config();
    worker_config_set(&worker, config);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(worker_config_ref(&worker), config);
    assert_int_equal(config->refs, 2);
    for (int i = 0; i < 3; i++)
        worker_config_unref(&worker, config);
    assert_int_equal(config->refs, 2); /* in force, held or not */
    worker_config_set(&worker, NULL);
    assert_int_equal(config->refs, 1);
    config_unref(config);
}

static void a_replaced_one_goes_with_its_last_holder(void **state)
{
    (void)state;
    struct worker worker = {0};
    struct config *configs[4];
    for (int i = 0; i < 4; i++)
        configs[i] = make_config();
    for (int i = 0; i < 3; i++) {
        worker_config_set(&worker, configs[i]);
        for (int holder = 0; holder < 2 && i < 2; holder++)
            worker_config_ref(&worker);
    }
    worker_config_set(&worker, configs[3]);
    assert_int_equal(configs[2]->refs, 1); /* nobody held it */
    /* The newer of two goes before the older. */
    for (int i = 1; i >= 0; i--) {
        worker_config_unref(&worker, configs[i]);
        assert_int_equal(configs[i]->refs, 2);
        worker_config_unref(&worker, configs[i]);
        assert_int_equal(configs[i]->refs, 1);
    }
    worker_config_unref(&worker, NULL);
    assert_int_equal(configs[3]->refs, 2);
    worker_config_set(&worker, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(configs[i]->refs, 1);
        config_unref(configs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_costs_no_atomic_reference),
        cmocka_unit_test(a_replaced_one_goes_with_its_last_holder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
