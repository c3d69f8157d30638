/*
 * `ration batch`: requests from a file, their results into another.
 *
 * Nothing is sent before all of this is well: the options, the provider's profile, every line of the input, the journal and
 * its folder, and a server that answers for that pool and tenant.
 */
#include "tool/batch/batch.h"

#include "tool/batch/input.h"
#include "tool/batch/journal.h"
#include "tool/batch/run.h"
#include "tool/extra.h"
#include "tool/options.h"

#include "call/retry.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_STOPPED 3

/* ---- Before anything is sent ---- */

static bool check_options(const struct batch_options *o)
{
    if (!session_wants("batch", "--output", o->output_file) ||
        !session_wants("batch", "--pool", o->pool) ||
        !session_wants("batch", "--tenant", o->tenant))
        return false;
    if (strcmp(o->output_file, "-") == 0) {
        fprintf(stderr,
                "ration: --output takes a file: what is done is kept beside it, so that the "
                "batch can be resumed\n");
        return false;
    }
    return true;
}

/* What the provider wants of every request: the user's headers and parameters, and a key. A missing key is said here, and
 * not by the provider when something has been asked for. */
static bool find_credentials(struct batch_options *o, const struct profile *profile,
                             struct profile_key *key)
{
    char why[PROFILE_WHY_BYTES] = "";
    bool failed = false;
    const char *stated = o->key_variable ? extra_key(o->key_variable) : NULL;
    if (o->key_variable && !stated)
        return false;
    if (profile_check_headers(o->headers.at, o->headers.n, why) < 0) {
        fprintf(stderr, "ration: --header: %s\n", why);
        return false;
    }
    o->query = extra_query(&o->parameters, &failed);
    struct profile_caller caller = {.key = stated,
                                    .key_name = o->key_variable,
                                    .base = o->url,
                                    .query = o->query,
                                    .headers = o->headers.at,
                                    .n_headers = o->headers.n};
    if (!failed && profile_find_key(profile, &caller, key, why) == 0)
        return true;
    if (!failed)
        fprintf(stderr, "ration: %s\n", why);
    return false;
}

static bool find_profile(const struct batch_options *o, struct profiles **profiles,
                         const struct profile **profile)
{
    char why[PROFILE_WHY_BYTES] = "";
    const char *file = o->profiles_file ? o->profiles_file : getenv("RATION_PROFILES");
    int err = profiles_open(file && file[0] ? file : NULL, profiles, why);
    if (err < 0) {
        fprintf(stderr, "ration: %s\n", why[0] ? why : ration_strerror(err));
        return false;
    }
    *profile = profiles_find(*profiles, o->provider);
    if (!*profile)
        fprintf(stderr, "ration: there is no provider profile '%s'; there are: %s\n", o->provider,
                profiles_names(*profiles));
    return *profile != NULL;
}

static bool make_retry(const struct batch_options *o, struct ration_retry *retry)
{
    ration_retry_init(retry);
    retry->tries = (uint32_t)o->tries;
    retry->min_ms = (uint32_t)o->retry_min_ms;
    retry->max_ms = (uint32_t)o->retry_max_ms;
    if (o->retry_max_ms < (int64_t)retry->timed_out_ms)
        retry->timed_out_ms = retry->max_ms;
    if (o->retry_max_ms < (int64_t)retry->unreached_ms)
        retry->unreached_ms = retry->max_ms;
    const char *wrong = retry_check(retry);
    if (wrong)
        fprintf(stderr, "ration: --retry-min, --retry-max: %s\n", wrong);
    return wrong == NULL;
}

/* A server that does not answer now, or does not know the pool, is better found before anything is begun. */
static bool server_answers(const struct batch_options *o, ration **r)
{
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    if (session_open(o->session, NULL, r) != EXIT_GRANTED)
        return false;
    int err = ration_peek(*r, o->pool, o->tenant, &rows, &n);
    if (err < 0)
        session_fail(o->session, *r, err);
    ration_rows_free(rows);
    if (err < 0) {
        ration_close(*r);
        *r = NULL;
    }
    return err == RATION_OK;
}

/* ---- The end ---- */

static const char *stop_word(enum batch_stop stop)
{
    static const char *const words[] = {
        [BATCH_GOING] = "",
        [BATCH_SIGNAL] = "signal",
        [BATCH_NO_QUOTA] = "exhausted",
        [BATCH_UNAUTHORIZED] = "unauthorized",
        [BATCH_SERVER] = "server",
        [BATCH_TROUBLE] = "trouble",
    };
    return words[stop];
}

