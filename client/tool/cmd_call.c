/*
 * `ration call`: ration_call() from the shell. stdout gets the answer and nothing else: its body,
 * with --stream its text as it arrives, with --json the whole result for programs. Errors go to
 * stderr, with the time to come back.
 *
 * The exit status says what to do next: ask for less or later (1), fix this side (2), come back
 * (3), or change the request or the account (4).
 */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/provider.h"
#include "tool/say.h"
#include "tool/table.h"

#include "grow.h"
#include "profile/jtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_PROVIDER  3
#define EXIT_REFUSED   4
#define MAX_BODY_BYTES (64u << 20)

static struct call {
    const char *pool;
    const char *tenant;
    const char *provider;
    const char *url;
    const char *model;
    const char *profiles;
    const char *body_file;
    const char *key_variable;
    struct ration_amounts amounts;
    int64_t priority;
    int64_t ttl_ms;
    int64_t wait_ms;
    int64_t call_timeout_ms;
    int64_t idle_timeout_ms;
    struct option_list headers;
    struct option_list query;
    int64_t tries;
    int64_t backoff_min_ms;
    int64_t backoff_max_ms;
    double wait_max_s;
    double deadline_s;
    bool fail_fast;
    bool learned;
    bool stream;
    bool json; /* of the session */
} args = {
    .priority = -1, .body_file = "-", .tries = 5, .backoff_min_ms = 1000, .backoff_max_ms = 60000};

/* ---- The body ---- */

/* All of the file; NULL: it is larger than MAX_BODY_BYTES, empty, or cannot be read. */
static char *read_all(FILE *file, struct grow *body)
{
    char part[65536];
    size_t n = 0;
    while ((n = fread(part, 1, sizeof(part), file)) > 0) {
        if (grow_add(body, part, n) < 0)
            return NULL;
    }
    return body->bytes;
}

/* NULL after saying why. */
static char *read_body(const char *path, size_t *n)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct grow body;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    if (!file) {
        say("--body %s: %s", path, strerror(errno));
        return NULL;
    }
    grow_init(&body, MAX_BODY_BYTES);
    bool whole = read_all(file, &body) && feof(file);
    const char *why = ferror(file)  ? "it cannot be read"
                      : !feof(file) ? "it is larger than 64 MiB"
                                    : "it is empty; a request is a JSON object";
    if (!is_stdin)
        fclose(file);
    if (!whole) {
        say("--body %s: %s", path, why);
        grow_close(&body);
    }
    *n = body.n;
    return body.bytes;
}

/* Makes the body ask for a stream, leaving the rest of its text as it is. Gives a new text in the
 * place of `text`, or `text` if it is not an object: the library will say what is wrong with it. */
static char *ask_for_stream(char *text, size_t *len)
{
    char *changed = NULL;
    size_t n = 0;
    if (jtext_set(text, *len, "stream", "true", true, &changed, &n) <= 0)
        return text;
    free(text);
    *len = n;
    return changed;
}

/* ---- Showing ---- */

static int on_event(void *arg, const char *name, const char *data, size_t bytes, const char *text)
{
    const struct call *c = arg;
    (void)bytes;
    if (c->json) {
        json_object *o = json_object_new_object();
        object_put_string(o, "event", name);
        object_put_string(o, "data", data);
        object_print(o);
    } else if (text) {
        fputs(text, stdout);
    }
    return fflush(stdout) == EOF; /* nobody reads any more: do not pay for the rest */
}

static void put_amount(json_object *o, const char *name, int64_t n)
{
    if (n != 0)
        object_put_integer(o, name, n == RATION_ZERO ? 0 : n);
}

static json_object *used_json(const struct ration_amounts *used)
{
    json_object *o = json_object_new_object();
    put_amount(o, "tokens", used->tokens);
    put_amount(o, "input_tokens", used->input_tokens);
    put_amount(o, "output_tokens", used->output_tokens);
    return o;
}

static json_object *usage_json(const struct ration_usage *usage)
{
    json_object *o = json_object_new_object();
    object_put_integer(o, "input_tokens", usage->input_tokens);
    object_put_integer(o, "output_tokens", usage->output_tokens);
    object_put_integer(o, "total_tokens", usage->total_tokens);
    object_put_integer(o, "cached_input_tokens", usage->cached_input_tokens);
    object_put_integer(o, "cache_write_tokens", usage->cache_write_tokens);
    object_put_integer(o, "reasoning_tokens", usage->reasoning_tokens);
    object_put_integer(o, "audio_tokens", usage->audio_tokens);
    return o;
}

