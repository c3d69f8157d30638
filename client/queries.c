/* PEEK and AUDIT, whose answers are arrays of rows. */
#include "handle.h"

#include <stdlib.h>
#include <string.h>

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

#define AUDIT_ID_BYTES 33
#define AUDIT_WAIT_MS  500
#define AUDIT_TRIES    5

/* Puts the rows of a reply behind the *n that are in the table, which grows. */
static int append_rows(ration *r, const struct reply *from, size_t row_bytes,
                       int (*read)(const struct reply *from, void *row), char **table, size_t *n)
{
    if (!from || from->type != REPLY_ARRAY)
        return RATION_EPROTOCOL;
    char *grown = realloc(*table, (*n + from->n + 1) * row_bytes);
    if (!grown)
        return handle_fail(r, RATION_ENOMEM, "out of memory for the rows");
    *table = grown;
    memset(grown + *n * row_bytes, 0, (from->n + 1) * row_bytes);
    for (size_t i = 0; i < from->n; i++)
        if (read(from->element[i], grown + (*n + i) * row_bytes) < 0)
            return RATION_EPROTOCOL;
    *n += from->n;
    return 0;
}

/* An audit under way. */
struct audit {
    const char *pool;
    char id[AUDIT_ID_BYTES]; /* "": begins anew, or has ended */
    int64_t percent;
    char *rows;
    size_t n;
};

/* Sends AUDIT [pool] or goes on with the audit, and waits for a while. Takes in the rows that come.
 */
static int audit_step(ration *r, struct audit *a)
{
    struct command cmd;
    struct reply *reply = NULL;
    command_init(&cmd, "AUDIT");
    if (a->id[0])
        command_arg(&cmd, "CONTINUE");
    if (a->id[0] || a->pool)
        command_arg(&cmd, a->id[0] ? a->id : a->pool);
    command_option(&cmd, "WAIT", AUDIT_WAIT_MS);
    int err = handle_ask(r, &cmd, AUDIT_WAIT_MS, &reply);
    if (err < 0)
        return err;
    err = RATION_EPROTOCOL;
    if (reply_field_string(reply, RATION_FIELD_AUDIT, a->id, sizeof(a->id)) == 0 &&
        reply_field_integer(reply, RATION_FIELD_PERCENT, &a->percent) == 0)
        err = append_rows(r, reply_field(reply, RATION_FIELD_ROWS), sizeof(struct ration_audit_row),
                          read_audit_row, &a->rows, &a->n);
    if (err == RATION_EPROTOCOL)
        return handle_unexpected(r, "AUDIT", reply);
    reply_free(reply);
    return err;
}

int ration_audit_watch(ration *r, const char *pool, ration_progress_fn *on_progress, void *arg,
                       struct ration_audit_row **rows, size_t *n)
{
    handle_begin(r);
    if (pool && !id_pool_is_valid(pool))
        return handle_fail(r, RATION_EINVALID, "not a valid pool name");
    struct audit a = {.pool = pool};
    int err, begun = 1;
    do {
        bool goes_on = a.id[0] != '\0';
        err = audit_step(r, &a);
        if (err == RATION_ENOSUCH && goes_on && begun++ < AUDIT_TRIES) {
            /* Another server or worker was asked, or the audit failed there: it is begun anew. */
            free(a.rows);
            a = (struct audit){.pool = pool};
            err = 1;
        } else if (err == 0 && a.id[0] && on_progress)
            on_progress(arg, (int)a.percent);
    } while (err == 1 || (err == 0 && a.id[0]));
    if (err < 0) {
        free(a.rows);
        return err;
    }
    *rows = (struct ration_audit_row *)(void *)a.rows;
    *n = a.n;
    return RATION_OK;
}

int ration_audit(ration *r, const char *pool, struct ration_audit_row **rows, size_t *n)
{
    return ration_audit_watch(r, pool, NULL, NULL, rows, n);
}

void ration_audit_free(struct ration_audit_row *rows)
{
    free(rows);
}
