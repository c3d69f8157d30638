/* AUDIT [pool]: the ledger, for the operator. */
#include "batch/audit.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "config/config.h"
#include "policy/limit.h"
#include "worker.h"

static void write_row(struct buf *out, int resp, const struct audit_row *row)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"granted", row->granted}, {"reported", row->reported},   {"outstanding", row->outstanding},
        {"expired", row->expired}, {"cancelled", row->cancelled}, {"used", row->used},
        {"scanned", row->scanned}, {"balanced", row->balanced},
    };
    enum { NUMBERS = sizeof numbers / sizeof numbers[0] };
    resp_map(out, resp, 2 + NUMBERS);
    resp_text(out, "pool");
    resp_text(out, row->pool->name);
    resp_text(out, "unit");
    resp_text(out, limit_unit_name(row->unit));
    for (size_t i = 0; i < NUMBERS; i++) {
        resp_text(out, numbers[i].name);
        resp_integer(out, numbers[i].value);
    }
}

static void on_audited(void *arg, const struct audit_row *rows, size_t n, const char *error)
{
    struct request *r = arg;
    char shown[RESP_SHOW_BYTES];
    if (rows == NULL) {
        error = error != NULL ? error : "it did not answer";
        request_error(r, RATION_ERR_UNAVAILABLE, "the ledger cannot be read: %s",
                      resp_show(shown, error, strlen(error)));
    } else {
        struct buf *out = request_out(r);
        resp_array(out, n);
        for (size_t i = 0; i < n; i++)
            write_row(out, r->resp, &rows[i]);
    }
    request_finish(r);
}

void cmd_audit(struct request *r, const struct arg *args, size_t n)
{
    const struct config_pool *pool = NULL;
    if (n == 2 && (pool = names_pool(r, &args[1])) == NULL)
        return;
    request_wait(r);
    audit_run(r->worker->base, r->worker->store, r->worker->config, pool, on_audited, r);
}
