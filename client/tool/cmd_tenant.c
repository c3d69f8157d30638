/* `ration tenant`: what an operator does for a tenant. */
#include "tool/json_out.h"
#include "tool/options.h"
#include "tool/table.h"

#include <stdio.h>
#include <string.h>

static void print_table(const char *tenant, const struct ration_forgiven_row *rows, size_t n)
{
    static const char *const heads[] = {"scope", "limit on", ">forgiven", NULL};
    struct table *table = table_new(heads);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        table_text(table, rows[i].scope);
        snprintf(text, sizeof(text), "%s%s%s", rows[i].unit, rows[i].per[0] ? " a " : "",
                 rows[i].per);
        table_text(table, text);
        if (strcmp(rows[i].unit, "usd") == 0)
            format_dollars(rows[i].forgiven, text, sizeof(text));
        else
            format_count(rows[i].forgiven, text, sizeof(text));
        table_text(table, text);
    }
    if (n > 0)
        table_print(table, stdout, "");
    else
        printf("%s has no debt\n", tenant);
    table_free(table);
}

static void print_json(const struct ration_forgiven_row *rows, size_t n)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_new_object();
        json_put_string(o, "scope", rows[i].scope);
        json_put_string(o, "unit", rows[i].unit);
        json_put_string(o, "per", rows[i].per);
        json_put_integer(o, "forgiven", rows[i].forgiven);
        json_object_array_add(list, o);
    }
    json_out_print(list);
}

static struct {
    const char *action;
    const char *tenant;
} args;

static int run(struct session *session)
{
    struct ration_forgiven_row *rows = NULL;
    size_t n = 0;
    if (strcmp(args.action, "forgive") != 0) {
        fprintf(stderr, "ration: tenant takes forgive, not '%s'\n", args.action);
        return EXIT_WRONG;
    }
    int err = ration_forgive(session->r, args.tenant, &rows, &n);
    if (err < 0)
        return session_fail(session, err);
    if (session->json)
        print_json(rows, n);
    else
        print_table(args.tenant, rows, n);
    ration_forgiven_free(rows);
    return EXIT_GRANTED;
}

const struct command command_tenant = {
    .name = "tenant",
    .summary = "take away a tenant's debt",
    .synopsis = "forgive TENANT [options]",
    .about = "Takes away a tenant's debt, which comes from calls that used more than they had "
             "estimated, or from a "
             "provider that counted wrongly: each limit of the tenant that is below zero is "
             "brought up to zero, and "
             "nothing more is given. Says how much it was. 'ration peek' shows debt as a remaining "
             "amount below zero.",
    .exits = "0 done, or there was no debt; 2 an error",
    .arguments = {{&args.action, "forgive"}, {&args.tenant, "the name of a tenant"}},
    .run = run,
};
