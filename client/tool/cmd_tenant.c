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

int cmd_tenant(int argc, char **argv, struct session *session)
{
    const struct command_line line = {
        .name = "tenant",
        .synopsis = "forgive TENANT [options]",
        .about = "Takes away a tenant's debt, which comes from calls that used more than they had "
                 "estimated, or from a\n"
                 "provider that counted wrongly: each limit of the tenant that is below zero is "
                 "brought up to zero, and\n"
                 "nothing more is given. Says how much it was. 'ration peek' shows debt as what "
                 "remains below zero.",
        .exits = "0 done, or there was no debt; 2 an error",
        .max_others = 2};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    if (argc - at < 2 || strcmp(argv[at], "forgive") != 0) {
        fprintf(stderr, "ration tenant: say forgive and the name of a tenant; 'ration tenant "
                        "--help' says more\n");
        return EXIT_WRONG;
    }
    const char *tenant = argv[at + 1];
    ration *r = NULL;
    if (session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    struct ration_forgiven_row *rows = NULL;
    size_t n = 0;
    int err = ration_forgive(r, tenant, &rows, &n);
    int code = EXIT_GRANTED;
    if (err < 0)
        code = session_fail(session, r, err);
    else if (session->json)
        print_json(rows, n);
    else
        print_table(tenant, rows, n);
    ration_forgiven_free(rows);
    ration_close(r);
    return code;
}
