/*
 * CONFIG GET pattern...
 *
 * A few settings by their path in the configuration file, and the two that redis-benchmark asks
 * for. Settings are changed in the file only.
 */
#include <stdio.h>
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "config/config.h"
#include "worker.h"

#define VALUE_BYTES 512

struct setting {
    const char *name;
    void (*write)(const struct config *config, char *to, size_t cap);
};

static void write_nothing(const struct config *config, char *to, size_t cap)
{
    (void)config;
    snprintf(to, cap, "%s", "");
}

static void write_no(const struct config *config, char *to, size_t cap)
{
    (void)config;
    snprintf(to, cap, "no");
}

static void write_listen(const struct config *config, char *to, size_t cap)
{
    bool v6 = strchr(config->listen.resp_host, ':') != NULL;
    snprintf(to, cap, v6 ? "[%s]:%u" : "%s:%u", config->listen.resp_host, config->listen.resp_port);
}

static void write_connections(const struct config *config, char *to, size_t cap)
{
    snprintf(to, cap, "%u", config->max_connections);
}

static void write_outage(const struct config *config, char *to, size_t cap)
{
    static const char *const words[] = {"deny", "allow", "local"};
    snprintf(to, cap, "%s", words[config->on_outage]);
}

static void write_store(const struct config *config, char *to, size_t cap)
{
    snprintf(to, cap, "%s", config->store.url);
}

static void write_ttl(const struct config *config, char *to, size_t cap)
{
    snprintf(to, cap, "%u", config->ttl_ms);
}

static const struct setting settings[] = {
    {"appendonly", write_no},
    {"listen.resp", write_listen},
    {"max_connections", write_connections},
    {"on_outage", write_outage},
    {"save", write_nothing},
    {"store.url", write_store},
    {"ttl_ms", write_ttl},
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

/* '*' matches any bytes, '?' one; backtracks to the last '*' only. */
static bool matches(const struct arg *pattern, const char *text)
{
    size_t p = 0, star = SIZE_MAX;
    const char *restart = NULL;
    while (*text != '\0') {
        if (p < pattern->n && pattern->p[p] == '*') {
            star = p++;
            restart = text;
        } else if (p < pattern->n && (pattern->p[p] == '?' || (pattern->p[p] | 0x20) == *text ||
                                      pattern->p[p] == *text)) {
            p++;
            text++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            text = ++restart;
        } else {
            return false;
        }
    }
    while (p < pattern->n && pattern->p[p] == '*')
        p++;
    return p == pattern->n;
}

static bool is_wanted(const struct setting *setting, const struct arg *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (matches(&patterns[i], setting->name))
            return true;
    return false;
}

void cmd_config(struct request *r, const struct arg *args, size_t n)
{
    size_t found = 0;
    if (!argument_is(&args[1], "GET") || n < 3) {
        command_usage(r, "change settings in the configuration file, then send SIGHUP");
        return;
    }
    for (size_t i = 0; i < SETTINGS; i++)
        found += is_wanted(&settings[i], args + 2, n - 2);
    struct buf *out = request_out(r);
    resp_map(out, r->resp, found);
    for (size_t i = 0; i < SETTINGS; i++) {
        char value[VALUE_BYTES];
        if (!is_wanted(&settings[i], args + 2, n - 2))
            continue;
        settings[i].write(r->worker->config, value, sizeof value);
        resp_text(out, settings[i].name);
        resp_text(out, value);
    }
}
