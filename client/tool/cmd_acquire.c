/*
 * `ration acquire`: asks for one call. stdout gets the id and nothing else, so that a script can keep it; why a call was
 * denied goes to stderr.
 */
#include "tool/json_out.h"
#include "tool/options.h"

#include <stdio.h>
#include <string.h>

static const char about[] =
    "Asks for one call of TENANT to POOL and reserves the estimate in every limit that it meets, "
    "or\n"
    "nothing at all. Prints the reservation's id; report it when the call is over.\n\n"
    "  id=$(ration acquire openai/gpt-4o acme --tokens 500) || exit\n\n"
    "Without --tokens and the like it is one request of unknown size.";

struct acquire {
    const char *pool;
    const char *tenant;
    struct ration_amounts estimate;
    const char *id;
    int64_t priority;
    int64_t ttl_ms;
    int64_t wait_ms;
    bool dry_run;
};

static int answer(const struct session *session, const struct acquire *a,
                  const struct ration_grant *grant)
{
    if (session->json)
        json_out_grant(grant);
    if (!grant->granted)
        return session->json ? EXIT_DENIED : session_denied(grant);
    if (!session->json)
        puts(a->dry_run ? "would be granted" : grant->id);
    if (grant->mode[0] && strcmp(grant->mode, RATION_MODE_EXACT) != 0)
        fprintf(stderr, "ration: granted in mode %s: the store did not decide this one\n",
                grant->mode);
    return EXIT_GRANTED;
}

static int run(struct session *session, const struct acquire *a)
{
    struct ration_acquire_options options;
    struct ration_grant grant;
    ration *r = NULL;
    ration_acquire_options_init(&options);
    options.priority = (int32_t)a->priority;
    options.ttl_ms = (uint32_t)a->ttl_ms;
    options.wait_ms = (uint32_t)a->wait_ms;
    options.id = a->id;
    options.dry_run = a->dry_run;
    if (session_open(session, NULL, &r) != EXIT_GRANTED)
        return EXIT_WRONG;
    int err = ration_acquire(r, a->pool, a->tenant, &a->estimate, &options, &grant);
    int code = err < 0 ? session_fail(session, r, err) : answer(session, a, &grant);
    ration_close(r);
    return code;
}

int cmd_acquire(int argc, char **argv, struct session *session)
{
    struct acquire a = {.priority = -1};
    const struct option_row rows[] = {
        {"pool", OPTION_STRING, &a.pool, 0, 0, "POOL", "the pool, as openai/gpt-4o"},
        {"tenant", OPTION_STRING, &a.tenant, 0, 0, "TENANT", "who is asking"},
        OPTION_UNITS(&a.estimate),
        {"concurrent", OPTION_AMOUNT, &a.estimate.concurrent, 0, 0, "N",
         "calls in flight, where it is not one"},
        {"priority", OPTION_INTEGER, &a.priority, 0, RATION_PRIORITIES - 1, "0-2",
         "0 real time, 1 standard, 2 background; default: the tier's"},
        {"ttl", OPTION_INTEGER, &a.ttl_ms, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, "MS",
         "life of the reservation; default: the server's"},
        {"wait", OPTION_INTEGER, &a.wait_ms, 0, RATION_MAX_WAIT_MS, "MS",
         "how long the server may park the request"},
        {"id", OPTION_STRING, &a.id, 0, 0, "ID",
         "an id of your own; asking again with it is charged once"},
        {"dry-run", OPTION_FLAG, &a.dry_run, 0, 0, NULL, "only say what the answer would be"},
    };
    const struct command_line line = {.name = "acquire",
                                      .synopsis = "POOL TENANT [options]",
                                      .about = about,
                                      .rows = rows,
                                      .n = sizeof(rows) / sizeof(rows[0]),
                                      .max_others = 2};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    if (!a.pool && at < argc)
        a.pool = argv[at++];
    if (!a.tenant && at < argc)
        a.tenant = argv[at++];
    if (at < argc) {
        fprintf(stderr, "ration: '%s' is one argument too many\n", argv[at]);
        return EXIT_WRONG;
    }
    if (!session_wants("acquire", "a pool", a.pool) ||
        !session_wants("acquire", "a tenant", a.tenant))
        return EXIT_WRONG;
    return run(session, &a);
}