/* Makes the output where all is done; says how to go on where it is not. */
static int conclude(struct batch_run *run, struct batch_journal *journal)
{
    bool all = journal->done == journal->n;
    bool rendered = all && batch_journal_render(journal);
    size_t failed = journal->done - journal->of_class[BATCH_ANSWERED];
    int64_t now_ms = batch_now_ms();
    batch_progress_close(&run->progress);
    batch_summary(&run->progress, stop_word(run->stop), now_ms);
    fflush(stdout);
    if (!all)
        fprintf(stderr,
                "ration: %zu of %zu are done and kept in %s; the same command goes on from there\n",
                journal->done, journal->n, journal->path);
    else if (!rendered)
        fprintf(stderr, "ration: all are done and kept in %s; the same command writes the output\n",
                journal->path);
    else if (failed > 0)
        fprintf(stderr,
                "ration: %zu failed, see %s; the same command with --retry-failed tries them again "
                "(%s is kept for that)\n",
                failed, journal->output, journal->path);
    if (!all)
        return run->stop == BATCH_SIGNAL ? EXIT_STOPPED : EXIT_WRONG;
    if (!rendered)
        return EXIT_WRONG;
    return failed > 0 ? EXIT_DENIED : EXIT_GRANTED;
}

static int run_batch(const struct batch_options *o, const struct profile *profile,
                     const struct profile_key *key, const struct batch_input *input,
                     struct batch_journal *journal)
{
    static struct batch_run run;
    run = (struct batch_run){
        .options = o, .profile = profile, .key = *key, .input = input, .journal = journal};
    if (!make_retry(o, &run.retry) || !server_answers(o, &run.r))
        return EXIT_WRONG;
    if (journal->found > 0 && !o->quiet)
        fprintf(stderr, "ration: %zu of %zu are done already, by %s\n", journal->found, journal->n,
                journal->path);
    int code = batch_run(&run) ? conclude(&run, journal) : EXIT_WRONG;
    batch_run_close(&run);
    return code;
}

static int run_with_profile(const struct batch_options *o, const struct profiles *profiles,
                            const struct profile *profile, const struct profile_key *key)
{
    struct batch_input input;
    struct batch_journal journal;
    struct batch_checker checker = {.options = o, .profiles = profiles, .profile = profile};
    if (!batch_input_open(&input, o->input_file, o->quiet, batch_check, &checker))
        return EXIT_WRONG;
    int code = EXIT_WRONG;
    if (batch_journal_open(&journal, o->output_file, &input, o->retry_failed, o->overwrite)) {
        code = run_batch(o, profile, key, &input, &journal);
        batch_journal_close(&journal, code == EXIT_GRANTED);
    }
    batch_input_close(&input);
    return code;
}

static const char about[] =
    "Sends a file of requests to a provider, as many at a time as --in-flight says and the limits "
    "allow, and\n"
    "writes their results in the same order. INPUT has one JSON object a line; - is stdin. It is "
    "checked as a\n"
    "whole before anything is sent.\n\n"
    "  INPUT                                     OUTPUT\n"
    "  {\"custom_id\", \"method\", \"url\", \"body\"}    {\"id\", \"custom_id\", \"response\": {"
    "\"status_code\", \"request_id\", \"body\"},\n"
    "                                             \"error\"}\n"
    "  {\"custom_id\", \"params\"} (Anthropic)       {\"custom_id\", \"result\": {\"type\": "
    "\"succeeded\", \"message\"}}\n"
    "                                            or {\"type\": \"errored\", \"error\"}\n"
    "  {\"key\", \"request\"} (Gemini)               {\"key\", \"response\"} or {\"key\", "
    "\"error\"}\n"
    "  a plain body                              {\"line\", \"status_code\", \"body\", "
    "\"error\"}\n\n"
    "\"error\" is null, or not there, only where the answer itself shows that it is one: a 400, or "
    "a "
    "200 without an\n"
    "answer, keeps what came and has an error beside it. A \"url\" must be the one that the "
    "provider's profile calls.\n\n"
    "What is done is kept in OUTPUT.journal as it comes, and OUTPUT is written when all is. If the "
    "program is\n"
    "stopped, or killed, the same command goes on from there and calls again only what was in "
    "flight.\n"
    "Ctrl-C lets what is in flight end. --retry-failed calls again whatever was not answered.";

static const char exits[] =
    "0 every request was answered, 1 some failed (OUTPUT says which), 2 an error,\n"
    "or the provider or the servers stopped it, 3 stopped by a signal. After 2 and 3 the same "
    "command goes on.";

