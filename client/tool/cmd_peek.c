/* `ration peek`: every limit that a call would meet, as a table with a bar, or as JSON. */
#include "tool/json_out.h"
#include "tool/options.h"
#include "tool/table.h"

#include <stdio.h>
#include <string.h>

static void put_amount(struct table *table, const char *unit, int64_t n)
{
    char text[32];
    if (strcmp(unit, "usd") == 0)
        format_dollars(n, text, sizeof(text));
    else
        format_count(n, text, sizeof(text));
    table_text(table, text);
}

static void print_table(const struct ration_limit_row *rows, size_t n)
{
    static const char *const heads[] = {"scope", "limit on",       ">remaining", ">of",
                                        "used",  ">full again in", NULL};
    struct table *table = table_new(heads);
    for (size_t i = 0; i < n; i++) {
        const struct ration_limit_row *row = &rows[i];
        char text[64];
        table_text(table, row->scope);
        snprintf(text, sizeof(text), "%s%s%s", row->unit, row->per[0] ? " a " : "", row->per);
        table_text(table, text);
        put_amount(table, row->unit, row->remaining);
        put_amount(table, row->unit, row->limit);
        format_bar(row->limit - row->remaining, row->limit, text, sizeof(text));
        table_text(table, text);
        if (row->reset_ms > 0)
            format_duration(row->reset_ms, text, sizeof(text));
        table_text(table, row->reset_ms > 0 ? text : "-");
    }
    table_print(table, stdout, "");
    table_free(table);
    if (n == 0)
        puts("no limit applies: every call is granted");
}

static void print_json(const struct ration_limit_row *rows, size_t n)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_new_object();
        json_put_string(o, "scope", rows[i].scope);
        json_put_string(o, "unit", rows[i].unit);
        json_put_string(o, "per", rows[i].per);
        json_put_integer(o, "limit", rows[i].limit);
        json_put_integer(o, "remaining", rows[i].remaining);
        json_put_integer(o, "reset_ms", rows[i].reset_ms);
        json_object_array_add(list, o);
    }
    json_out_print(list);
}

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
    (session->json ? print_json : print_table)(rows, n);
    ration_rows_free(rows);
    return EXIT_GRANTED;
}

static const struct option_row options[] = {OPTION_WHO(&args.pool, &args.tenant), {0}};

const struct command command_peek = {
    .name = "peek",
    .summary = "show every limit that a tenant's call to a pool meets",
    .synopsis = "POOL TENANT [options]",
    .about = "Shows every limit that a call of TENANT to POOL meets, and what remains of it. "
             "Changes nothing. A remaining "
             "amount below zero is debt: calls used more than they had estimated.",
    .options = options,
    .arguments = {{&args.pool, "a pool"}, {&args.tenant, "a tenant"}},
    .run = run,
};
