/*
 * The arguments after a command's fixed ones: units with amounts, and options, in any order and
 * case.
 */
#ifndef RATIOND_ARGUMENTS_H
#define RATIOND_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

#include "net/request.h"
#include "net/resp.h"

enum argument_option {
    ARGUMENT_PRIORITY,
    ARGUMENT_WAIT,
    ARGUMENT_TTL,
    ARGUMENT_ID,
    ARGUMENT_DRYRUN,
    ARGUMENT_STATUS,
    ARGUMENT_RETRY_AFTER,
    ARGUMENT_PARTIAL,
    ARGUMENT_FAILED,
    ARGUMENT_EXHAUSTED,
    ARGUMENT_REMAINING,
    ARGUMENT_LEARNED,
    ARGUMENT_TENANT,
    ARGUMENT_OPTION_COUNT
};

#define ARGUMENT_BIT(option) (1u << (option))

/* Sets of units, with bit 1 << unit. */
#define ARGUMENT_ALL_UNITS ((1u << RATION_UNIT_COUNT) - 1)
#define ARGUMENT_PARTS     (1u << RATION_UNIT_INPUT_TOKENS | 1u << RATION_UNIT_OUTPUT_TOKENS)

struct arguments {
    unsigned given;                        /* ARGUMENT_BIT(option) of each option given */
    uint8_t stated;                        /* bit 1 << unit of each unit given */
    int64_t amounts[RATION_UNIT_COUNT];    /* 0 if not given */
    int64_t values[ARGUMENT_OPTION_COUNT]; /* of options that take a number */
    struct arg id;                         /* of ID: as written */
    struct arg reason;                     /* of EXHAUSTED */
    struct arg tenant;                     /* of TENANT; p is NULL if it was not there */
    size_t n_headers;                      /* REMAINING */
    struct op_header headers[RATION_MAX_PROVIDER_LIMITS];
};

/*
 * Reads args[from..n). `options` are the ARGUMENT_BITs that the command knows, `units` the units
 * (bit 1 << unit). Returns true, or false if the request has been answered with an error.
 */
bool arguments_read(struct request *request, const struct arg *args, size_t from, size_t n,
                    unsigned options, unsigned units, struct arguments *out);

/* Puts amounts and TTL (by default the configuration's) into request->op, and derives what follows
 * from them. Returns as arguments_read. */
bool arguments_to_op(struct request *request, const struct arguments *arguments);

/* Is the argument this (upper-case) word, in any case? */
bool argument_is(const struct arg *arg, const char *word);
/* Is it a valid reason to close a pool: 1-64 bytes of printable ASCII without spaces? If not, the
 * request is answered. */
bool argument_is_reason(struct request *request, const char *word, const struct arg *arg);
/* Reads a whole decimal number from min to max: digits only, no sign, point or exponent. */
bool argument_number(const struct arg *arg, int64_t min, int64_t max, int64_t *out);

#endif
