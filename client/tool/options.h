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

/* Rows, for a command whose values are in `args`. */
#define ROW_OF(name, kind, member, min, max, value, help)                                          \
    {                                                                                              \
        name, kind, &args.member, min, max, value, help                                            \
    }
#define FLAG(name, member, help)        ROW_OF(name, OPTION_FLAG, member, 0, 0, NULL, help)
#define TEXT(name, member, value, help) ROW_OF(name, OPTION_STRING, member, 0, 0, value, help)
#define LIST(name, member, value, help) ROW_OF(name, OPTION_LIST, member, 0, 0, value, help)
#define AMOUNT(name, member, help)      ROW_OF(name, OPTION_AMOUNT, member, 0, 0, "N", help)
#define WHOLE(name, member, min, max, value, help)                                                 \
    ROW_OF(name, OPTION_INTEGER, member, min, max, value, help)
#define DECIMAL(name, member, min, max, value, help)                                               \
    ROW_OF(name, OPTION_DECIMAL, member, min, max, value, help)

#define WHO_ROWS                                                                                   \
    TEXT("pool", pool, "POOL", "the pool, like openai/gpt-4o"),                                    \
        TEXT("tenant", tenant, "TENANT", "who is asking")
#define UNIT_ROWS                                                                                  \
    AMOUNT("tokens", amounts.tokens, "tokens, input and output together"),                         \
        AMOUNT("input-tokens", amounts.input_tokens, "tokens of the prompt"),                      \
        AMOUNT("output-tokens", amounts.output_tokens, "tokens of the answer"),                    \
        AMOUNT("requests", amounts.requests, "requests, if not one"),                              \
        ROW_OF("usd", OPTION_DOLLARS, amounts.usd_millionths, 0, 0, "DOLLARS",                     \
               "money, like 0.0125")
#define CONCURRENT_ROW AMOUNT("concurrent", amounts.concurrent, "calls in flight, if not one")
#define PRIORITY_ROW                                                                               \
    WHOLE("priority", priority, 0, RATION_PRIORITIES - 1, "0-2",                                   \
          "0 real time, 1 standard, 2 background; default: the tier's")
#define TTL_ROW(help) WHOLE("ttl", ttl_ms, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, "MS", help)

extern const struct command command_acquire, command_report, command_renew, command_cancel,
    command_peek, command_audit, command_call, command_pool, command_tenant, command_exec,
    command_presets, command_ping, command_replay, command_batch, command_bench;

#endif
