/* `ration audit`: the ledger of the pools, and whether it balances. */
#include "tool/json_out.h"
#include "tool/options.h"
#include "tool/table.h"

#include <stdio.h>

static bool all_balanced(const struct ration_audit_row *rows, size_t n)
{
    bool balanced = true;
    for (size_t i = 0; i < n; i++)
        balanced &= rows[i].balanced == 1;
    return balanced;
}

static void print_table(const struct ration_audit_row *rows, size_t n)
{
    static const char *const heads[] = {"pool",         "unit",     ">granted",   ">reported",
                                        ">outstanding", ">expired", ">cancelled", ">used",
                                        ">scanned",     "",         NULL};
    struct table *table = table_new(heads);
    for (size_t i = 0; i < n; i++) {
        const struct ration_audit_row *row = &rows[i];
        table_text(table, row->pool);
        table_text(table, row->unit);
        table_count(table, row->granted);
        table_count(table, row->reported);
        table_count(table, row->outstanding);
        table_count(table, row->expired);
        table_count(table, row->cancelled);
        table_count(table, row->used);
        if (row->scanned < 0)
            table_text(table, "moved");
        else
            table_count(table, row->scanned);
        table_text(table, row->balanced == 1 ? "balanced" : "NOT BALANCED");
    }
    table_print(table, stdout, "");
    table_free(table);
    if (n == 0)
        puts("balanced: nothing has been granted yet");
    else if (all_balanced(rows, n))
        puts("\nbalanced: all that was granted is reported, outstanding, expired or cancelled");
    else
        puts("\nNOT balanced: what was granted is not the sum of reported, outstanding, expired "
             "and cancelled,\n"
             "or the reservations that are there do not add up to outstanding");
}

static void print_json(const struct ration_audit_row *rows, size_t n)
{
    json_object *o = json_object_new_object();
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        json_object *row = json_object_new_object();
        json_put_string(row, "pool", rows[i].pool);
        json_put_string(row, "unit", rows[i].unit);
        json_put_integer(row, "granted", rows[i].granted);
        json_put_integer(row, "reported", rows[i].reported);
        json_put_integer(row, "outstanding", rows[i].outstanding);
        json_put_integer(row, "expired", rows[i].expired);
        json_put_integer(row, "cancelled", rows[i].cancelled);
        json_put_integer(row, "used", rows[i].used);
        json_put_integer(row, "scanned", rows[i].scanned);
        json_put_bool(row, "balanced", rows[i].balanced == 1);
        json_object_array_add(list, row);
    }
    json_put_bool(o, "balanced", all_balanced(rows, n));
    json_object_object_add(o, "rows", list);
    json_out_print(o);
}

static const char *pool;

static int run(struct session *session)
{
    struct ration_audit_row *rows = NULL;
    size_t n = 0;
    int err = ration_audit(session->r, pool, &rows, &n);
    if (err < 0)
        return session_fail(session, err);
    (session->json ? print_json : print_table)(rows, n);
    int code = all_balanced(rows, n) ? EXIT_GRANTED : EXIT_DENIED;
    ration_audit_free(rows);
    return code;
}

const struct command command_audit = {
    .name = "audit",
    .summary = "check that granted = reported + outstanding + expired + cancelled",
    .synopsis = "[POOL] [options]",
    .about = "Shows the ledger of one pool, or of all: for each unit what was granted as "
             "estimates, and what became of "
             "it. 'used' is what the reports said was really used; 'scanned' is outstanding, "
             "counted once more from the "
             "reservations themselves.",
    .exits = "0 balanced, 1 not balanced, 2 an error",
    .arguments = {{&pool, NULL}},
    .run = run,
};
