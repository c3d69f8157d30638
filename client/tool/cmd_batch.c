/*
 * `ration batch`: requests from a file, their results into another.
 *
 * Before anything is sent, all of this is checked: the options, the provider's profile, every line
 * of the input, the journal and its folder, and that a server answers for that pool and tenant.
 */
#include "tool/batch/batch.h"
#include "tool/batch/input.h"
#include "tool/batch/journal.h"
#include "tool/batch/run.h"
#include "tool/options.h"
#include "tool/provider.h"
#include "tool/say.h"

#include "call/retry.h"
#include "clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_STOPPED 3

/* ---- Before anything is sent ---- */

/* What every request carries: the user's headers and parameters, and the key. A missing key is
 * found here, and not by the provider after quota was reserved. */
static bool find_credentials(struct batch_options *o, const struct profile *profile,
                             struct profile_key *key)
{
    char why[PROFILE_WHY_BYTES] = "";
    bool failed = false;
    const char *stated = o->key_variable ? provider_key(o->key_variable) : NULL;
    if (o->key_variable && !stated)
        return false;
    if (profile_check_headers(o->headers.at, o->headers.n, why) < 0)
        return say("--header: %s", why);
    o->query = provider_query(&o->parameters, &failed);
    struct profile_caller caller = {.key = stated,
                                    .key_name = o->key_variable,
                                    .base = o->url,
                                    .query = o->query,
                                    .headers = o->headers.at,
                                    .n_headers = o->headers.n};
    if (!failed && profile_find_key(profile, &caller, key, why) == 0)
        return true;
    if (!failed)
        say("%s", why);
    return false;
}

