/* `ration audit`: the ledger of the pools, and whether it balances. */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/rows.h"

#include <stdio.h>
#include <unistd.h>

#define LOG_EVERY 10 /* signs of life, which come twice a second */

#define ROW(member) offsetof(struct ration_audit_row, member)

static struct shown show_scanned(const void *row)
{
    const struct ration_audit_row *ledger = row;
    const struct shown moved = {"moved"};
    return ledger->scanned < 0 ? moved : as_count(ledger->scanned);
}

static struct shown show_balanced(const void *row)
{
    const struct ration_audit_row *ledger = row;
    const struct shown yes = {"balanced"};
    const struct shown no = {"NOT BALANCED"};
    return ledger->balanced == 1 ? yes : no;
}

static const struct column columns[] = {
    {"pool", "pool", COLUMN_TEXT, ROW(pool), 0, NULL},
    {"unit", "unit", COLUMN_TEXT, ROW(unit), 0, NULL},
    {">granted", "granted", COLUMN_COUNT, ROW(granted), 0, NULL},
    {">reported", "reported", COLUMN_COUNT, ROW(reported), 0, NULL},
    {">outstanding", "outstanding", COLUMN_COUNT, ROW(outstanding), 0, NULL},
    {">expired", "expired", COLUMN_COUNT, ROW(expired), 0, NULL},
    {">cancelled", "cancelled", COLUMN_COUNT, ROW(cancelled), 0, NULL},
    {">used", "used", COLUMN_COUNT, ROW(used), 0, NULL},
    {">scanned", "scanned", COLUMN_COUNT, ROW(scanned), 0, show_scanned},
    {"", "balanced", COLUMN_YES, ROW(balanced), 0, show_balanced},
    {0},
};

static bool all_balanced(const struct ration_audit_row *rows, size_t n)
{
    bool balanced = true;
    for (size_t i = 0; i < n; i++)
        balanced &= rows[i].balanced == 1;
    return balanced;
}

static void print_json(const struct ration_audit_row *rows, size_t n)
{
    json_object *o = json_object_new_object();
    object_put_bool(o, "balanced", all_balanced(rows, n));
    json_object_object_add(o, "rows", rows_json(columns, rows, n, sizeof(*rows)));
    object_print(o);
}

static void print_text(const struct ration_audit_row *rows, size_t n)
{
    rows_print(columns, rows, n, sizeof(*rows), "");
    if (n == 0)
        puts("balanced: nothing has been granted yet");
    else if (all_balanced(rows, n))
        puts("\nbalanced: all that was granted is reported, outstanding, expired or cancelled");
    else
        puts("\nNOT balanced: what was granted is not the sum of reported, outstanding, expired "
             "and\n"
             "cancelled, or the reservations themselves do not add up to outstanding");
}

static const char *pool;

/* One line on stderr, anew for each sign of life; not for a log, unless the audit takes long. */
static void show_progress(void *arg, int percent)
{
    int *times = arg;
    ++*times;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[Kaudited %d %%", percent);
    else if (percent < 100 && *times % LOG_EVERY == 0)
        fprintf(stderr, "audited %d %%\n", percent);
}

static void end_progress(int times)
{
    if (times > 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int run(struct session *session)
{
    struct ration_audit_row *rows = NULL;
    size_t n = 0;
    int times = 0;
    int err = ration_audit_watch(session->r, pool, show_progress, &times, &rows, &n);
    end_progress(times);
    if (err < 0)
        return session_fail(session, err);
    (session->json ? print_json : print_text)(rows, n);
    int code = all_balanced(rows, n) ? EXIT_GRANTED : EXIT_DENIED;
    ration_audit_free(rows);
    return code;
}

const struct command command_audit = {
    .name = "audit",
    .summary = "check that granted = reported + outstanding + expired + cancelled",
    .synopsis = "[POOL] [options]",
    .about = "Shows the ledger of one pool, or of all: for each unit what was granted as "
             "estimates, and what became of it. 'used' is what the reports said was really used; "
             "'scanned' is outstanding, counted once more from the reservations themselves.",
    .exits = "0 balanced, 1 not balanced, 2 an error",
    .arguments = {{&pool, NULL}},
    .run = run,
};