/* The body as JSON if it is that, else as text. */
static json_object *body_json(const struct ration_response *answer)
{
    if (!answer->body)
        return NULL;
    json_object *body = json_tokener_parse(answer->body);
    return body ? body : json_object_new_string(answer->body);
}

static void print_json(const ration *r, int err, const struct ration_response *answer)
{
    json_object *o = json_object_new_object();
    object_put_string(o, "result", err < 0 ? ration_strerror(err) : "answered");
    object_put_string(o, "message", ration_errmsg(r));
    object_put_string(o, "outcome",
                      answer->tries ? ration_outcome_name(answer->outcome) : "not_sent");
    object_put_integer(o, "http_status", answer->http_status);
    object_put_integer(o, "tries", answer->tries);
    object_put_integer(o, "waited_ms", (int64_t)answer->waited_ms);
    object_put_integer(o, RATION_FIELD_RETRY_AFTER_MS, answer->retry_after_ms);
    object_put_integer(o, "upstream_us", (int64_t)answer->upstream_us);
    json_object_object_add(o, "used", used_json(&answer->used));
    object_put_bool(o, "used_known", answer->used_known);
    object_put_bool(o, "usage_doubted", answer->usage_doubted);
    json_object_object_add(o, "usage", usage_json(&answer->usage));
    object_put_string(o, "service_tier", answer->usage.service_tier);
    object_put_string(o, RATION_FIELD_ID, answer->grant.id);
    object_put_string(o, RATION_FIELD_LIMITED_BY, answer->grant.limited_by);
    object_put_string(o, RATION_FIELD_MODE, answer->grant.mode);
    json_object_object_add(o, "body", body_json(answer));
    object_print(o);
}

static void print_answer(const struct call *c, const struct ration_response *answer)
{
    bool wants_end = c->stream;
    if (answer->body &&
        answer->body_bytes > 0) { /* even if it came whole although a stream was asked for */
        fwrite(answer->body, 1, answer->body_bytes, stdout);
        wants_end = answer->body[answer->body_bytes - 1] != '\n';
    }
    if (wants_end)
        putchar('\n');
}

static int fail_upstream(const ration *r, const struct ration_response *answer)
{
    say("%s", ration_errmsg(r));
    if (answer->outcome == RATION_EXHAUSTED)
        say("no wait will help; see to the account, then open the pool");
    else if (answer->retry_after_ms > 0)
        say("come back in %s", as_duration(answer->retry_after_ms).s);
    return answer->outcome == RATION_EXHAUSTED || answer->outcome == RATION_REFUSED ? EXIT_REFUSED
                                                                                    : EXIT_PROVIDER;
}

static int conclude(const struct session *session, const struct call *c, int err,
                    const struct ration_response *answer)
{
    const ration *r = session->r;
    if (session->json)
        print_json(r, err, answer);
    else if (err == RATION_OK)
        print_answer(c, answer);
    if (fflush(stdout) == EOF && err == RATION_OK) {
        say("the answer could not be written: %s", strerror(errno));
        return EXIT_WRONG;
    }
    if (answer->usage_doubted)
        say("the provider says that %lld tokens were used, which is more than possible; %lld are "
            "charged",
            (long long)answer->usage.total_tokens, (long long)answer->used.tokens);
    if (err == RATION_OK)
        return EXIT_GRANTED;
    if (err == RATION_EDENIED)
        return session_denied(&answer->grant);
    return err == RATION_EUPSTREAM ? fail_upstream(r, answer) : session_fail(session, err);
}

/* ---- The command ---- */

static void set_options(const struct call *c, struct ration_call_options *to)
{
    ration_call_options_init(to);
    to->provider = c->provider;
    to->url = c->url;
    to->model = c->model;
    to->profiles = c->profiles;
    to->estimate = c->amounts;
    to->acquire.priority = (int32_t)c->priority;
    to->acquire.ttl_ms = (uint32_t)c->ttl_ms;
    to->acquire.wait_ms = (uint32_t)c->wait_ms;
    to->acquire.learned = c->learned;
    to->timeout_ms = (uint32_t)c->call_timeout_ms;
    to->idle_timeout_ms = (uint32_t)c->idle_timeout_ms;
    to->headers = c->headers.at;
    to->n_headers = c->headers.n;
    to->max_wait_ms = (uint32_t)(c->wait_max_s * 1000);
    to->fail_fast = c->fail_fast;
    to->retry.tries = (uint32_t)c->tries;
    to->retry.min_ms = (uint32_t)c->backoff_min_ms;
    to->retry.max_ms = (uint32_t)c->backoff_max_ms;
    to->retry.deadline_ms = (uint32_t)(c->deadline_s * 1000);
}

