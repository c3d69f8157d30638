/* `ration tenant`: what an operator does for a tenant. */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/rows.h"
#include "tool/say.h"

#include <stdio.h>
#include <string.h>

#define ROW(member) offsetof(struct ration_forgiven_row, member)

static const struct column columns[] = {
    {"scope", "scope", COLUMN_TEXT, ROW(scope), 0, NULL},
    {"limit on", "unit", COLUMN_LIMIT, ROW(unit), ROW(per), NULL},
    {NULL, "per", COLUMN_TEXT, ROW(per), 0, NULL},
    {">forgiven", "forgiven", COLUMN_AMOUNT, ROW(forgiven), ROW(unit), NULL},
    {0},
};

static struct {
    const char *action;
    const char *tenant;
} args;

static int run(struct session *session)
{
    struct ration_forgiven_row *rows = NULL;
    size_t n = 0;
    if (strcmp(args.action, "forgive") != 0) {
        say("tenant takes forgive, not '%s'", args.action);
        return EXIT_WRONG;
    }
    int err = ration_forgive(session->r, args.tenant, &rows, &n);
    if (err < 0)
        return session_fail(session, err);
    if (session->json)
        object_print(rows_json(columns, rows, n, sizeof(*rows)));
    else if (n > 0)
        rows_print(columns, rows, n, sizeof(*rows), "");
    else
        printf("%s has no debt\n", args.tenant);
    ration_forgiven_free(rows);
    return EXIT_GRANTED;
}

const struct command command_tenant = {
    .name = "tenant",
    .summary = "take away a tenant's debt",
    .synopsis = "forgive TENANT [options]",
    .about = "Takes away a tenant's debt, which comes from calls that used more than they had "
             "estimated, or from a provider that counted wrongly: each limit of the tenant that is "
             "below zero is brought up to zero, and nothing more is given. Says how much it was. "
             "'ration peek' shows debt as a remaining amount below zero.",
    .exits = "0 done, or there was no debt; 2 an error",
    .arguments = {{&args.action, "forgive"}, {&args.tenant, "the name of a tenant"}},
    .run = run,
};
