/*
 * Command lines, one table row an option: parsing, checking ranges and --help all come from the row. The options of
 * struct session are added to every table. Values borrow from argv.
 */
#ifndef RATION_TOOL_OPTIONS_H
#define RATION_TOOL_OPTIONS_H

#include "tool/session.h"

#include <stddef.h>

enum option_kind {
    OPTION_FLAG,    /* bool, no value */
    OPTION_STRING,  /* const char * */
    OPTION_INTEGER, /* int64_t, min - max */
    OPTION_AMOUNT,  /* int64_t, 0 - RATION_MAX_COST, where 0 becomes RATION_ZERO */
    OPTION_DOLLARS, /* int64_t of millionths, from decimal dollars; 0 becomes RATION_ZERO */
    OPTION_DECIMAL, /* double, min - max */
    OPTION_LIST,    /* struct option_list: may be given again and again */
};

#define OPTION_LIST_MAX 32

struct option_list {
    const char *at[OPTION_LIST_MAX];
    size_t n;
};

struct option_row {
    const char *name;
    enum option_kind kind;
    void *to;
    int64_t min;
    int64_t max;
    const char *value; /* as --help shows it */
    const char *help;
};

struct command_line {
    const char *name;     /* "acquire" */
    const char *synopsis; /* what follows the name */
    const char *about;    /* paragraphs of --help, above the options */
    const char *exits;    /* the exit status in words; NULL: as usual */
    const struct option_row *rows;
    size_t n;
    bool in_order;  /* options end at the first other argument */
    int max_others; /* arguments that are no options; -1: any number */
};

/* Both give >= 0: the index of the first argument that is no option (they are moved to the end), or OPTIONS_DONE after
 * --help, or OPTIONS_BAD after saying what is wrong. */
#define OPTIONS_DONE (-1)
#define OPTIONS_BAD  (-2)
int options_parse(const struct command_line *line, struct session *session, int argc, char **argv);

/* The exit code for a negative result. */
int options_exit(int parsed);

/* Rows for the units of an amount. */
#define OPTION_UNITS(a)                                                                            \
    {"tokens", OPTION_AMOUNT, &(a)->tokens, 0, 0, "N", "tokens, input and output together"},       \
        {"input-tokens", OPTION_AMOUNT, &(a)->input_tokens, 0, 0, "N", "tokens of the prompt"},    \
        {"output-tokens", OPTION_AMOUNT, &(a)->output_tokens, 0, 0, "N", "tokens of the answer"},  \
        {"requests", OPTION_AMOUNT, &(a)->requests, 0, 0, "N", "requests, where it is not one"},   \
    {                                                                                              \
        "usd", OPTION_DOLLARS, &(a)->usd_millionths, 0, 0, "DOLLARS", "money, as in 0.0125"        \
    }

#endif
