/*
 * Opening, configuring and closing a handle, its messages, and the words of the error codes.
 *
 * Opening fails for an option that is out of its range, without memory, or where the system has no
 * randomness for ids. It never touches the network.
 */
#include "handle.h"

#include "clock.h"
#include "call/exchange.h"
#include "profile/profile.h"

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

/* What the caller said, else the environment, else a default. An empty variable counts as unset. */
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
    r->timeout_ms = options->timeout_ms;
    r->connect_timeout_ms = options->connect_timeout_ms;
    if (copy_string(r->tenant, sizeof(r->tenant),
                    choose(options->tenant, "RATION_TENANT", "default")) < 0 ||
        copy_string(r->secret, sizeof(r->secret), choose(options->secret, "RATION_SECRET", "")) <
            0 ||
        !id_tenant_is_valid(r->tenant))
        return RATION_EINVALID;
    return addr_list_parse(choose(options->servers, "RATION_SERVERS", DEFAULT_SERVER), &r->servers);
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
    conn_init(&r->conn);
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
    if (r->owed.bytes)
        handle_collect(r, clock_ms() + r->timeout_ms);
    owed_forget(&r->owed);
    conn_close(&r->conn);
    exchange_free(r->exchange);
    profiles_close(r->profiles);
    free(r->profiles_file);
    explicit_bzero(r->secret, sizeof(r->secret));
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
        return handle_fail(r, RATION_EINVALID, "an amount is neither 1 - %lld nor RATION_ZERO",
                           (long long)RATION_MAX_COST);
    return 0;
}

int handle_finish(ration *r, struct command *cmd)
{
    if (command_finish(cmd) < 0)
        return handle_fail(r, RATION_EINVALID,
                           "the command is larger than the %d bytes that a server takes",
                           RATION_MAX_REQUEST_BYTES);
    return 0;
}

int handle_bad_reply(ration *r, const char *verb, struct reply *reply)
{
    reply_free(reply);
    return handle_fail(r, RATION_EPROTOCOL,
                       "%s answered %s with something else than a rationd does",
                       r->servers.at[r->current].text, verb);
}
