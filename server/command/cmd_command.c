/*
 * COMMAND [COUNT | LIST | INFO [name]... | DOCS [name]...]
 *
 * In the format that Redis uses for its own commands, so that redis-cli completes and explains
 * them.
 */
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "version.h"

static void write_name(struct buf *out, const struct command *command)
{
    char lower[32];
    size_t n = strlen(command->name);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(command->name[i] | 0x20);
    resp_bulk(out, lower, n);
}

/* Arity as Redis counts it: including the name, negative for "at least". */
static int64_t arity(const struct command *command)
{
    int64_t least = (int64_t)command->min_args + 1;
    return command->min_args == command->max_args ? least : -least;
}

static void write_flags(struct buf *out, const struct command *command)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{COMMAND_WRITES, "write"}, {COMMAND_OPERATOR, "admin"}, {COMMAND_OPEN, "no_auth"}};
    size_t n = 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        n += (command->flags & names[i].flag) != 0;
    resp_array(out, n);
    resp_simple(out, "fast");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (command->flags & names[i].flag)
            resp_simple(out, names[i].name);
}

static void write_info(struct buf *out, const struct command *command)
{
    resp_array(out, 6);
    write_name(out, command);
    resp_integer(out, arity(command));
    write_flags(out, command);
    for (int i = 0; i < 3; i++) /* first, last and step of its keys: it has none */
        resp_integer(out, 0);
}

static void write_docs(struct buf *out, int resp, const struct command *command)
{
    const char *params = strchr(command->usage, ' ');
    write_name(out, command);
    resp_map(out, resp, params != NULL ? 4 : 3);
    resp_text(out, "summary");
    resp_text(out, command->summary);
    resp_text(out, "since");
    resp_text(out, RATION_VERSION);
    resp_text(out, "group");
    resp_text(out, command->flags & COMMAND_STORE ? "ration" : "connection");
    if (params == NULL)
        return;
    /* A single argument with the whole syntax in its name: units and options do not fit the
     * format. */
    resp_text(out, "arguments");
    resp_array(out, 1);
    resp_map(out, resp, 2);
    resp_text(out, "name");
    resp_text(out, params + 1);
    resp_text(out, "type");
    resp_text(out, "string");
}

static void write_all_info(struct buf *out)
{
    resp_array(out, command_count());
    for (size_t i = 0; i < command_count(); i++)
        write_info(out, command_at(i));
}

static void write_some_info(struct request *r, const struct arg *names, size_t n)
{
    struct buf *out = request_out(r);
    resp_array(out, n);
    for (size_t i = 0; i < n; i++) {
        const struct command *command = command_find(&names[i]);
        if (command != NULL)
            write_info(out, command);
        else
            resp_null(out, r->resp);
    }
}

static void write_list(struct buf *out)
{
    resp_array(out, command_count());
    for (size_t i = 0; i < command_count(); i++)
        write_name(out, command_at(i));
}

static void write_some_docs(struct request *r, const struct arg *names, size_t n)
{
    struct buf *out = request_out(r);
    size_t known = 0;
    for (size_t i = 0; i < n; i++)
        known += command_find(&names[i]) != NULL;
    resp_map(out, r->resp, n == 0 ? command_count() : known);
    for (size_t i = 0; i < (n == 0 ? command_count() : n); i++) {
        const struct command *command = n == 0 ? command_at(i) : command_find(&names[i]);
        if (command != NULL)
            write_docs(out, r->resp, command);
    }
}

void cmd_command(struct request *r, const struct arg *args, size_t n)
{
    const struct arg *what = n > 1 ? &args[1] : NULL;
    if (what == NULL || (argument_is(what, "INFO") && n == 2))
        write_all_info(request_out(r));
    else if (argument_is(what, "INFO"))
        write_some_info(r, args + 2, n - 2);
    else if (argument_is(what, "COUNT") && n == 2)
        resp_integer(request_out(r), (int64_t)command_count());
    else if (argument_is(what, "LIST") && n == 2)
        write_list(request_out(r));
    else if (argument_is(what, "DOCS"))
        write_some_docs(r, args + 2, n - 2);
    else
        command_usage(r, "COMMAND alone describes all commands");
}
