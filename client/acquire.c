/*
 * Asking: ACQUIRE and RENEW, whose answers have the same form.
 *
 * Every ACQUIRE carries an id, and every RENEW that adds something a token, so that handle_ask()
 * may repeat them: the server answers a repetition as it answered the first time, and charges
 * nothing more.
 *
 * Failures: arguments out of range are found before anything is sent; a reply that lacks a field or
 * has it in another type is RATION_EPROTOCOL, and `grant` stays as it was.
 */
#include "handle.h"

#include "clock.h"

#include <string.h>

void ration_acquire_options_init(struct ration_acquire_options *options)
{
    memset(options, 0, sizeof(*options));
    options->priority = -1;
}

static int read_grant(const struct reply *reply, const char *id, struct ration_grant *grant)
{
    struct ration_grant g = {.granted = 0};
    char status[16];
    if (reply_field_string(reply, RATION_FIELD_STATUS, status, sizeof(status)) < 0)
        return RATION_EPROTOCOL;
    g.granted = strcmp(status, RATION_STATUS_GRANTED) == 0;
    if (!g.granted && strcmp(status, RATION_STATUS_DENIED) != 0)
        return RATION_EPROTOCOL;
    if (reply_field_integer(reply, RATION_FIELD_RETRY_AFTER_MS, &g.retry_after_ms) < 0 ||
        g.retry_after_ms < RATION_RETRY_NEVER)
        return RATION_EPROTOCOL;
    if (reply_field_string(reply, RATION_FIELD_ID, g.id, sizeof(g.id)) < 0 ||
        reply_field_string(reply, RATION_FIELD_LIMITED_BY, g.limited_by, sizeof(g.limited_by)) <
            0 ||
        reply_field_string(reply, RATION_FIELD_MODE, g.mode, sizeof(g.mode)) < 0)
        return RATION_EPROTOCOL;
    if (g.id[0] == '\0') /* of a dry run */
        memcpy(g.id, id, strlen(id) + 1);
    *grant = g;
    return 0;
}

static int ask_grant(ration *r, struct command *cmd, const char *verb, const char *id,
                     uint32_t wait_ms, struct ration_grant *grant)
{
    struct reply *reply = NULL;
    int err = handle_ask(r, cmd, wait_ms, &reply);
    if (err < 0)
        return err;
    if (read_grant(reply, id, grant) < 0)
        return handle_unexpected(r, verb, reply);
    reply_free(reply);
    return RATION_OK;
}

static int check_ttl(ration *r, uint32_t ttl_ms)
{
    if (ttl_ms != 0 && (ttl_ms < RATION_MIN_TTL_MS || ttl_ms > RATION_MAX_TTL_MS))
        return handle_fail(r, RATION_EINVALID, "ttl_ms is %u; it must be 0 or %d - %d", ttl_ms,
                           RATION_MIN_TTL_MS, RATION_MAX_TTL_MS);
    return 0;
}

static int check_acquire(ration *r, const char *pool, const char *tenant,
                         const struct ration_acquire_options *options)
{
    if (!pool || !id_pool_is_valid(pool))
        return handle_fail(r, RATION_EINVALID,
                           "a pool's name has 1 - %d printable ASCII characters, without space, "
                           "quotes, \\, {, } and @",
                           RATION_MAX_POOL_BYTES);
    if (!tenant || !id_tenant_is_valid(tenant))
        return handle_fail(r, RATION_EINVALID,
                           "a tenant's name has 1 - %d printable ASCII characters, without space, "
                           "quotes, \\, { and }",
                           RATION_MAX_TENANT_BYTES);
    if (options->priority < -1 || options->priority >= RATION_PRIORITIES)
        return handle_fail(r, RATION_EINVALID, "priority is %d; it must be -1 or 0 - %d",
                           options->priority, RATION_PRIORITIES - 1);
    if (options->wait_ms > RATION_MAX_WAIT_MS)
        return handle_fail(r, RATION_EINVALID, "wait_ms is %u; it must be 0 - %d", options->wait_ms,
                           RATION_MAX_WAIT_MS);
    if (options->id && !id_is_valid(options->id))
        return handle_fail(r, RATION_EINVALID,
                           "the id must be canonical, or 1 - %d printable characters",
                           RATION_MAX_FREE_ID_BYTES);
    return check_ttl(r, options->ttl_ms);
}

static int choose_id(ration *r, const char *pool, const char *tenant, const char *said, char *id)
{
    if (!said) {
        int err = id_make(&r->ids, clock_ms(), pool, tenant, id);
        return err < 0 ? handle_fail(r, err, "the system gave no random bytes for an id") : 0;
    }
    memcpy(id, said, strlen(said) + 1); /* its length was checked */
    return 0;
}

int ration_acquire(ration *r, const char *pool, const char *tenant,
                   const struct ration_amounts *estimate,
                   const struct ration_acquire_options *options, struct ration_grant *grant)
{
    struct ration_acquire_options defaults;
    ration_acquire_options_init(&defaults);
    if (!options)
        options = &defaults;
    handle_begin(r);
    int err = check_acquire(r, pool, tenant, options);
    if (err < 0)
        return err;

    struct command cmd;
    char id[RATION_MAX_ID_BYTES];
    command_init(&cmd, "ACQUIRE");
    command_arg(&cmd, pool);
    command_arg(&cmd, tenant);
    err = handle_add_amounts(r, &cmd, estimate, true);
    if (err == 0)
        err = choose_id(r, pool, tenant, options->id, id);
    if (err < 0)
        return err;
    if (options->priority >= 0)
        command_option(&cmd, "PRIORITY", options->priority);
    if (options->wait_ms > 0)
        command_option(&cmd, "WAIT", options->wait_ms);
    if (options->ttl_ms > 0)
        command_option(&cmd, "TTL", options->ttl_ms);
    command_arg(&cmd, "ID");
    command_arg(&cmd, id);
    if (options->dry_run)
        command_arg(&cmd, "DRYRUN");
    if (options->learned)
        command_arg(&cmd, "LEARNED");
    return ask_grant(r, &cmd, "ACQUIRE", id, options->wait_ms, grant);
}

int ration_renew(ration *r, const char *id, uint32_t ttl_ms, const struct ration_amounts *more,
                 struct ration_grant *grant)
{
    handle_begin(r);
    if (!id || !id_is_valid(id))
        return handle_fail(r, RATION_EINVALID, "not a valid reservation id");
    int err = check_ttl(r, ttl_ms);
    if (err < 0)
        return err;

    struct command cmd;
    command_init(&cmd, "RENEW");
    command_arg(&cmd, id);
    if (ttl_ms > 0)
        command_option(&cmd, "TTL", ttl_ms);
    unsigned before = cmd.argc;
    err = handle_add_amounts(r, &cmd, more, false);
    if (err < 0)
        return err;
    if (cmd.argc > before) {
        char token[ID_TOKEN_BYTES];
        err = id_make_token(token);
        if (err < 0)
            return handle_fail(r, err, "the system gave no random bytes for a token");
        command_arg(&cmd, "ID");
        command_arg(&cmd, token);
    }
    return ask_grant(r, &cmd, "RENEW", id, 0, grant);
}
