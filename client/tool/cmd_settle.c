/* `ration report`, `ration cancel` and `ration renew`: what can be done with a reservation. */
#include "tool/object.h"
#include "tool/options.h"

#include <stdio.h>

static struct {
    const char *id;
    struct ration_amounts amounts; /* used, or to be added */
    int64_t status;
    int64_t retry_after_ms;
    int64_t ttl_ms;
    bool partial;
} args;

static int conclude(const struct session *session, int err, enum ration_settled settled)
{
    if (err < 0)
        return session_fail(session, err);
    if (session->json)
        object_print_settled(settled_word(settled));
    else
        puts(settled_word(settled));
    return EXIT_GRANTED;
}

static int run_report(struct session *session)
{
    const struct ration_report_options options = {.http_status = (int)args.status,
                                                  .retry_after_ms = args.retry_after_ms,
                                                  .partial = args.partial};
    enum ration_settled settled = RATION_SETTLED;
    int err = ration_report(session->r, args.id, &args.amounts, &options, &settled);
    return conclude(session, err, settled);
}

static int run_cancel(struct session *session)
{
    enum ration_settled settled = RATION_SETTLED;
    int err = ration_cancel(session->r, args.id, &settled);
    return conclude(session, err, settled);
}

static int run_renew(struct session *session)
{
    struct ration_grant grant;
    int err = ration_renew(session->r, args.id, (uint32_t)args.ttl_ms, &args.amounts, &grant);
    if (err < 0)
        return session_fail(session, err);
    if (session->json)
        object_print_grant(&grant);
    else if (grant.granted)
        puts("renewed");
    if (grant.granted)
        return EXIT_GRANTED;
    return session->json ? EXIT_DENIED : session_denied(&grant);
}

static const struct option_row report_options[] = {
    UNIT_ROWS,
    WHOLE("status", status, 100, 599, "N", "the provider's HTTP status"),
    WHOLE("retry-after", retry_after_ms, 0, INT64_C(86400000), "MS",
          "how long the provider said to wait"),
    FLAG("partial", partial, "the answer was cut short: charge at least the input estimate"),
    {0},
};

static const struct option_row renew_options[] = {
    TTL_ROW("life from now on; default: the server's"),
    UNIT_ROWS,
    {0},
};

const struct command command_report = {
    .name = "report",
    .summary = "say what a call really used",
    .synopsis = "ID [options]",
    .about = "Says what a call really used. Less than estimated is given back at once, more "
             "becomes debt; a unit that is not named stays as estimated. Prints settled, late (it "
             "had expired, and counts) or duplicate (reported before; nothing was changed).",
    .options = report_options,
    .arguments = {{&args.id, "the reservation's id"}},
    .run = run_report,
};

const struct command command_cancel = {
    .name = "cancel",
    .summary = "give a reservation back: the call was never sent",
    .synopsis = "ID [options]",
    .about = "Gives a whole reservation back: the call was never sent.",
    .arguments = {{&args.id, "the reservation's id"}},
    .run = run_cancel,
};

const struct command command_renew = {
    .name = "renew",
    .summary = "let a reservation live longer, and add to it",
    .synopsis = "ID [options]",
    .about = "Lets a reservation live longer from now on. Units add to its estimate; if that is "
             "denied, the reservation stays as it was and the exit status is 1.",
    .options = renew_options,
    .arguments = {{&args.id, "the reservation's id"}},
    .run = run_renew,
};
