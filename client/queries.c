/* PEEK and AUDIT, whose answers are arrays of rows. */
#include "handle.h"

#include <stdlib.h>

static int read_limit_row(const struct reply *from, void *to)
{
    struct ration_limit_row *row = to;
    if (reply_field_string(from, "scope", row->scope, sizeof(row->scope)) < 0 ||
        reply_field_string(from, "unit", row->unit, sizeof(row->unit)) < 0 ||
        reply_field_string(from, "per", row->per, sizeof(row->per)) < 0 ||
        reply_field_integer(from, "limit", &row->limit) < 0 ||
        reply_field_integer(from, "remaining", &row->remaining) < 0 ||
        reply_field_integer(from, "reset_ms", &row->reset_ms) < 0)
        return RATION_EPROTOCOL;
    return 0;
}

static int read_audit_row(const struct reply *from, void *to)
{
    struct ration_audit_row *row = to;
    int64_t balanced = 0;
    if (reply_field_string(from, "pool", row->pool, sizeof(row->pool)) < 0 ||
        reply_field_string(from, "unit", row->unit, sizeof(row->unit)) < 0 ||
        reply_field_integer(from, "granted", &row->granted) < 0 ||
        reply_field_integer(from, "reported", &row->reported) < 0 ||
        reply_field_integer(from, "outstanding", &row->outstanding) < 0 ||
        reply_field_integer(from, "expired", &row->expired) < 0 ||
        reply_field_integer(from, "cancelled", &row->cancelled) < 0 ||
        reply_field_integer(from, "used", &row->used) < 0 ||
        reply_field_integer(from, "scanned", &row->scanned) < 0 ||
        reply_field_integer(from, "balanced", &balanced) < 0)
        return RATION_EPROTOCOL;
    row->balanced = balanced != 0;
    return 0;
}

int ration_peek(ration *r, const char *pool, const char *tenant, struct ration_limit_row **rows,
                size_t *n)
{
    handle_begin(r);
    if (!pool || !id_pool_is_valid(pool) || !tenant || !id_tenant_is_valid(tenant))
        return handle_fail(r, RATION_EINVALID, "not a valid pool or tenant name");
    struct command cmd;
    void *table = NULL;
    command_init(&cmd, "PEEK");
    command_arg(&cmd, pool);
    command_arg(&cmd, tenant);
    int err = handle_ask_rows(r, &cmd, "PEEK", sizeof(**rows), read_limit_row, &table, n);
    if (err < 0)
        return err;
    *rows = table;
    return RATION_OK;
}

void ration_rows_free(struct ration_limit_row *rows)
{
    free(rows);
}

int ration_audit(ration *r, const char *pool, struct ration_audit_row **rows, size_t *n)
{
    handle_begin(r);
    if (pool && !id_pool_is_valid(pool))
        return handle_fail(r, RATION_EINVALID, "not a valid pool name");
    struct command cmd;
    void *table = NULL;
    command_init(&cmd, "AUDIT");
    if (pool)
        command_arg(&cmd, pool);
    int err = handle_ask_rows(r, &cmd, "AUDIT", sizeof(**rows), read_audit_row, &table, n);
    if (err < 0)
        return err;
    *rows = table;
    return RATION_OK;
}

void ration_audit_free(struct ration_audit_row *rows)
{
    free(rows);
}