/* Reads what `options` will borrow. False after saying what is wrong. */
static bool read_inputs(const struct call *c, struct ration_call_options *options, char **body,
                        char **query)
{
    bool failed = false;
    size_t len = 0;
    if (c->key_variable) {
        options->api_key = provider_key(c->key_variable);
        if (!options->api_key)
            return false;
    }
    *query = provider_query(&c->query, &failed);
    if (failed)
        return false;
    *body = read_body(c->body_file, &len);
    if (!*body)
        return false;
    if (c->stream)
        *body = ask_for_stream(*body, &len);
    options->query = *query;
    options->body = *body;
    options->body_bytes = len;
    return true;
}

static int run(struct session *session)
{
    struct ration_call_options options;
    struct ration_response answer = {.http_status = 0};
    char *body = NULL;
    char *query = NULL;
    int code = EXIT_WRONG;
    args.json = session->json;
    set_options(&args, &options);
    if (args.stream)
        options.stream = on_event;
    options.stream_arg = &args;
    if (read_inputs(&args, &options, &body, &query)) {
        int err = ration_call(session->r, args.pool, args.tenant, &options, &answer);
        code = conclude(session, &args, err, &answer);
    }
    ration_response_free(&answer);
    free(body);
    free(query);
    return code;
}

static const struct option_row options[] = {
    WHO_ROWS,
    TEXT("provider", provider, "NAME",
         "openai (default), anthropic, gemini, ...; 'ration presets --profiles' lists them"),
    TEXT("body", body_file, "FILE", "the request as JSON; - is stdin (default)"),
    FLAG("stream", stream, "ask for a stream, print text as it comes"),
    TEXT("url", url, "URL",
         "base URL, with as much of the path and the query as other clients want there; default: "
         "the provider's own"),
    LIST("header", headers, "'NAME: VALUE'",
         "a header to send too, or instead of the provider's own; may be repeated"),
    LIST("query", query, "NAME=VALUE",
         "a parameter of the URL, as text: it is encoded here; may be repeated"),
    TEXT("model", model, "MODEL", "if the URL names it; default: the body's"),
    TEXT("profiles", profiles, "FILE", "provider profiles of your own"),
    TEXT("key-variable", key_variable, "NAME",
         "the environment variable that holds the key; default: as the provider's profile says "
         "(OPENAI_API_KEY, ...); servers of your own may need none"),
    UNIT_ROWS,
    FLAG("learned", learned,
         "charge the share of estimated input and most output that calls like this have used"),
    PRIORITY_ROW,
    TTL_ROW("life of the reservation, which is renewed meanwhile; default: a minute"),
    WHOLE("wait", wait_ms, 0, RATION_MAX_WAIT_MS, "MS", "how long the server may park the request"),
    DECIMAL("wait-max", wait_max_s, 0, 86400, "SECONDS", "sit out denials for up to this long"),
    WHOLE("call-timeout", call_timeout_ms, 0, 3600000, "MS",
          "of each try; default (or 0): 120000, and none for a stream"),
    WHOLE("idle-timeout", idle_timeout_ms, 1000, 3600000, "MS",
          "how long a stream may be silent; default 120000"),
    WHOLE("tries", tries, 1, 100, "N", "tries in all; default 5, 1: no retry"),
    WHOLE("backoff-min", backoff_min_ms, 1, 3600000, "MS",
          "the first wait, if the provider names none; default 1000"),
    WHOLE("backoff-max", backoff_max_ms, 1, 3600000, "MS", "the longest such wait; default 60000"),
    DECIMAL("deadline", deadline_s, 0, 86400, "SECONDS",
            "of tries and waits together; default: the time-out (or 120 s), --wait-max and five "
            "minutes, none of which ends a stream that runs"),
    FLAG("fail-fast", fail_fast, "sit nothing out: say at once when to come back"),
    {0},
};

const struct command command_call = {
    .name = "call",
    .summary = "call a provider: ask, send, retry, report, print the answer",
    .synopsis = "--pool POOL --tenant TENANT [--body FILE] [options]",
    .about =
        "Calls a provider under Ration: asks for the call's share of the quota, sends the request, "
        "retries what can be retried, reports what was used, and prints the answer.\n\n"
        "  echo '{\"model\": \"gpt-4o\", \"max_tokens\": 100,\n"
        "         \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}' |\n"
        "      ration call --pool openai/gpt-4o --tenant acme --stream",
    .exits = "0 answered, 1 denied by a limit and not sent, 2 an error on this side, 3 the "
             "provider failed or could not be reached: come back later, 4 the provider refused: "
             "another try would not help",
    .options = options,
    .arguments = {{&args.pool, "--pool"}, {&args.tenant, "--tenant"}},
    .run = run,
};
