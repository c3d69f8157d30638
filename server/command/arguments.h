/*
 * The words after a command's first arguments: units with their amounts, and options, in any order and any case.
 */
#ifndef RATIOND_WORDS_H
#define RATIOND_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

#include "command/request.h"
#include "net/resp.h"

enum word_option {
    WORD_PRIORITY,
    WORD_WAIT,
    WORD_TTL,
    WORD_ID,
    WORD_DRYRUN,
    WORD_STATUS,
    WORD_RETRY_AFTER,
    WORD_PARTIAL,
    WORD_FAILED,
    WORD_EXHAUSTED,
    WORD_REMAINING,
    WORD_LEARNED,
    WORD_TENANT,
    WORD_OPTION_COUNT
};

#define WORD_BIT(option) (1u << (option))

struct words {
    unsigned seen;                      /* WORD_BIT(option) of each option that was there */
    uint8_t stated;                     /* bit 1 << unit of each unit that was there */
    int64_t amounts[RATION_UNIT_COUNT]; /* 0 where not stated */
    int64_t values[WORD_OPTION_COUNT];  /* of the options that take a number */
    struct arg id;                      /* of ID: as written */
    struct arg reason;                  /* of EXHAUSTED */
    struct arg tenant;                  /* of TENANT; p is NULL where it was not there */
    size_t n_headers;                      /* REMAINING */
    struct op_header headers[RATION_MAX_SEEN];
};

/*
 * Reads args[from..n). `options` are the WORD_BITs that the command knows, `units` the units (bit 1 << unit).
 * Returns true, or false when the request has been answered with what is wrong.
 */
bool words_read(struct request *request, const struct arg *args, size_t from, size_t n,
                unsigned options, unsigned units, struct words *out);

/* Puts amounts and TTL into request->op, the configuration's TTL where none is stated, and completes what follows from
 * them. Returns as words_read. */
bool words_to_op(struct request *request, const struct words *words);

/* Is the argument this word (upper case), in any case of letters? */
bool word_is(const struct arg *arg, const char *word);
/* Is it a reason for a pool to be closed: 1-64 bytes of printable ASCII without space? If not, the request is answered. */
bool words_reason_ok(struct request *request, const char *word, const struct arg *arg);
/* A whole number of decimal digits from min to max; no sign, no point, no exponent. */
bool word_number(const struct arg *arg, int64_t min, int64_t max, int64_t *out);

const char *unit_name(enum ration_unit unit);

#endif
