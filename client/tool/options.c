/*
 * Turns rows into what getopt_long() wants, and what it finds into values. Every complaint names
 * the option and what it accepts. Nothing is guessed: "12x" is not a number and "" is not a name.
 */
#include "tool/options.h"

#include "tool/say.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS  48
#define FIRST_VAL 256 /* getopt's values of our options begin above any character */

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

/* Decimal dollars to millionths, in integers: 0.1 as a float is nobody's price. */
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
    bool is_amount = row->kind == OPTION_AMOUNT;
    int64_t max = is_amount ? RATION_MAX_COST : row->max;
    int64_t value = 0;
    if (!read_integer(text, &value) || value < row->min || value > max)
        return say("--%s takes a whole number, %" PRId64 " - %" PRId64 ", not '%s'", row->name,
                   row->min, max, text);
    *(int64_t *)row->to = is_amount && value == 0 ? RATION_ZERO : value;
    return true;
}

static bool set_dollars(const struct option_row *row, const char *text)
{
    int64_t value = 0;
    if (!read_dollars(text, &value))
        return say("--%s takes dollars, 0 - 1000000 with at most 6 decimals, not '%s'", row->name,
                   text);
    *(int64_t *)row->to = value == 0 ? RATION_ZERO : value;
    return true;
}

static bool set_decimal(const struct option_row *row, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= (double)row->min && value <= (double)row->max))
        return say("--%s takes a number, %" PRId64 " - %" PRId64 ", not '%s'", row->name, row->min,
                   row->max, text);
    *(double *)row->to = value;
    return true;
}

