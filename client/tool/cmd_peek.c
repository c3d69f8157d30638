/* `ration peek`: every limit that a call would meet, as a table with a bar, or as JSON. */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/rows.h"

#include <stdio.h>

#define ROW(member) offsetof(struct ration_limit_row, member)

static struct shown show_used(const void *row)
{
    const struct ration_limit_row *limit = row;
    return as_bar(limit->limit - limit->remaining, limit->limit);
}

static struct shown show_reset(const void *row)
{
    const struct ration_limit_row *limit = row;
    const struct shown full = {"-"};
    return limit->reset_ms > 0 ? as_duration(limit->reset_ms) : full;
}

static const struct column columns[] = {
    {"scope", "scope", COLUMN_TEXT, ROW(scope), 0, NULL},
    {"limit on", "unit", COLUMN_LIMIT, ROW(unit), ROW(per), NULL},
    {NULL, "per", COLUMN_TEXT, ROW(per), 0, NULL},
    {NULL, "limit", COLUMN_COUNT, ROW(limit), 0, NULL},
    {">remaining", "remaining", COLUMN_AMOUNT, ROW(remaining), ROW(unit), NULL},
    {">of", NULL, COLUMN_AMOUNT, ROW(limit), ROW(unit), NULL},
    {"used", NULL, COLUMN_COUNT, 0, 0, show_used},
    {">full again in", "reset_ms", COLUMN_COUNT, ROW(reset_ms), 0, show_reset},
    {0},
};

static struct {
    const char *pool;
    const char *tenant;
} args;

static int run(struct session *session)
{
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    int err = ration_peek(session->r, args.pool, args.tenant, &rows, &n);
    if (err < 0)
        return session_fail(session, err);
    if (session->json)
        object_print(rows_json(columns, rows, n, sizeof(*rows)));
    else
        rows_print(columns, rows, n, sizeof(*rows), "");
    if (!session->json && n == 0)
        puts("no limit applies: every call is granted");
    ration_rows_free(rows);
    return EXIT_GRANTED;
}

static const struct option_row options[] = {WHO_ROWS, {0}};

const struct command command_peek = {
    .name = "peek",
    .summary = "show every limit that a tenant's call to a pool meets",
    .synopsis = "POOL TENANT [options]",
    .about =
        "Shows every limit that a call of TENANT to POOL meets, and what remains of it. Changes "
        "nothing. A remaining amount below zero is debt: calls used more than they had estimated.",
    .options = options,
    .arguments = {{&args.pool, "a pool"}, {&args.tenant, "a tenant"}},
    .run = run,
};
