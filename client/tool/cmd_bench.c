/* `ration bench`: the options, and the check that a server answers before load is put on it. */
#include "tool/bench/bench.h"
#include "tool/bench/wire.h"
#include "tool/options.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] =
    "Puts load on a server and measures its decisions: a table of latencies and of what was "
    "granted "
    "and denied.\n"
    "Every decision is a real one: it is charged to the tenant and the pool it names.\n\n"
    "Without --rate (closed loop) each connection asks again when it has its answer, which finds "
    "the "
    "highest rate.\n"
    "With --rate (open loop) requests are due by a schedule, and latency counts from when each was "
    "due. Coordinated\n"
    "omission, which this avoids: a generator that waits for a stalled server sends nothing "
    "meanwhile, and so\n"
    "records one slow request where all that should have been sent would have been slow.\n\n"
    "Connections are spread over the addresses of --server. Tenants are t0000000, t0000001, ...; "
    "with --zipf the\n"
    "first ask most. --timeout is how long answers are waited for after the end. Ctrl-C stops "
    "early "
    "and still prints.";

static bool check(const struct bench_options *o)
{
    if (o->connections * o->pipeline > BENCH_MAX_IN_FLIGHT) {
        fprintf(stderr, "ration: --connections times --pipeline may be at most %d\n",
                BENCH_MAX_IN_FLIGHT);
        return false;
    }
    if (o->poisson && o->rate <= 0) {
        fprintf(stderr, "ration: --poisson needs --rate, the mean of its arrivals a second\n");
        return false;
    }
    if (o->requests == 0 && o->duration_s <= 0) {
        fprintf(stderr, "ration: --duration must be above 0, or --requests be given\n");
        return false;
    }
    return true;
}

/* A wrong pool, tenant or credential would make every request an error: better said once, and before. */
static bool server_answers(const struct bench_options *o)
{
    ration *r = NULL;
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    char name[16];
    const char *tenant = o->tenant;
    if (o->tenants > 1) {
        bench_tenant_name(0, name, sizeof(name));
        tenant = name;
    }
    if (session_open(o->session, NULL, &r) != EXIT_GRANTED)
        return false;
    int err = ration_peek(r, o->pool, tenant, &rows, &n);
    if (err < 0)
        session_fail(o->session, r, err);
    ration_rows_free(rows);
    ration_close(r);
    return err == RATION_OK;
}

static int run(const struct bench_options *options)
{
    struct bench_result *result = calloc(1, sizeof(*result));
    int code = EXIT_WRONG;
    if (!result)
        fprintf(stderr, "ration: out of memory\n");
    else if (bench_run(options, result) && bench_report(options, result) &&
             result->measured.errors + result->unmeasured.errors + result->lost == 0)
        code = EXIT_GRANTED;
    free(result);
    return code;
}

int cmd_bench(int argc, char **argv, struct session *session)
{
    struct bench_options o = {.session = session,
                              .pool = "openai/gpt-4o",
                              .tenant = "acme",
                              .tenants = 1,
                              .seed = 1,
                              .tokens = 500,
                              .used = -1,
                              .connections = 50,
                              .pipeline = 1,
                              .duration_s = 10,
                              .warmup_s = 1};
    const struct option_row rows[] = {
        {"pool", OPTION_STRING, &o.pool, 0, 0, "POOL", "default openai/gpt-4o"},
        {"tenant", OPTION_STRING, &o.tenant, 0, 0, "NAME", "the only tenant; default acme"},
        {"tenants", OPTION_INTEGER, &o.tenants, 1, BENCH_MAX_TENANTS, "N",
         "more than one: so many, t0000000 and so on"},
        {"zipf", OPTION_DECIMAL, &o.zipf, 0, 10, "S",
         "the k-th asks 1/k^S as often as the first; default 0: all alike"},
        {"seed", OPTION_INTEGER, &o.seed, 0, INT64_MAX, "N", "of chance; default 1"},
        {"tokens", OPTION_INTEGER, &o.tokens, 0, RATION_MAX_COST, "N",
         "estimate of a call; default 500"},
        {"pairs", OPTION_FLAG, &o.pairs, 0, 0, NULL,
         "report after each grant; latency is that of both"},
        {"used", OPTION_INTEGER, &o.used, 0, RATION_MAX_COST, "N",
         "tokens that are reported; default 80 % of --tokens"},
        {"ttl", OPTION_INTEGER, &o.ttl_ms, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, "MS",
         "life of a reservation; default: the server's"},
        {"connections", OPTION_INTEGER, &o.connections, 1, BENCH_MAX_CONNECTIONS, "N",
         "default 50"},
        {"pipeline", OPTION_INTEGER, &o.pipeline, 1, RATION_MAX_PIPELINE, "N",
         "requests in flight on each; default 1"},
        {"idle", OPTION_INTEGER, &o.idle, 0, BENCH_MAX_CONNECTIONS, "N",
         "further connections that are open and do nothing"},
        {"reserve", OPTION_INTEGER, &o.reserve, 0, INT64_C(100000000), "N",
         "reservations to make before, left outstanding"},
        {"warmup", OPTION_DECIMAL, &o.warmup_s, 0, 3600, "SECONDS",
         "load before measuring; default 1"},
        {"duration", OPTION_DECIMAL, &o.duration_s, 0, 86400, "SECONDS",
         "of measuring; default 10"},
        {"requests", OPTION_INTEGER, &o.requests, 1, INT64_MAX, "N",
         "measure so many requests, however long they take"},
        {"rate", OPTION_DECIMAL, &o.rate, 0, 10000000, "R",
         "open loop: so many requests are due a second"},
        {"poisson", OPTION_FLAG, &o.poisson, 0, 0, NULL,
         "they are due at random, not at equal distances"},
        {"json", OPTION_STRING, &o.json_file, 0, 0, "FILE", "also write the result as JSON"},
        {"quiet", OPTION_FLAG, &o.quiet, 0, 0, NULL, "no progress line"},
    };
    const struct command_line line = {.name = "bench",
                                      .synopsis = "[options]",
                                      .about = about,
                                      .exits = "0 well (denials are), 2 an error",
                                      .rows = rows,
                                      .n = sizeof(rows) / sizeof(rows[0])};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    if (o.used < 0)
        o.used = o.tokens * 8 / 10;
    if (!check(&o) || !server_answers(&o))
        return EXIT_WRONG;
    return run(&o);
}
