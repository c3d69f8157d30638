/* `ration report`, `ration cancel` and `ration renew`: what can be done with a reservation that is there. */
#include "tool/json_out.h"
#include "tool/options.h"

#include <stdio.h>

static int say_settled(const struct session *session, const ration *r, int err,
                       enum ration_settled settled)
{
    if (err < 0)
        return session_fail(session, r, err);
    if (session->json)
        json_out_settled(settled_word(settled));
    else
        puts(settled_word(settled));
    return EXIT_GRANTED;
}

int cmd_report(int argc, char **argv, struct session *session)
{
    struct ration_amounts used = {0};
    int64_t status = 0;
    int64_t retry_after_ms = 0;
    bool partial = false;
    const struct option_row rows[] = {
        OPTION_UNITS(&used),
        {"status", OPTION_INTEGER, &status, 100, 599, "N", "the provider's HTTP status"},
        {"retry-after", OPTION_INTEGER, &retry_after_ms, 0, INT64_C(86400000), "MS",
         "how long the provider said to wait"},
        {"partial", OPTION_FLAG, &partial, 0, 0, NULL,
         "the answer was cut short: charge at least the input estimate"},
    };
    const struct command_line line = {.name = "report",
                                      .synopsis = "ID [options]",
                                      .about =
                                          "Says what a call really used. Less than estimated is "
                                          "given back at once, more becomes debt;\n"
                                          "a unit that is not named stays as estimated. Prints "
                                          "settled, late (it had expired, and counts)\n"
                                          "or duplicate (reported before; nothing was changed).",
                                      .rows = rows,
                                      .n = sizeof(rows) / sizeof(rows[0]),
                                      .max_others = 1};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    ration *r = NULL;
    if (!session_wants("report", "the reservation's id", at < argc ? argv[at] : NULL) ||
        session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    const struct ration_report_options options = {
        .http_status = (int)status, .retry_after_ms = retry_after_ms, .partial = partial};
    enum ration_settled settled = RATION_SETTLED;
    int err = ration_report(r, argv[at], &used, &options, &settled);
    int code = say_settled(session, r, err, settled);
    ration_close(r);
    return code;
}

int cmd_cancel(int argc, char **argv, struct session *session)
{
    const struct command_line line = {
        .name = "cancel",
        .synopsis = "ID",
        .about = "Gives a reservation back whole: the call was never sent.",
        .max_others = 1};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    ration *r = NULL;
    if (!session_wants("cancel", "the reservation's id", at < argc ? argv[at] : NULL) ||
        session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    enum ration_settled settled = RATION_SETTLED;
    int err = ration_cancel(r, argv[at], &settled);
    int code = say_settled(session, r, err, settled);
    ration_close(r);
    return code;
}

int cmd_renew(int argc, char **argv, struct session *session)
{
    struct ration_amounts more = {0};
    int64_t ttl_ms = 0;
    const struct option_row rows[] = {
        {"ttl", OPTION_INTEGER, &ttl_ms, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, "MS",
         "life from now on; default: the server's"},
        OPTION_UNITS(&more),
    };
    const struct command_line line = {.name = "renew",
                                      .synopsis = "ID [options]",
                                      .about =
                                          "Lets a reservation live longer from now on. Units add "
                                          "to its estimate; when that is denied the\n"
                                          "reservation stays as it was, and the exit status is 1.",
                                      .rows = rows,
                                      .n = sizeof(rows) / sizeof(rows[0]),
                                      .max_others = 1};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    ration *r = NULL;
    if (!session_wants("renew", "the reservation's id", at < argc ? argv[at] : NULL) ||
        session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    struct ration_grant grant;
    int err = ration_renew(r, argv[at], (uint32_t)ttl_ms, &more, &grant);
    int code = EXIT_GRANTED;
    if (err < 0)
        code = session_fail(session, r, err);
    else if (session->json)
        json_out_grant(&grant);
    else if (grant.granted)
        puts("renewed");
    if (err == 0 && !grant.granted)
        code = session->json ? EXIT_DENIED : session_denied(&grant);
    ration_close(r);
    return code;
}