int cmd_batch(int argc, char **argv, struct session *session)
{
    static struct batch_options o = {.in_flight = 16,
                                     .priority = -1,
                                     .call_timeout_ms = 600000,
                                     .ttl_ms = RATION_DEFAULT_TTL_MS,
                                     .tries = 5,
                                     .retry_min_ms = 1000,
                                     .retry_max_ms = 60000,
                                     .grace_s = 30,
                                     .patience_s = 300};
    o.session = session;
    const struct option_row rows[] = {
        {"output", OPTION_STRING, &o.output_file, 0, 0, "FILE", "the results; required"},
        {"pool", OPTION_STRING, &o.pool, 0, 0, "POOL", "whose limits; required"},
        {"tenant", OPTION_STRING, &o.tenant, 0, 0, "TENANT", "who asks; required"},
        {"provider", OPTION_STRING, &o.provider, 0, 0, "NAME",
         "its profile; default openai, 'ration presets --profiles' shows them"},
        {"profiles", OPTION_STRING, &o.profiles_file, 0, 0, "FILE",
         "profiles of your own; default: RATION_PROFILES"},
        {"url", OPTION_STRING, &o.url, 0, 0, "URL",
         "the provider's base URL; default: the profile's"},
        {"header", OPTION_LIST, &o.headers, 0, 0, "'NAME: VALUE'",
         "one to send too, or instead of the profile's; may be repeated"},
        {"query", OPTION_LIST, &o.parameters, 0, 0, "NAME=VALUE",
         "a parameter of the URL; may be repeated"},
        {"model", OPTION_STRING, &o.model, 0, 0, "MODEL",
         "where the URL names it; default: the body's"},
        {"key-variable", OPTION_STRING, &o.key_variable, 0, 0, "NAME",
         "environment variable with the key; default: the profile's"},
        {"in-flight", OPTION_INTEGER, &o.in_flight, 1, BATCH_MAX_IN_FLIGHT, "N",
         "calls at a time; default 16"},
        {"priority", OPTION_INTEGER, &o.priority, 0, RATION_PRIORITIES - 1, "N",
         "0 real time - 2 background; default: the tier's"},
        {"learned", OPTION_FLAG, &o.learned, 0, 0, NULL,
         "charge what such prompts and answers usually take"},
        {"call-timeout", OPTION_INTEGER, &o.call_timeout_ms, 1, 3600000, "MS",
         "of one try; default 600000"},
        {"ttl", OPTION_INTEGER, &o.ttl_ms, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, "MS",
         "of a reservation, renewed at half; default 60000"},
        {"tries", OPTION_INTEGER, &o.tries, 1, 100, "N", "of one request; default 5"},
        {"retry-min", OPTION_INTEGER, &o.retry_min_ms, 1, 3600000, "MS",
         "first wait where the provider names none; default 1000"},
        {"retry-max", OPTION_INTEGER, &o.retry_max_ms, 1, 3600000, "MS",
         "longest such wait; default 60000"},
        {"grace", OPTION_DECIMAL, &o.grace_s, 0, 3600, "SECONDS",
         "for what is in flight when stopped; default 30"},
        {"patience", OPTION_DECIMAL, &o.patience_s, 0, 86400, "SECONDS",
         "how long servers may be away, or a pool closed; default 300"},
        {"retry-failed", OPTION_FLAG, &o.retry_failed, 0, 0, NULL,
         "try again what failed in an earlier run"},
        {"overwrite", OPTION_FLAG, &o.overwrite, 0, 0, NULL, "replace an OUTPUT that is complete"},
        {"rate-log", OPTION_STRING, &o.rate_log_file, 0, 0, "FILE",
         "append each wait: JSON lines of who, why, how long"},
        {"quiet", OPTION_FLAG, &o.quiet, 0, 0, NULL, "no progress"},
    };
    const struct command_line line = {.name = "batch",
                                      .synopsis = "INPUT --output FILE --pool POOL --tenant TENANT "
                                                  "[options]",
                                      .about = about,
                                      .exits = exits,
                                      .rows = rows,
                                      .n = sizeof(rows) / sizeof(rows[0]),
                                      .max_others = 1};
    int at = options_parse(&line, session, argc, argv);
    if (at < 0)
        return options_exit(at);
    if (!session_wants("batch", "an INPUT", at < argc ? argv[at] : NULL) || !check_options(&o))
        return EXIT_WRONG;
    o.input_file = argv[at];
    signal(SIGXFSZ, SIG_IGN); /* a write past the limit is then an error like any other */
    struct profiles *profiles = NULL;
    const struct profile *profile = NULL;
    struct profile_key key = {.key = NULL};
    int code = EXIT_WRONG;
    if (find_profile(&o, &profiles, &profile) && find_credentials(&o, profile, &key))
        code = run_with_profile(&o, profiles, profile, &key);
    profile_key_free(&key);
    free(o.query);
    profiles_close(profiles);
    return code;
}
