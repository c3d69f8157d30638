/* `ration audit`: the books of the pools, and whether they balance. */
#include "tool/json_out.h"
#include "tool/options.h"
#include "tool/table.h"

#include <stdio.h>
#include <unistd.h>

#define LOG_EVERY 10 /* signs of life, which come twice a second */

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

/* One line on stderr, anew for each sign of life; not for a log, unless the audit takes long. */
static void show_progress(void *arg, int percent)
{
    int *times = arg;
    ++*times;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[Kaudited %d %%", percent);
    else if (*times % LOG_EVERY == 0)
        fprintf(stderr, "audited %d %%\n", percent);
}

static void end_progress(int times)
{
    if (times > 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

int cmd_audit(int argc, char **argv, struct tool *tool)
{
    const struct command_line line = {
        .name = "audit",
        .synopsis = "[POOL] [options]",
        .about = "Shows the books of one pool, or of all: for each unit what was granted as "
                 "estimates, and what\n"
                 "became of it; 'used' is what the reports said was really used, 'scanned' is "
                 "outstanding, counted\n"
                 "once more from the reservations themselves.",
        .exits = "0 balanced, 1 not balanced, 2 an error",
        .max_others = 1};
    int at = options_parse(&line, tool, argc, argv);
    if (at < 0)
        return options_exit(at);
    ration *r = NULL;
    if (tool_open(tool, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    struct ration_audit_row *rows = NULL;
    size_t n = 0;
    int times = 0;
    int err = ration_audit_watch(r, at < argc ? argv[at] : NULL, show_progress, &times, &rows, &n);
    end_progress(times);
    int code = EXIT_WRONG;
    if (err < 0)
        tool_fail(tool, r, err);
    else if (tool->json)
        print_json(rows, n);
    else
        print_table(rows, n);
    if (err == 0)
        code = all_balanced(rows, n) ? EXIT_GRANTED : EXIT_DENIED;
    ration_audit_free(rows);
    ration_close(r);
    return code;
}
