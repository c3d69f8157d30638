/*
 * `ration ping`: whether a server answers, for health checks. The library has no call that does nothing, so this looks at
 * a pool and a tenant of which it does not matter whether they exist: any answer of a rationd to PEEK is one.
 */
#include "tool/json_out.h"
#include "tool/options.h"

#include <stdio.h>

#define PING_TIMEOUT_MS 1000

/* Errors that only a rationd that works can have given. UNAVAILABLE and BUSY are not among them. */
static bool is_answer(int err)
{
    return err == RATION_OK || err == RATION_ENOPOOL || err == RATION_ENOTENANT ||
           err == RATION_ENOPERM;
}

int cmd_ping(int argc, char **argv, struct session *session)
{
    int64_t timeout_ms = PING_TIMEOUT_MS;
    const struct option_row options[] = {
        {"timeout", OPTION_INTEGER, &timeout_ms, 1, 600000, "MS", "deadline; default 1000"},
    };
    const struct command_line line = {
        .name = "ping",
        .synopsis = "[options]",
        .about = "Exits 0 when one of the servers answers, else 2: for health checks.",
        .exits = "0 a server answers, 2 none does",
        .rows = options,
        .n = sizeof(options) / sizeof(options[0])};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    session->timeout_ms = timeout_ms;
    ration *r = NULL;
    if (session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    int err = ration_peek(r, "ping", "ping", &rows, &n);
    int code = is_answer(err) ? EXIT_GRANTED : session_fail(session, r, err);
    if (code == EXIT_GRANTED && session->json)
        json_out_settled("ok");
    else if (code == EXIT_GRANTED)
        puts("ok");
    ration_rows_free(rows);
    ration_close(r);
    return code;
}
