/*
 * What Redis clients send to check that the server is there, and to introduce themselves:
 *
 * PING [message]   ECHO message   SELECT 0   QUIT
 * CLIENT ID | GETNAME | SETNAME name | SETINFO LIB-NAME|LIB-VER value
 */
#include "command/arguments.h"
#include "command/command.h"
#include "net/conn.h"

void cmd_ping(struct request *r, const struct arg *args, size_t n)
{
    if (n == 2)
        resp_bulk(request_out(r), args[1].p, args[1].n);
    else
        resp_simple(request_out(r), "PONG");
}

void cmd_echo(struct request *r, const struct arg *args, size_t n)
{
    (void)n;
    resp_bulk(request_out(r), args[1].p, args[1].n);
}

void cmd_select(struct request *r, const struct arg *args, size_t n)
{
    int64_t db;
    (void)n;
    if (argument_number(&args[1], 0, 0, &db))
        resp_simple(request_out(r), "OK");
    else
        request_error(r, RATION_ERR_MALFORMED,
                      "DB index is out of range; there is only database 0");
}

void cmd_quit(struct request *r, const struct arg *args, size_t n)
{
    (void)args;
    (void)n;
    resp_simple(request_out(r), "OK");
    conn_finish(r->conn, "quit");
}

static void set_name(struct request *r, const struct arg *name)
{
    if (conn_set_name(r->conn, name->p, name->n))
        resp_simple(request_out(r), "OK");
    else
        command_usage(r, "a connection's name is printable ASCII without spaces, at most %d bytes",
                      CONN_MAX_NAME_BYTES);
}

void cmd_client(struct request *r, const struct arg *args, size_t n)
{
    const struct arg *what = &args[1];
    if (argument_is(what, "ID") && n == 2) {
        resp_integer(request_out(r), (int64_t)r->conn->id);
    } else if (argument_is(what, "GETNAME") && n == 2) {
        if (r->conn->name != NULL)
            resp_text(request_out(r), r->conn->name);
        else
            resp_null(request_out(r), r->resp);
    } else if (argument_is(what, "SETNAME") && n == 3) {
        set_name(r, &args[2]);
    } else if (argument_is(what, "SETINFO") && n == 4) {
        if (argument_is(&args[2], "LIB-NAME") || argument_is(&args[2], "LIB-VER"))
            resp_simple(request_out(r), "OK");
        else
            command_usage(r, "SETINFO takes LIB-NAME or LIB-VER, and a value");
    } else {
        char shown[RESP_SHOW_BYTES];
        command_usage(r, "'%s' with %zu more argument%s is not one of these",
                      resp_show(shown, what->p, what->n), n - 2, n == 3 ? "" : "s");
    }
}
