/* TENANT FORGIVE: taking away a tenant's debt. As in look.c, a row that cannot be read spoils the whole answer. */
#include "handle.h"

#include <stdlib.h>

static int read_row(const struct reply *from, struct ration_forgiven_row *row)
{
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
        return handle_fail(r, RATION_EINVALID, "this is no tenant's name");
    struct command cmd;
    struct reply *reply = NULL;
    command_init(&cmd, "TENANT");
    command_arg(&cmd, "FORGIVE");
    command_arg(&cmd, tenant);
    int err = handle_exchange(r, &cmd, 0, &reply);
    if (err < 0)
        return err;
    if (reply->type != REPLY_ARRAY)
        return handle_bad_reply(r, "TENANT", reply);

    struct ration_forgiven_row *table = calloc(reply->n + 1, sizeof(*table));
    if (!table) {
        reply_free(reply);
        return handle_fail(r, RATION_ENOMEM, "out of memory for the rows");
    }
    for (size_t i = 0; i < reply->n; i++) {
        if (read_row(reply->element[i], &table[i]) < 0) {
            free(table);
            return handle_bad_reply(r, "TENANT", reply);
        }
    }
    *rows = table;
    *n = reply->n;
    reply_free(reply);
    return RATION_OK;
}

void ration_forgiven_free(struct ration_forgiven_row *rows)
{
    free(rows);
}
