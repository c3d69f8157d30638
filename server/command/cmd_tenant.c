/*
 * TENANT GET name          the tier of a tenant, configured or not
 * TENANT LIST cursor       a page of the configured tenants: next cursor ("0": the end), names
 * TENANT FORGIVE name      clears the tenant's debt; a row for each limit that had any (forgive.c)
 * TENANT SET, TENANT DEL   not in this version: see the configuration file
 */
#include <inttypes.h>
#include <stdio.h>

#include "command/forgive.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "config/config.h"
#include "worker.h"

#define PAGE_NAMES 1000

static void get(struct request *r, const struct arg *name)
{
    const struct config *config = r->worker->config;
    if (!command_may_act_for(r, name->p, name->n))
        return;
    const struct config_tier *tier = names_tier(config, name->p, name->n);
    if (tier == NULL) {
        names_answer_notenant(r, name->p, name->n);
        return;
    }
    struct buf *out = request_out(r);
    resp_map(out, r->resp, 4);
    resp_text(out, "name");
    resp_bulk(out, name->p, name->n);
    resp_text(out, "tier");
    resp_text(out, tier->name);
    resp_text(out, "priority");
    resp_integer(out, tier->priority);
    resp_text(out, "configured");
    resp_integer(out, config_tenant(config, name->p, name->n) != NULL);
}

static void list(struct request *r, const struct arg *cursor)
{
    const struct config *config = r->worker->config;
    size_t count = config_tenant_count(config);
    int64_t from;
    char next[24];
    if (command_is_tenant(r)) {
        request_error(r, RATION_ERR_NOPERM, "TENANT LIST is for the operator's credential only");
        return;
    }
    if (!argument_number(cursor, 0, INT64_MAX, &from)) {
        command_usage(r, "a cursor is 0, or the first element of the last TENANT LIST's answer");
        return;
    }
    size_t first = (uint64_t)from < count ? (size_t)from : count;
    size_t end = count - first > PAGE_NAMES ? first + PAGE_NAMES : count;
    struct buf *out = request_out(r);
    snprintf(next, sizeof next, "%zu", end < count ? end : 0);
    resp_array(out, 2);
    resp_text(out, next);
    resp_array(out, end - first);
    for (size_t i = first; i < end; i++)
        resp_text(out, config_tenant_at(config, i)->name);
}

static void forgive(struct request *r, const struct arg *name)
{
    char shown[RESP_SHOW_BYTES];
    if (command_is_tenant(r))
        request_error(r, RATION_ERR_NOPERM, "TENANT FORGIVE is for the operator's credential only");
    else if (!policy_name_ok(name->p, name->n, RATION_MAX_TENANT_BYTES))
        command_usage(r, "'%s' is not a valid tenant name", resp_show(shown, name->p, name->n));
    else if (names_tier(r->worker->config, name->p, name->n) == NULL)
        names_answer_notenant(r, name->p, name->n);
    else
        forgive_run(r, name);
}

void cmd_tenant(struct request *r, const struct arg *args, size_t n)
{
    if (n == 3 && argument_is(&args[1], "GET"))
        get(r, &args[2]);
    else if (n == 3 && argument_is(&args[1], "LIST"))
        list(r, &args[2]);
    else if (n == 3 && argument_is(&args[1], "FORGIVE"))
        forgive(r, &args[2]);
    else if (argument_is(&args[1], "SET") || argument_is(&args[1], "DEL"))
        request_error(r, RATION_ERR_MALFORMED,
                      "TENANT %s is not supported by this version; change the configuration file "
                      "and send SIGHUP",
                      argument_is(&args[1], "SET") ? "SET" : "DEL");
    else
        command_usage(r, "say GET or FORGIVE and a name, or LIST and a cursor (0 to begin)");
}
