/* `ration bench`: its options, and the order of things. */
#include "tool/bench/bench.h"
#include "tool/bench/wire.h"
#include "tool/options.h"
#include "tool/say.h"

#include <stdlib.h>

static struct bench_options args = {.pool = "openai/gpt-4o",
                                    .tenant = "acme",
                                    .tenants = 1,
                                    .seed = 1,
                                    .tokens = 500,
                                    .used = -1,
                                    .connections = 50,
                                    .pipeline = 1,
                                    .duration_s = 10,
                                    .warmup_s = 1};

static bool check(void)
{
    if (args.connections * args.pipeline > BENCH_MAX_IN_FLIGHT)
        return say("--connections times --pipeline may be at most %d", BENCH_MAX_IN_FLIGHT);
    if (args.poisson && args.rate <= 0)
        return say("--poisson needs --rate, the mean of its arrivals a second");
    if (args.requests == 0 && args.duration_s <= 0)
        return say("--duration must be above 0, or --requests be given");
    return true;
}

static int run(struct session *session)
{
    char first[16];
    int code = EXIT_WRONG;
    args.session = session;
    if (args.used < 0)
        args.used = args.tokens * 8 / 10;
    bench_tenant_name(0, first, sizeof(first));
    if (!check() || !session_probe(session, args.pool, args.tenants > 1 ? first : args.tenant))
        return EXIT_WRONG;
    session_close(session);
    struct bench_result *result = calloc(1, sizeof(*result));
    if (!result)
        say("out of memory");
    else if (bench_run(&args, result) && bench_report(&args, result) &&
             result->measured.errors + result->unmeasured.errors + result->lost == 0)
        code = EXIT_GRANTED;
    free(result);
    return code;
}

static const struct option_row options[] = {
    TEXT("pool", pool, "POOL", "default openai/gpt-4o"),
    TEXT("tenant", tenant, "NAME", "the only tenant; default acme"),
    WHOLE("tenants", tenants, 1, BENCH_MAX_TENANTS, "N",
          "if more than one: this many, t0000000 and so on"),
    DECIMAL("zipf", zipf, 0, 10, "S",
            "the k-th asks 1/k^S as often as the first; default 0: all alike"),
    WHOLE("seed", seed, 0, INT64_MAX, "N", "of the random numbers; default 1"),
    WHOLE("tokens", tokens, 0, RATION_MAX_COST, "N", "estimate of a call; default 500"),
    FLAG("pairs", pairs, "report after each grant; latency is that of both"),
    WHOLE("used", used, 0, RATION_MAX_COST, "N",
          "tokens that are reported; default 80 % of --tokens"),
    TTL_ROW("life of a reservation; default: the server's"),
    WHOLE("connections", connections, 1, BENCH_MAX_CONNECTIONS, "N", "default 50"),
    WHOLE("pipeline", pipeline, 1, RATION_MAX_PIPELINE, "N",
          "requests in flight on each; default 1"),
    WHOLE("idle", idle, 0, BENCH_MAX_CONNECTIONS, "N",
          "further connections that are open and do nothing"),
    WHOLE("reserve", reserve, 0, INT64_C(100000000), "N",
          "reservations to make first and leave outstanding"),
    DECIMAL("warmup", warmup_s, 0, 3600, "SECONDS", "load before measuring; default 1"),
    DECIMAL("duration", duration_s, 0, 86400, "SECONDS", "of measuring; default 10"),
    WHOLE("requests", requests, 1, INT64_MAX, "N",
          "measure this many requests, however long they take"),
    DECIMAL("rate", rate, 0, 10000000, "R", "open loop: this many requests are due a second"),
    FLAG("poisson", poisson, "they are due at random, not at equal distances"),
    TEXT("json", json_file, "FILE", "also write the result as JSON"),
    FLAG("quiet", quiet, "no progress line"),
    {0},
};

const struct command command_bench = {
    .name = "bench",
    .summary = "put load on a server and measure its decisions and latency",
    .synopsis = "[options]",
    .about =
        "Puts load on a server and measures its decisions: a table of latencies and of what was "
        "granted and denied. Every decision is a real one: it is charged to the tenant and the "
        "pool it names. Grants are not reported unless --pairs is given, so the server denies a "
        "tenant that has max_outstanding of them.\n\n"
        "Without --rate (closed loop) each connection asks again when it has its answer, which "
        "finds the highest rate. With --rate (open loop) requests are due by a schedule, and "
        "latency counts from when each was due. This avoids coordinated omission: a generator that "
        "waits for a stalled server sends nothing meanwhile, and so records one slow request "
        "although all that should have been sent would have been slow.\n\n"
        "Connections are spread over the addresses of --server. Tenants are t0000000, t0000001, "
        "...; with --zipf the first ask most. --timeout is how long answers are waited for after "
        "the end. Ctrl-C stops early and still prints.",
    .exits = "0 no errors (denials are none), 2 an error",
    .options = options,
    .run = run,
};