static bool add_to_list(const struct option_row *row, const char *text)
{
    struct option_list *list = row->to;
    if (list->n == OPTION_LIST_MAX)
        return say("--%s may be repeated %d times at most", row->name, OPTION_LIST_MAX);
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
        if (!text[0])
            return say("--%s needs a value", row->name);
        *(const char **)row->to = text;
        return true;
    case OPTION_INTEGER:
    case OPTION_AMOUNT:
        return set_integer(row, text);
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

#define COLUMNS     80
#define HELP_COLUMN 27 /* of an option's help */

/* Prints a line of text, breaking it between words before it passes the last column. `at` is the
 * column of its first word, `indent` that of the lines after a break. Gives what follows the
 * line. */
static const char *print_wrapped(const char *text, size_t at, size_t indent)
{
    size_t column = at;
    while (*text && *text != '\n') {
        size_t word = strcspn(text, " \n");
        if (column > at && column + 1 + word >= COLUMNS) {
            printf("\n%*s", (int)indent, "");
            column = at = indent;
        } else if (column > at) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
    return *text ? text + 1 : text;
}

static void print_paragraphs(const char *text, size_t at)
{
    for (; *text; at = 0) {
        size_t line = strcspn(text, "\n");
        if (*text == ' ') {
            printf("%.*s\n", (int)line, text);
            text += line + (text[line] != '\0');
        } else {
            text = print_wrapped(text, at, 0);
        }
    }
}

static void print_row(const char *name, const char *value, const char *help)
{
    char left[64];
    snprintf(left, sizeof(left), "--%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-24s ", left);
    if (strlen(left) > 24)
        printf("\n%*s", HELP_COLUMN, "");
    print_wrapped(help, HELP_COLUMN, HELP_COLUMN);
}

static bool has_row(const struct command *command, const char *name)
{
    for (const struct option_row *row = command->options; row && row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return true;
    }
    return false;
}

static void print_help(const struct command *command, const struct option_row *common)
{
    printf("usage: ration %s%s%s\n\n", command->name, command->name[0] ? " " : "",
           command->synopsis);
    print_paragraphs(command->about, 0);
    if (command->options)
        printf("\noptions:\n");
    for (const struct option_row *row = command->options; row && row->name; row++)
        print_row(row->name, row->value, row->help);
    printf("\noptions of every command:\n");
    for (const struct option_row *row = common; row->name; row++) {
        if (!has_row(command, row->name))
            print_row(row->name, row->value, row->help);
    }
    print_row("help", NULL, "show this");
    print_row("version", NULL, "show the version");
    printf("\nThe credential comes from RATION_SECRET or --secret-file, its user from\n"
           "RATION_TENANT.\n\nexit status: ");
    print_paragraphs(command->exits ? command->exits : "0 granted or done, 1 denied, 2 an error",
                     strlen("exit status: "));
}

/* ---- Parsing ---- */

/* What getopt_long() wants, and the rows behind it. */
struct known {
    struct option longs[MAX_ROWS + 1];
    const struct option_row *rows[MAX_ROWS];
    size_t n;
};

/* A command's own rows come first and hide the common ones of the same name. */
static void add_rows(struct known *known, const struct option_row *row,
                     const struct command *hidden_by)
{
    for (; row && row->name && known->n < MAX_ROWS - 2; row++) {
        if (hidden_by && has_row(hidden_by, row->name))
            continue;
        known->rows[known->n] = row;
        known->longs[known->n] =
            (struct option){.name = row->name,
                            .has_arg = row->kind == OPTION_FLAG ? no_argument : required_argument,
                            .val = FIRST_VAL + (int)known->n};
        known->n++;
    }
}

static void complain(const struct command *command, char **argv, int what, int index)
{
    const char *space = command->name[0] ? " " : "";
    if (what == ':')
        say("%s needs a value", argv[index]);
    else
        say("'ration%s%s' has no option '%s'", space, command->name, argv[index]);
    say("'ration%s%s --help' lists the options", space, command->name);
}

/* Takes the arguments that follow the options. False after saying what is missing or too many. */
static bool take_arguments(const struct command *command, char **argv)
{
    const size_t most = sizeof(command->arguments) / sizeof(command->arguments[0]);
    const struct argument *argument = command->arguments;
    for (size_t i = 0; i < most && argument[i].to; i++) {
        const char *needed = argument[i].needed;
        if (!*argument[i].to && *argv && !(needed && needed[0] == '-'))
            *argument[i].to = *argv++;
        if (*argument[i].to || !needed)
            continue;
        return say("%s needs %s; see 'ration %s --help'", command->name, needed, command->name);
    }
    if (command->rest)
        *command->rest = argv;
    else if (*argv)
        say("unexpected argument '%s'; usage: ration %s %s", *argv, command->name,
            command->synopsis);
    return command->rest || !*argv;
}

/* Gives the index of the first argument that is not an option (getopt moves them to the end); 0
 * after --help and --version; -1 after saying what is wrong. */
static int parse(const struct command *command, const struct known *known,
                 const struct option_row *common, int argc, char **argv)
{
    optind = 0; /* glibc: start anew */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int c = getopt_long(argc, argv, command->rest ? "+:h" : ":h", known->longs, NULL);
        if (c == -1)
            return optind;
        if (c == 'h' || c == 'V') {
            if (c == 'h')
                print_help(command, common);
            else
                printf("ration %s\n", ration_version());
            return 0;
        }
        if (c < FIRST_VAL) {
            complain(command, argv, c, c == ':' || optind > at ? optind - 1 : at);
            return -1;
        }
        if (!set_value(known->rows[c - FIRST_VAL], optarg))
            return -1;
    }
}

bool options_parse(const struct command *command, struct session *session, int argc, char **argv,
                   int *code)
{
    char deadline[64];
    const struct option_row common[] = {
        {"server", OPTION_STRING, &session->servers, 0, 0, "ADDR[,ADDR]",
         "host:port or unix:/path; default: RATION_SERVERS, else 127.0.0.1:7420"},
        {"timeout", OPTION_INTEGER, &session->timeout_ms, 1, 600000, "MS", deadline},
        {"secret-file", OPTION_STRING, &session->secret_file, 0, 0, "FILE",
         "its first line is the credential"},
        {"json", OPTION_FLAG, &session->json, 0, 0, NULL, "JSON on stdout, for programs"},
        {0}};
    struct known known = {.n = 0};
    snprintf(deadline, sizeof(deadline), "deadline of a request; default %" PRId64,
             command->timeout_ms ? command->timeout_ms : SESSION_TIMEOUT_MS);
    add_rows(&known, command->options, NULL);
    add_rows(&known, common, command);
    known.longs[known.n] = (struct option){.name = "help", .val = 'h'};
    known.longs[known.n + 1] = (struct option){.name = "version", .val = 'V'};
    int at = parse(command, &known, common, argc, argv);
    *code = at == 0 ? EXIT_GRANTED : EXIT_WRONG;
    return at > 0 && take_arguments(command, argv + at);
}
