/*
 * The configuration as the rest of the server sees it: load, look up, compare.
 *
 * Loading gives either a whole configuration or a list of problems; a failed reload leaves the old
 * one in force simply because nobody has released it.
 */
#include "config/config_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/presets.h"

#define MAX_FILE_BYTES ((size_t)16 * 1024 * 1024)

int config_parse(const char *name, const char *text, size_t n, struct config **out,
                 struct config_problems *problems)
{
    struct config_problems found = {0};
    struct json_object *tree = config_text_parse(name, text, n, &found);
    struct reader reader = {.config = config_new(), .problems = &found};
    if (tree != NULL)
        config_build(&reader, tree);
    json_object_put(reader.presets);
    json_object_put(tree);
    if (found.n > 0) {
        config_unref(reader.config);
        *problems = found;
        return -1;
    }
    *out = reader.config;
    return 0;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int cannot_read(struct config_problems *problems, const char *path, const char *why)
{
    *problems = (struct config_problems){0};
    config_problem(problems, NULL,
                   "%s: cannot read the configuration: %s; name a readable JSON file", path, why);
    return -1;
}

/* Reads an open file, at most one byte more than is allowed. Gives the text, or NULL with errno. */
static char *read_all(int fd, size_t *n)
{
    size_t cap = 65536;
    char *text = malloc(cap);
    *n = 0;
    while (text != NULL && *n <= MAX_FILE_BYTES) {
        if (*n == cap) {
            char *grown = realloc(text, cap * 2);
            if (grown == NULL)
                break;
            text = grown;
            cap *= 2;
        }
        ssize_t got = read(fd, text + *n, cap - *n);
        if (got == 0)
            return text;
        if (got > 0)
            *n += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    if (text != NULL && *n > MAX_FILE_BYTES)
        return text;
    int saved = errno;
    free(text);
    errno = saved;
    return NULL;
}

int config_load_file(const char *path, struct config **out, struct config_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cannot_read(problems, path, strerror(errno));
    size_t n;
    char *text = read_all(fd, &n);
    int saved = errno;
    close(fd);
    if (text == NULL)
        return cannot_read(problems, path, strerror(saved));
    int result = config_parse(path, text, n, out, problems);
    explicit_bzero(text, n); /* the store's URL may hold a password */
    free(text);
    return result;
}

int config_load_default(struct config **out, struct config_problems *problems)
{
    return config_parse("the built-in example", ration_default_json, ration_default_json_size, out,
                        problems);
}

const char *config_default_text(void)
{
    return ration_default_json;
}

/* ---- Looking up ------------------------------------------------------------------------------ */

const struct config_pool *config_pool(const struct config *config, const char *name, size_t n)
{
    return config_table_find(&config->tables->pools, name, n);
}

const struct config_tenant *config_tenant(const struct config *config, const char *name, size_t n)
{
    return config_table_find(&config->tables->tenants, name, n);
}

const struct config_tier *config_tier(const struct config *config, const char *name, size_t n)
{
    return config_table_find(&config->tables->tiers, name, n);
}

size_t config_pool_count(const struct config *config)
{
    return config->tables->pools.n;
}

const struct config_pool *config_pool_at(const struct config *config, size_t index)
{
    return config->tables->pools.items[index];
}

size_t config_tenant_count(const struct config *config)
{
    return config->tables->tenants.n;
}

const struct config_tenant *config_tenant_at(const struct config *config, size_t index)
{
    return config->tables->tenants.items[index];
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

const char *config_restart_needed(const struct config *from, const struct config *to)
{
    const struct config_listen *listen[] = {&from->listen, &to->listen};
    const struct config_store *store[] = {&from->store, &to->store};
    if (!same_text(listen[0]->resp_host, listen[1]->resp_host) ||
        listen[0]->resp_port != listen[1]->resp_port)
        return "listen.resp";
    if (!same_text(listen[0]->http_host, listen[1]->http_host) ||
        listen[0]->http_port != listen[1]->http_port)
        return "listen.http";
    if (!same_text(listen[0]->unix_path, listen[1]->unix_path))
        return "listen.unix";
    /* The stored URL has everything but the password. */
    if (store[0]->kind != store[1]->kind || !same_text(store[0]->url, store[1]->url))
        return "store.url";
    if (!same_text(store[0]->password, store[1]->password))
        return "store.password";
    if (store[0]->timeout_ms != store[1]->timeout_ms)
        return "store.timeout_ms";
    if (from->threads != to->threads)
        return "threads";
    return NULL;
}
