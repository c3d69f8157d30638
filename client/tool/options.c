/*
 * Turns rows into what getopt_long() wants, and what it finds back into values. Every complaint names the option and what
 * it accepts; nothing is guessed: "12x" is no number and "" is no name.
 */
#include "tool/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS  40
#define FIRST_VAL 256 /* getopt's values of our options: above any character */

/* ---- Values ---- */

static bool read_integer(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || strchr(" \t\n+", text[0]))
        return false;
    *out = value;
    return true;
}

/* Decimal dollars to millionths, in integers: what a float would make of 0.1 is nobody's price. */
static bool read_dollars(const char *text, int64_t *out)
{
    int64_t value = 0;
    int decimals = -1;
    const char *s = text;
    for (; *s; s++) {
        if (*s == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*s < '0' || *s > '9' || decimals == 6 || value > RATION_MAX_COST)
            return false;
        value = value * 10 + (*s - '0');
        if (decimals >= 0)
            decimals++;
    }
    if (s == text || decimals == 0)
        return false;
    for (int i = decimals < 0 ? 0 : decimals; i < 6 && value <= RATION_MAX_COST; i++)
        value *= 10;
    *out = value;
    return value <= RATION_MAX_COST;
}

static bool set_integer(const struct option_row *row, const char *text)
{
    int64_t value = 0;
    if (!read_integer(text, &value) || value < row->min || value > row->max) {
        fprintf(stderr, "ration: --%s takes %" PRId64 " - %" PRId64 ", not '%s'\n", row->name,
                row->min, row->max, text);
        return false;
    }
    *(int64_t *)row->to = value;
    return true;
}

static bool set_amount(const struct option_row *row, const char *text)
{
    int64_t value = 0;
    if (!read_integer(text, &value) || value < 0 || value > RATION_MAX_COST) {
        fprintf(stderr, "ration: --%s takes 0 - %" PRId64 ", not '%s'\n", row->name,
                (int64_t)RATION_MAX_COST, text);
        return false;
    }
    *(int64_t *)row->to = value == 0 ? RATION_ZERO : value;
    return true;
}

static bool set_dollars(const struct option_row *row, const char *text)
{
    int64_t value = 0;
    if (!read_dollars(text, &value)) {
        fprintf(stderr,
                "ration: --%s takes dollars, 0 - 1000000 with at most 6 decimals, not '%s'\n",
                row->name, text);
        return false;
    }
    *(int64_t *)row->to = value == 0 ? RATION_ZERO : value;
    return true;
}

static bool set_decimal(const struct option_row *row, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= (double)row->min && value <= (double)row->max)) {
        fprintf(stderr,
                "ration: --%s takes %" PRId64 " - %" PRId64 ", decimals allowed, not '%s'\n",
                row->name, row->min, row->max, text);
        return false;
    }
    *(double *)row->to = value;
    return true;
}

static bool add_to_list(const struct option_row *row, const char *text)
{
    struct option_list *list = row->to;
    if (list->n == OPTION_LIST_MAX) {
        fprintf(stderr, "ration: --%s is given more than %d times\n", row->name, OPTION_LIST_MAX);
        return false;
    }
    list->at[list->n++] = text;
    return true;
}

static bool set_value(const struct option_row *row, const char *text)
{
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->to = true;
        return true;
    case OPTION_STRING:
        if (!text[0]) {
            fprintf(stderr, "ration: --%s needs a value\n", row->name);
            return false;
        }
        *(const char **)row->to = text;
        return true;
    case OPTION_INTEGER:
        return set_integer(row, text);
    case OPTION_AMOUNT:
        return set_amount(row, text);
    case OPTION_DOLLARS:
        return set_dollars(row, text);
    case OPTION_DECIMAL:
        return set_decimal(row, text);
    case OPTION_LIST:
        return add_to_list(row, text);
    }
    return false;
}

/* ---- Help ---- */

static void print_row(const char *name, const char *value, const char *help)
{
    char left[64];
    snprintf(left, sizeof(left), "--%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-24s %s\n", left, help);
}

static bool has_row(const struct command_line *line, const char *name)
{
    for (size_t i = 0; i < line->n; i++) {
        if (strcmp(line->rows[i].name, name) == 0)
            return true;
    }
    return false;
}

