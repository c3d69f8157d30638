/*
 * `--name value` and `--name=value` mean the same. The table below is all there is to know about an
 * option; parsing, ranges, defaults and the text of --help come from it.
 */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "window.h"

enum kind { TEXT, NUMBER, YES_NO, WORD };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *standard; /* NULL: not set */
    int64_t least, most;
    const char
        *help; /* of a WORD it starts with the words, the first of them being 0: "a|b|c: what" */
};

#define AT(field) offsetof(struct options, field)

static const struct row rows[] = {
    {"listen", TEXT, AT(listen), "127.0.0.1:8080", 0, 0,
     "HOST:PORT to listen on; port 0 picks a free one"},
    {"port-file", TEXT, AT(port_file), NULL, 0, 0,
     "FILE that gets the port once it is open, and goes when the provider stops"},
    {"rpm", NUMBER, AT(rpm), "500", 1, WINDOW_MAX_REQUESTS, "requests allowed in a window"},
    {"tpm", NUMBER, AT(tpm), "30000", 1, WINDOW_MAX_TOKENS, "tokens allowed in a window"},
    {"window-ms", NUMBER, AT(window_ms), "60000", 1, 86400000, "length of the window"},
    {"mode", WORD, AT(mode), "rolling", 0, 0,
     "rolling|bucket|minute: any window, a bucket of the whole limit that fills evenly, windows of "
     "the clock"},
    {"count", WORD, AT(at_end), "start", 0, 0,
     "start|end: tokens count when a call starts, by estimate, or when it ends, as it took"},
    {"settle", YES_NO, AT(settle), "yes", 0, 0,
     "correct a call's estimate to its actual tokens when it ends"},
    {"count-failed", YES_NO, AT(count_failed), "no", 0, 0,
     "count refused and malformed requests against --rpm as well"},
    {"latency-ms", NUMBER, AT(latency_ms), "20", 0, 3600000, "time that every answer takes"},
    {"latency-per-token-us", NUMBER, AT(latency_per_token_us), "0", 0, 10000000,
     "and that each token of output adds"},
    {"seed", NUMBER, AT(seed), "1", 0, INT64_MAX,
     "of the lengths of answers; the same seed and requests give the same lengths"},
    {"lengths", TEXT, AT(lengths), NULL, 0, 0,
     "FILE of TIMESTAMP,ContextTokens,GeneratedTokens to draw the lengths of answers from"},
    {"fault", TEXT, AT(fault), NULL, 0, 0,
     "NAME[@SHARE],... of faults that calls meet, such as 429:20@0.05,500@0.01"},
    {"key", TEXT, AT(key), NULL, 0, 0, "KEY that is the only right one; without it any will do"},
    {"aws-secret", TEXT, AT(aws_secret), NULL, 0, 0,
     "SECRET with which Bedrock's requests must be signed; without it a signature is not checked"},
    {"gzip", YES_NO, AT(gzip), "no", 0, 0, "compress answers to those who say that they accept it"},
    {"max-body", NUMBER, AT(max_body), "0", 0, 268435456,
     "bytes of one request's body; 0: what the API allows"},
    {"max-in-flight", NUMBER, AT(max_in_flight), "20000", 1, 1000000,
     "calls that may wait for their answer at once; more are answered 503"},
    {"verbose", YES_NO, AT(verbose), "no", 0, 0, "log each call, not only the unusual"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
    printf(
        "usage: strict-provider [--OPTION VALUE]...\n\n"
        "A provider in the shapes of OpenAI, Azure, Anthropic, Gemini, Mistral, Cohere, Ollama and "
        "Bedrock that\n"
        "generates nothing, but refuses what those refuse, keeps limits of its own, to the token, "
        "and answers 429\n"
        "to whoever goes over them. GET /report says what it saw.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        printf("  --%-21s %s%s%s%s\n", rows[i].name, rows[i].help, rows[i].standard ? " [" : "",
               rows[i].standard ? rows[i].standard : "", rows[i].standard ? "]" : "");
    }
    printf("  --%-21s %s\n  --%-21s %s\n\n", "help", "print this", "version", "print the version");
    printf("It prints `listening on HOST:PORT` to stdout when it is ready, and its report as one "
           "line of JSON\n"
           "when SIGTERM or SIGINT stops it. Log lines go to stderr.\n\n"
           "Exit status: 0 stopped by a signal, 1 it could not start or went wrong, 2 wrong "
           "command line.\n");
}

static bool set_number(const struct row *row, const char *value, void *field)
{
    char *end;
    errno = 0;
    int64_t n = strtoll(value, &end, 10);
    if (errno || end == value || *end != '\0' || n < row->least || n > row->most) {
        fprintf(stderr,
                "strict-provider: --%s takes a whole number from %" PRId64 " to %" PRId64
                ", not '%s'\n",
                row->name, row->least, row->most, value);
        return false;
    }
    memcpy(field, &n, sizeof(n));
    return true;
}

static bool set_yes_no(const struct row *row, const char *value, void *field)
{
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0) {
        fprintf(stderr, "strict-provider: --%s takes yes or no, not '%s'\n", row->name, value);
        return false;
    }
    memcpy(field, &yes, sizeof(yes));
    return true;
}

static bool set_word(const struct row *row, const char *value, void *field)
{
    size_t len = strlen(value);
    int64_t place = 0;
    for (const char *word = row->help;; place++) {
        size_t word_len = strcspn(word, "|:");
        if (word_len == len && memcmp(word, value, len) == 0) {
            memcpy(field, &place, sizeof(place));
            return true;
        }
        if (word[word_len] != '|') {
            break;
        }
        word += word_len + 1;
    }
    fprintf(stderr, "strict-provider: --%s takes one of %.*s, not '%s'\n", row->name,
            (int)strcspn(row->help, ":"), row->help, value);
    return false;
}

static bool set(struct options *opt, const struct row *row, const char *value)
{
    void *field = (char *)opt + row->offset;
    switch (row->kind) {
    case NUMBER:
        return set_number(row, value, field);
    case YES_NO:
        return set_yes_no(row, value, field);
    case WORD:
        return set_word(row, value, field);
    case TEXT:
        break;
    }
    memcpy(field, &value, sizeof(value));
    return true;
}

static const struct row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* One option at argv[*i]; moves *i past it. */
static bool parse_one(struct options *opt, int argc, char **argv, int *i)
{
    const char *arg = argv[(*i)++];
    if (strncmp(arg, "--", 2) != 0) {
        fprintf(stderr, "strict-provider: '%s' is not an option; --help lists what may be given\n",
                arg);
        return false;
    }
    size_t len = strcspn(arg + 2, "=");
    const struct row *row = find(arg + 2, len);
    if (!row) {
        fprintf(stderr, "strict-provider: there is no option '%.*s'; --help lists them\n",
                (int)len + 2, arg);
        return false;
    }
    if (arg[2 + len] == '=') {
        return set(opt, row, arg + 2 + len + 1);
    }
    if (*i >= argc) {
        fprintf(stderr, "strict-provider: %s needs a value: %s\n", arg, row->help);
        return false;
    }
    return set(opt, row, argv[(*i)++]);
}

enum options_result options_parse(struct options *opt, int argc, char **argv)
{
    memset(opt, 0, sizeof(*opt));
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].standard) {
            set(opt, &rows[i], rows[i].standard);
        }
    }
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return OPTIONS_DONE;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("strict-provider %s\n", STRICT_PROVIDER_VERSION);
            return OPTIONS_DONE;
        }
        if (!parse_one(opt, argc, argv, &i)) {
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_RUN;
}
