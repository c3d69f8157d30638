/* TENANT FORGIVE: forgives a tenant's debt. */
#include "handle.h"

#include <stdlib.h>

static int read_row(const struct reply *from, void *to)
{
    struct ration_forgiven_row *row = to;
    if (reply_field_string(from, "scope", row->scope, sizeof(row->scope)) < 0 ||
        reply_field_string(from, "unit", row->unit, sizeof(row->unit)) < 0 ||
        reply_field_string(from, "per", row->per, sizeof(row->per)) < 0 ||
        reply_field_integer(from, "forgiven", &row->forgiven) < 0)
        return RATION_EPROTOCOL;
    return 0;
}

int ration_forgive(ration *r, const char *tenant, struct ration_forgiven_row **rows, size_t *n)
{
    handle_begin(r);
    if (!tenant || !id_tenant_is_valid(tenant))
        return handle_fail(r, RATION_EINVALID, "not a valid tenant name");
    struct command cmd;
    void *table = NULL;
    command_init(&cmd, "TENANT");
    command_arg(&cmd, "FORGIVE");
    command_arg(&cmd, tenant);
    int err = handle_ask_rows(r, &cmd, "TENANT", sizeof(**rows), read_row, &table, n);
    if (err < 0)
        return err;
    *rows = table;
    return RATION_OK;
}

void ration_forgiven_free(struct ration_forgiven_row *rows)
{
    free(rows);
}