static void print_help(const struct command_line *line, const struct option_row *common,
                       size_t n_common)
{
    printf("usage: ration %s%s%s\n\n%s\n", line->name, line->name[0] ? " " : "", line->synopsis,
           line->about);
    if (line->n)
        printf("\noptions:\n");
    for (size_t i = 0; i < line->n; i++)
        print_row(line->rows[i].name, line->rows[i].value, line->rows[i].help);
    printf("\noptions of every command:\n");
    for (size_t i = 0; i < n_common; i++) {
        if (!has_row(line, common[i].name))
            print_row(common[i].name, common[i].value, common[i].help);
    }
    print_row("help", NULL, "this");
    print_row("version", NULL, "the version");
    printf("\nA credential comes from the environment's RATION_SECRET or from --secret-file, its "
           "user from\n"
           "RATION_TENANT.\n\nexit status: %s\n",
           line->exits ? line->exits : "0 granted or well, 1 denied, 2 an error");
}

/* ---- Parsing ---- */

static void add_row(struct option *longs, size_t *n, const struct option_row *row)
{
    longs[*n] =
        (struct option){.name = row->name,
                        .has_arg = row->kind == OPTION_FLAG ? no_argument : required_argument,
                        .val = FIRST_VAL + (int)*n};
    (*n)++;
}

static int complain(const struct command_line *line, char **argv, int what, int index)
{
    const char *arg = argv[index];
    if (what == ':')
        fprintf(stderr, "ration: %s needs a value\n", arg);
    else
        fprintf(stderr, "ration: %s%s has no option '%s'\n", line->name, line->name[0] ? "" : "it",
                arg);
    fprintf(stderr, "ration: 'ration %s%s--help' lists the options\n", line->name,
            line->name[0] ? " " : "");
    return OPTIONS_BAD;
}

int options_parse(const struct command_line *line, struct session *session, int argc, char **argv)
{
    const struct option_row common[] = {
        {"server", OPTION_STRING, &session->servers, 0, 0, "ADDR[,ADDR]",
         "host:port or unix:/path; default RATION_SERVERS, else 127.0.0.1:7420"},
        {"timeout", OPTION_INTEGER, &session->timeout_ms, 1, 600000, "MS",
         "deadline of a request; default 5000"},
        {"secret-file", OPTION_STRING, &session->secret_file, 0, 0, "FILE",
         "the credential is its first line"},
        {"json", OPTION_FLAG, &session->json, 0, 0, NULL, "JSON on stdout, for programs"},
    };
    const size_t n_common = sizeof(common) / sizeof(common[0]);
    struct option longs[MAX_ROWS + 8] = {0};
    const struct option_row *rows[MAX_ROWS + 8];
    size_t n = 0;
    /* A command's own row comes first and hides the common one of that name. */
    for (size_t i = 0; i < line->n && n < MAX_ROWS; i++) {
        rows[n] = &line->rows[i];
        add_row(longs, &n, &line->rows[i]);
    }
    for (size_t i = 0; i < n_common; i++) {
        if (!has_row(line, common[i].name)) {
            rows[n] = &common[i];
            add_row(longs, &n, &common[i]);
        }
    }
    longs[n] = (struct option){.name = "help", .val = 'h'};
    longs[n + 1] = (struct option){.name = "version", .val = 'V'};

    optind = 0; /* glibc: start anew */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int c = getopt_long(argc, argv, line->in_order ? "+:h" : ":h", longs, NULL);
        if (c == -1)
            break;
        if (c == 'h') {
            print_help(line, common, n_common);
            return OPTIONS_DONE;
        }
        if (c == 'V') {
            printf("ration %s\n", ration_version());
            return OPTIONS_DONE;
        }
        if (c < FIRST_VAL)
            return complain(line, argv, c, c == ':' || optind > at ? optind - 1 : at);
        if (!set_value(rows[c - FIRST_VAL], optarg))
            return OPTIONS_BAD;
    }
    if (line->max_others >= 0 && argc - optind > line->max_others) {
        fprintf(stderr, "ration: '%s' is one argument too many; usage: ration %s %s\n",
                argv[optind + line->max_others], line->name, line->synopsis);
        return OPTIONS_BAD;
    }
    return optind;
}

int options_exit(int parsed)
{
    return parsed == OPTIONS_DONE ? EXIT_GRANTED : EXIT_WRONG;
}
