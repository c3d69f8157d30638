/* rationd: reads its command line and its configuration, and serves (server.c). Exit statuses are
 * in --help. */
#include <stdio.h>

#include "config/config.h"
#include "log.h"
#include "options.h"
#include "server.h"
#include "version.h"

/* What people want to see of a good configuration. */
static void print_summary(const char *path, const struct config *config)
{
    printf("%s: ok (%zu pool%s, %zu tenant%s, default tier %s, listens at %s:%u, store %s)\n", path,
           config_pool_count(config), config_pool_count(config) == 1 ? "" : "s",
           config_tenant_count(config), config_tenant_count(config) == 1 ? "" : "s",
           config->default_tier != NULL ? config->default_tier->name : "none",
           config->listen.resp_host, config->listen.resp_port, config->store.url);
}

static int load(const struct options *options, struct config **out)
{
    struct config_problems problems = {0, NULL};
    int err = options->config != NULL ? config_load_file(options->config, out, &problems)
                                      : config_load_default(out, &problems);
    if (err == 0)
        return 0;
    for (size_t i = 0; i < problems.n; i++)
        fprintf(stderr, "%s\n", problems.lines[i]);
    config_problems_free(&problems);
    return -1;
}

static int check(const struct options *options)
{
    struct config *config;
    if (load(options, &config) != 0)
        return 1;
    print_summary(options->config, config);
    config_unref(config);
    return 0;
}

static int serve(const struct options *options)
{
    struct config *config;
    if (load(options, &config) == 0)
        return server_run(options, config);
    log_error("cannot start", "reason=\"the configuration has errors, see above\"");
    return 1;
}

int main(int argc, char **argv)
{
    struct options options;
    options_parse(argc, argv, &options);
    log_set_level(options.level);
    switch (options.action) {
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_HELP:
        options_print_help();
        return 0;
    case OPTIONS_VERSION:
        printf("rationd %s\n", RATION_VERSION);
        return 0;
    case OPTIONS_PRINT_DEFAULT:
        fputs(config_default_text(), stdout);
        return 0;
    case OPTIONS_CHECK:
        return check(&options);
    case OPTIONS_SERVE:
        break;
    }
    return serve(&options);
}
