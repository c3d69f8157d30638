/*
 * Commands and their options, as data: parsing, range checks, missing and unexpected arguments and
 * --help all come from here. The options of struct session are added to every command. Values
 * borrow from argv.
 */
#ifndef RATION_TOOL_OPTIONS_H
#define RATION_TOOL_OPTIONS_H

#include "tool/session.h"

#include <stddef.h>

enum option_kind {
    OPTION_FLAG,    /* bool, takes no value */
    OPTION_STRING,  /* const char * */
    OPTION_INTEGER, /* int64_t, min - max */
    OPTION_AMOUNT,  /* int64_t, 0 - RATION_MAX_COST; 0 becomes RATION_ZERO */
    OPTION_DOLLARS, /* int64_t of millionths, from decimal dollars; 0 becomes RATION_ZERO */
    OPTION_DECIMAL, /* double, min - max */
    OPTION_LIST,    /* struct option_list: may be repeated */
};

#define OPTION_LIST_MAX 32

struct option_list {
    const char *at[OPTION_LIST_MAX];
    size_t n;
};

/* A list of them ends with {0}. */
struct option_row {
    const char *name;
    enum option_kind kind;
    void *to;
    int64_t min;
    int64_t max;
    const char *value; /* as --help shows it */
    const char *help;
};

/* A value that a command takes besides its options, in this order, or that an option must set. */
struct argument {
    const char **to;    /* if an option has set it, no positional argument does */
    const char *needed; /* "a pool"; "--pool": only by that option; NULL: may be left out */
};

struct command {
    const char *name;
    const char *summary;  /* in 'ration --help' */
    const char *synopsis; /* what follows the name */
    const char *about;    /* above the options: wrapped, except lines that begin with a space */
    const char *exits;    /* the exit status in words; NULL: as usual */
    const struct option_row *options;
    struct argument arguments[4];
    char ***rest; /* gets all from the first other argument on; NULL: options may follow those */
    int64_t timeout_ms;                  /* default of --timeout; 0: SESSION_TIMEOUT_MS */
    bool no_server;                      /* runs without session->r */
    int (*run)(struct session *session); /* gives the exit code */
};

/* False if there is nothing to run: after --help, or after saying what is wrong. *code is the exit
 * code then. */
bool options_parse(const struct command *command, struct session *session, int argc, char **argv,
                   int *code);

/* Rows that several commands have. */
#define OPTION_WHO(pool, tenant)                                                                   \
    {"pool", OPTION_STRING, pool, 0, 0, "POOL", "the pool, like openai/gpt-4o"},                   \
    {                                                                                              \
        "tenant", OPTION_STRING, tenant, 0, 0, "TENANT", "who is asking"                           \
    }

#define OPTION_UNITS(a)                                                                            \
    {"tokens", OPTION_AMOUNT, &(a)->tokens, 0, 0, "N", "tokens, input and output together"},       \
        {"input-tokens", OPTION_AMOUNT, &(a)->input_tokens, 0, 0, "N", "tokens of the prompt"},    \
        {"output-tokens", OPTION_AMOUNT, &(a)->output_tokens, 0, 0, "N", "tokens of the answer"},  \
        {"requests", OPTION_AMOUNT, &(a)->requests, 0, 0, "N", "requests, if not one"},            \
    {                                                                                              \
        "usd", OPTION_DOLLARS, &(a)->usd_millionths, 0, 0, "DOLLARS", "money, like 0.0125"         \
    }

#define OPTION_CONCURRENT(a)                                                                       \
    {                                                                                              \
        "concurrent", OPTION_AMOUNT, &(a)->concurrent, 0, 0, "N", "calls in flight, if not one"    \
    }

#define OPTION_PRIORITY(to)                                                                        \
    {                                                                                              \
        "priority", OPTION_INTEGER, to, 0, RATION_PRIORITIES - 1, "0-2",                           \
            "0 real time, 1 standard, 2 background; default: the tier's"                           \
    }

extern const struct command command_acquire, command_report, command_renew, command_cancel,
    command_peek, command_audit, command_call, command_pool, command_tenant, command_exec,
    command_presets, command_ping, command_replay, command_batch, command_bench;

#endif
