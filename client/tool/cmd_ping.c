/*
 * `ration ping`: whether a server answers, for health checks. The library has no call that does
 * nothing, so this looks at a pool and a tenant that need not exist: a rationd answers PEEK in any
 * case.
 */
#include "tool/object.h"
#include "tool/options.h"

#include <stdio.h>

/* Errors that only a working rationd can have given. UNAVAILABLE and BUSY are not among them. */
static bool is_answer(int err)
{
    return err == RATION_OK || err == RATION_ENOPOOL || err == RATION_ENOTENANT ||
           err == RATION_ENOPERM;
}

static int run(struct session *session)
{
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    int err = ration_peek(session->r, "ping", "ping", &rows, &n);
    ration_rows_free(rows);
    if (!is_answer(err))
        return session_fail(session, err);
    if (session->json)
        object_print_settled("ok");
    else
        puts("ok");
    return EXIT_GRANTED;
}

const struct command command_ping = {
    .name = "ping",
    .summary = "see whether a server answers",
    .synopsis = "[options]",
    .about = "Asks the servers for a sign of life, for health checks.",
    .exits = "0 a server answers, 2 none does",
    .timeout_ms = 1000,
    .run = run,
};
