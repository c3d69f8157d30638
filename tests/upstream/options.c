/*
 * `--name value` and `--name=value` mean the same. The table below defines the options; parsing,
 * ranges, defaults and the text of --help come from it.
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
    const char *help; /* for a WORD it starts with the words, numbered from 0: "a|b|c: what" */
};

#define AT(field) offsetof(struct options, field)

static const struct row rows[] = {
    {"listen", TEXT, AT(listen), "127.0.0.1:8080", 0, 0,
     "HOST:PORT to listen on; port 0 picks a free one"},
    {"port-file", TEXT, AT(port_file), NULL, 0, 0,
     "FILE to write the port to once it is open; removed when the provider stops"},
    {"rpm", NUMBER, AT(rpm), "500", 1, WINDOW_MAX_REQUESTS, "requests allowed in a window"},
    {"tpm", NUMBER, AT(tpm), "30000", 1, WINDOW_MAX_TOKENS, "tokens allowed in a window"},
    {"window-ms", NUMBER, AT(window_ms), "60000", 1, 86400000, "length of the window"},
    {"mode", WORD, AT(mode), "rolling", 0, 0,
     "rolling|bucket|minute: any window, a bucket of the whole limit that refills evenly, or "
     "wall-clock windows"},
    {"count", WORD, AT(at_end), "start", 0, 0,
     "start|end: tokens count when a call starts, by estimate, or when it ends, by actual usage"},
    {"settle", YES_NO, AT(settle), "yes", 0, 0,
     "correct a call's estimate to its actual tokens when it ends"},
    {"count-failed", YES_NO, AT(count_failed), "no", 0, 0,
     "count refused and malformed requests against --rpm as well"},
    {"latency-ms", NUMBER, AT(latency_ms), "20", 0, 3600000, "time that every answer takes"},
    {"latency-per-token-us", NUMBER, AT(latency_per_token_us), "0", 0, 10000000,
     "time that each output token adds"},
    {"seed", NUMBER, AT(seed), "1", 0, INT64_MAX,
     "for the lengths of answers; the same seed and requests give the same lengths"},
    {"lengths", TEXT, AT(lengths), NULL, 0, 0,
     "FILE of TIMESTAMP,ContextTokens,GeneratedTokens to draw the lengths of answers from"},
    {"fault", TEXT, AT(fault), NULL, 0, 0,
     "NAME[@SHARE],... of faults that calls meet, e.g. 429:20@0.05,500@0.01"},
    {"key", TEXT, AT(key), NULL, 0, 0, "the only valid KEY; without it any key is accepted"},
    {"aws-secret", TEXT, AT(aws_secret), NULL, 0, 0,
     "SECRET that Bedrock requests must be signed with; without it signatures are not checked"},
    {"gzip", YES_NO, AT(gzip), "no", 0, 0, "compress answers for clients that accept it"},
    {"max-body", NUMBER, AT(max_body), "0", 0, 268435456,
     "most bytes in a request's body; 0: what the API allows"},
    {"max-in-flight", NUMBER, AT(max_in_flight), "20000", 1, 1000000,
     "calls that may wait for their answer at once; further ones get 503"},
    {"verbose", YES_NO, AT(verbose), "no", 0, 0, "log every call, not only unusual ones"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
    printf(
        "usage: strict-provider [--OPTION VALUE]...\n\n"
        "A provider in the shapes of OpenAI, Azure, Anthropic, Gemini, Mistral, Cohere, Ollama\n"
        "and Bedrock. It generates nothing, but it refuses what they refuse, keeps limits of its\n"
        "own, exact to the token, and answers 429 to whoever exceeds them. GET /report says what\n"
        "it saw.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        printf("  --%-21s %s%s%s%s\n", rows[i].name, rows[i].help, rows[i].standard ? " [" : "",
               rows[i].standard ? rows[i].standard : "", rows[i].standard ? "]" : "");
    }
    printf("  --%-21s %s\n  --%-21s %s\n\n", "help", "print this", "version", "print the version");
    printf("It prints `listening on HOST:PORT` to stdout when it is ready, and its report as one "
           "line of JSON\n"
           "when SIGTERM or SIGINT stops it. Log lines go to stderr.\n\n"
           "Exit status: 0 stopped by a signal, 1 failed to start or to run, 2 wrong command "
           "line.\n");
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

/* Parses the option at argv[*i] and moves *i past it. */
static bool parse_one(struct options *opt, int argc, char **argv, int *i)
{
    const char *arg = argv[(*i)++];
    if (strncmp(arg, "--", 2) != 0) {
        fprintf(stderr, "strict-provider: '%s' is not an option; --help lists them\n", arg);
        return false;
    }
    size_t len = strcspn(arg + 2, "=");
    const struct row *row = find(arg + 2, len);
    if (!row) {
        fprintf(stderr, "strict-provider: unknown option '%.*s'; --help lists them\n", (int)len + 2,
                arg);
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
