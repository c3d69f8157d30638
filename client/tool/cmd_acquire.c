/*
 * `ration acquire`: asks for one call. stdout gets the id and nothing else, so that a script can
 * keep it; why a call was denied goes to stderr.
 */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/say.h"

#include <stdio.h>
#include <string.h>

static struct {
    const char *pool;
    const char *tenant;
    struct ration_amounts amounts;
    const char *id;
    int64_t priority;
    int64_t ttl_ms;
    int64_t wait_ms;
    bool dry_run;
} args = {.priority = -1};

static int answer(const struct session *session, const struct ration_grant *grant)
{
    if (session->json)
        object_print_grant(grant);
    if (!grant->granted)
        return session->json ? EXIT_DENIED : session_denied(grant);
    if (!session->json)
        puts(args.dry_run ? "would be granted" : grant->id);
    if (grant->mode[0] && strcmp(grant->mode, RATION_MODE_EXACT) != 0)
        say("granted in mode %s: the store did not decide this one", grant->mode);
    return EXIT_GRANTED;
}

static int run(struct session *session)
{
    struct ration_acquire_options options;
    struct ration_grant grant;
    ration_acquire_options_init(&options);
    options.priority = (int32_t)args.priority;
    options.ttl_ms = (uint32_t)args.ttl_ms;
    options.wait_ms = (uint32_t)args.wait_ms;
    options.id = args.id;
    options.dry_run = args.dry_run;
    int err = ration_acquire(session->r, args.pool, args.tenant, &args.amounts, &options, &grant);
    return err < 0 ? session_fail(session, err) : answer(session, &grant);
}

static const struct option_row options[] = {
    WHO_ROWS,
    UNIT_ROWS,
    CONCURRENT_ROW,
    PRIORITY_ROW,
    TTL_ROW("life of the reservation; default: the server's"),
    WHOLE("wait", wait_ms, 0, RATION_MAX_WAIT_MS, "MS", "how long the server may park the request"),
    TEXT("id", id, "ID", "an id of your own; asking again with it is charged once"),
    FLAG("dry-run", dry_run, "only say what the answer would be"),
    {0},
};

const struct command command_acquire = {
    .name = "acquire",
    .summary = "ask for one call: reserve its estimate",
    .synopsis = "POOL TENANT [options]",
    .about = "Asks for one call of TENANT to POOL and reserves the estimate in every limit that it "
             "meets, or nothing at all. Prints the reservation's id; report it when the call is "
             "over.\n\n"
             "  id=$(ration acquire openai/gpt-4o acme --tokens 500) || exit\n\n"
             "Without --tokens and the like it is one request of unknown size.",
    .options = options,
    .arguments = {{&args.pool, "a pool"}, {&args.tenant, "a tenant"}},
    .run = run,
};
