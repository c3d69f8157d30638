/*
 * A handle: opening, configuring and closing it, its messages, one command with its reply, and the
 * texts of the error codes.
 *
 * Opening fails if an option is out of its range, memory runs out, or the system has no random
 * bytes for ids. It never touches the network.
 */
#include "handle.h"

#include "call/exchange.h"
#include "clock.h"
#include "profile/profile.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TIMEOUT_MS 600000
#define DEFAULT_SERVER "127.0.0.1:7420"

const char *ration_strerror(int err)
{
    switch (err) {
    case RATION_OK:
        return "success";
#define ERROR_TEXT(code, name, text)                                                               \
    case RATION_E##name:                                                                           \
        return text;
        RATION_ERRORS(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return "an unknown error";
    }
}

const char *ration_version(void)
{
    return RATION_VERSION;
}

void ration_options_init(struct ration_options *options)
{
    memset(options, 0, sizeof(*options));
    options->timeout_ms = 5000;
    options->connect_timeout_ms = 1000;
}

/* The caller's value, else the environment's, else a default. An empty variable counts as unset. */
static const char *choose(const char *said, const char *variable, const char *otherwise)
{
    if (said)
        return said;
    const char *value = getenv(variable);
    return value && value[0] ? value : otherwise;
}

static int copy_string(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size);
    if (len == size)
        return RATION_EINVALID;
    memcpy(to, from, len + 1);
    return 0;
}

static int configure(ration *r, const struct ration_options *options)
{
    if (options->timeout_ms < 1 || options->timeout_ms > MAX_TIMEOUT_MS ||
        options->connect_timeout_ms < 1 || options->connect_timeout_ms > MAX_TIMEOUT_MS)
        return RATION_EINVALID;
    struct servers *servers = &r->servers;
    r->timeout_ms = options->timeout_ms;
    servers->connect_timeout_ms = options->connect_timeout_ms;
    if (copy_string(servers->tenant, sizeof(servers->tenant),
                    choose(options->tenant, "RATION_TENANT", "default")) < 0 ||
        copy_string(servers->secret, sizeof(servers->secret),
                    choose(options->secret, "RATION_SECRET", "")) < 0 ||
        !id_tenant_is_valid(servers->tenant))
        return RATION_EINVALID;
    return addr_list_parse(choose(options->servers, "RATION_SERVERS", DEFAULT_SERVER),
                           &servers->list);
}

int ration_open(const struct ration_options *options, ration **out)
{
    struct ration_options defaults;
    ration_options_init(&defaults);
    if (!options)
        options = &defaults;
    ration *r = calloc(1, sizeof(*r));
    if (!r)
        return RATION_ENOMEM;
    servers_init(&r->servers);
    int err = configure(r, options);
    if (err == 0)
        err = id_maker_init(&r->ids);
    if (err < 0) {
        ration_close(r);
        return err;
    }
    *out = r;
    return RATION_OK;
}

void ration_close(ration *r)
{
    if (!r)
        return;
    unacknowledged_collect(&r->report, &r->servers, clock_ms() + r->timeout_ms);
    unacknowledged_forget(&r->report);
    servers_close(&r->servers);
    exchange_free(r->exchange);
    profiles_close(r->profiles);
    free(r->profiles_file);
    free(r);
}

const char *ration_errmsg(const ration *r)
{
    return r->errmsg;
}

void handle_begin(ration *r)
{
    r->errmsg[0] = '\0';
}

int handle_fail(ration *r, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->errmsg, sizeof(r->errmsg), format, args);
    va_end(args);
    return err;
}

int handle_add_amounts(ration *r, struct command *cmd, const struct ration_amounts *amounts,
                       bool slots)
{
    if (amounts && command_amounts(cmd, amounts, slots) < 0)
        return handle_fail(r, RATION_EINVALID, "an amount must be 1 - %lld or RATION_ZERO",
                           (long long)RATION_MAX_COST);
    return 0;
}

/* ---- Commands ---- */

static int finish(ration *r, struct command *cmd)
{
    if (command_finish(cmd) < 0)
        return handle_fail(r, RATION_EINVALID,
                           "the command is larger than the %d bytes that a server takes",
                           RATION_MAX_REQUEST_BYTES);
    return 0;
}

/* An error of the servers, with its message. */
static int fail_as_servers(ration *r, int err)
{
    memcpy(r->errmsg, r->servers.errmsg, sizeof(r->errmsg));
    return err;
}

int handle_unexpected(ration *r, const char *verb, struct reply *reply)
{
    return fail_as_servers(r, servers_unexpected(&r->servers, verb, reply));
}

int handle_ask(ration *r, struct command *cmd, uint32_t wait_ms, struct reply **out)
{
    int err = finish(r, cmd);
    if (err < 0)
        return err;
    int64_t now_ms = clock_ms();
    unacknowledged_collect(&r->report, &r->servers, now_ms + (r->timeout_ms + 1) / 2);
    assert(!r->report.in_flight); /* or its reply would be taken for this command's */
    err = servers_ask(&r->servers, cmd, now_ms + r->timeout_ms + wait_ms, wait_ms, out);
    return err < 0 ? fail_as_servers(r, err) : 0;
}

int handle_post(ration *r, struct command *cmd)
{
    int err = finish(r, cmd);
    if (err < 0)
        return err;
    err = unacknowledged_post(&r->report, &r->servers, cmd, clock_ms() + r->timeout_ms);
    return err < 0 ? fail_as_servers(r, err) : 0;
}

int handle_ask_rows(ration *r, struct command *cmd, const char *verb, size_t row_bytes,
                    int (*read)(const struct reply *from, void *row), void **rows, size_t *n)
{
    struct reply *reply = NULL;
    int err = handle_ask(r, cmd, 0, &reply);
    if (err < 0)
        return err;
    if (reply->type != REPLY_ARRAY)
        return handle_unexpected(r, verb, reply);
    char *table = calloc(reply->n + 1, row_bytes);
    if (!table) {
        reply_free(reply);
        return handle_fail(r, RATION_ENOMEM, "out of memory for the rows");
    }
    for (size_t i = 0; i < reply->n; i++) {
        if (read(reply->element[i], table + i * row_bytes) < 0) {
            free(table);
            return handle_unexpected(r, verb, reply);
        }
    }
    *rows = table;
    *n = reply->n;
    reply_free(reply);
    return 0;
}