static bool find_profile(const struct batch_options *o, struct profiles **profiles,
                         const struct profile **profile)
{
    char why[PROFILE_WHY_BYTES] = "";
    const char *file = o->profiles_file ? o->profiles_file : getenv("RATION_PROFILES");
    int err = profiles_open(file && file[0] ? file : NULL, profiles, why);
    if (err < 0)
        return say("%s", why[0] ? why : ration_strerror(err));
    *profile = profiles_find(*profiles, o->provider);
    if (!*profile)
        say("there is no provider profile '%s'; there are: %s", o->provider,
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
        say("--retry-min, --retry-max: %s", wrong);
    return wrong == NULL;
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

/* Makes the output if all is done; says how to go on if not. */
static int conclude(struct batch_run *run, struct batch_journal *journal)
{
    bool all = journal->done == journal->n;
    bool rendered = all && batch_journal_render(journal);
    size_t failed = journal->done - journal->of_class[BATCH_ANSWERED];
    int64_t now_ms = clock_ms();
    batch_progress_close(&run->progress);
    batch_summary(&run->progress, stop_word(run->stop), now_ms);
    fflush(stdout);
    if (!all)
        say("%zu of %zu are done and kept in %s; the same command goes on from there",
            journal->done, journal->n, journal->path);
    else if (!rendered)
        say("all are done and kept in %s; the same command writes the output", journal->path);
    else if (failed > 0)
        say("%zu failed, see %s; the same command with --retry-failed tries them again (%s is kept "
            "for that)",
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
    run = (struct batch_run){.options = o,
                             .profile = profile,
                             .key = *key,
                             .r = o->session->r,
                             .input = input,
                             .journal = journal};
    if (!make_retry(o, &run.retry) || !session_probe(o->session, o->pool, o->tenant))
        return EXIT_WRONG;
    if (journal->found > 0 && !o->quiet)
        say("%zu of %zu are done already, by %s", journal->found, journal->n, journal->path);
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

static struct batch_options args = {.in_flight = 16,
                                    .priority = -1,
                                    .call_timeout_ms = 600000,
                                    .ttl_ms = RATION_DEFAULT_TTL_MS,
                                    .tries = 5,
                                    .retry_min_ms = 1000,
                                    .retry_max_ms = 60000,
                                    .grace_s = 30,
                                    .patience_s = 300};

static int run(struct session *session)
{
    struct profiles *profiles = NULL;
    const struct profile *profile = NULL;
    struct profile_key key = {.key = NULL};
    int code = EXIT_WRONG;
    args.session = session;
    if (strcmp(args.output_file, "-") == 0) {
        say("--output takes a file: what is done is kept beside it, so that the batch can be "
            "resumed");
        return EXIT_WRONG;
    }
    signal(SIGXFSZ, SIG_IGN); /* a write past the file size limit is then an ordinary error */
    if (find_profile(&args, &profiles, &profile) && find_credentials(&args, profile, &key))
        code = run_with_profile(&args, profiles, profile, &key);
    profile_key_free(&key);
    free(args.query);
    profiles_close(profiles);
    return code;
}

static const struct option_row options[] = {
    TEXT("output", output_file, "FILE", "the results; required"),
    TEXT("pool", pool, "POOL", "whose limits; required"),
    TEXT("tenant", tenant, "TENANT", "who asks; required"),
    TEXT("provider", provider, "NAME",
         "its profile; default openai, 'ration presets --profiles' shows them"),
    TEXT("profiles", profiles_file, "FILE", "profiles of your own; default: RATION_PROFILES"),
    TEXT("url", url, "URL", "the provider's base URL; default: the profile's"),
    LIST("header", headers, "'NAME: VALUE'",
         "one to send too, or instead of the profile's; may be repeated"),
    LIST("query", parameters, "NAME=VALUE", "a parameter of the URL; may be repeated"),
    TEXT("model", model, "MODEL", "if the URL names it; default: the body's"),
    TEXT("key-variable", key_variable, "NAME",
         "environment variable with the key; default: the profile's"),
    WHOLE("in-flight", in_flight, 1, BATCH_MAX_IN_FLIGHT, "N", "calls at a time; default 16"),
    PRIORITY_ROW,
    FLAG("learned", learned, "charge what such prompts and answers usually take"),
    WHOLE("call-timeout", call_timeout_ms, 1, 3600000, "MS", "of one try; default 600000"),
    TTL_ROW("of a reservation, renewed at half; default 60000"),
    WHOLE("tries", tries, 1, 100, "N", "of one request; default 5"),
    WHOLE("retry-min", retry_min_ms, 1, 3600000, "MS",
          "first wait if the provider names none; default 1000"),
    WHOLE("retry-max", retry_max_ms, 1, 3600000, "MS", "longest such wait; default 60000"),
    DECIMAL("grace", grace_s, 0, 3600, "SECONDS", "for what is in flight when stopped; default 30"),
    DECIMAL("patience", patience_s, 0, 86400, "SECONDS",
            "how long servers may be away, or a pool closed; default 300"),
    FLAG("retry-failed", retry_failed, "try again what failed in an earlier run"),
    FLAG("overwrite", overwrite, "replace an OUTPUT that is complete"),
    TEXT("rate-log", rate_log_file, "FILE", "append each wait: JSON lines of who, why, how long"),
    FLAG("quiet", quiet, "no progress"),
    {0},
};

const struct command command_batch = {
    .name = "batch",
    .summary = "send a file of requests, within the limits, and go on after a crash",
    .synopsis = "INPUT --output FILE --pool POOL --tenant TENANT [options]",
    .about =
        "Sends a file of requests to a provider, as many at a time as --in-flight says and the "
        "limits allow, and writes their results in the same order. INPUT has one JSON object a "
        "line; - is stdin. It is checked as a whole before anything is sent.\n\n"
        "  INPUT                         OUTPUT\n"
        "  {\"custom_id\", \"method\",       {\"id\", \"custom_id\", \"response\": "
        "{\"status_code\",\n"
        "   \"url\", \"body\"} (OpenAI)       \"request_id\", \"body\"}, \"error\"}\n"
        "  {\"custom_id\", \"params\"}       {\"custom_id\", \"result\": {\"type\": "
        "\"succeeded\",\n"
        "   (Anthropic)                   \"message\"}} or {\"type\": \"errored\", \"error\"}\n"
        "  {\"key\", \"request\"} (Gemini)   {\"key\", \"response\"} or {\"key\", \"error\"}\n"
        "  a plain body                  {\"line\", \"status_code\", \"body\", \"error\"}\n\n"
        "\"error\" is null, or not there, only if the answer itself shows that it is one: a 400, "
        "or a 200 without an answer, keeps what came and has an error beside it. A \"url\" must be "
        "the one that the provider's profile calls.\n\n"
        "What is done is kept in OUTPUT.journal as it comes, and OUTPUT is written when all is. If "
        "the program is stopped, or killed, the same command goes on from there and calls again "
        "only what was in flight. Ctrl-C lets what is in flight end. --retry-failed calls again "
        "whatever was not answered.",
    .exits = "0 every request was answered, 1 some failed (OUTPUT says which), 2 an error, or the "
             "provider or the servers stopped it, 3 stopped by a signal. After 2 and 3 the same "
             "command goes on.",
    .options = options,
    .arguments = {{&args.input_file, "an INPUT"},
                  {&args.output_file, "--output"},
                  {&args.pool, "--pool"},
                  {&args.tenant, "--tenant"}},
    .run = run,
};
