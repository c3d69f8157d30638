/*
 * REPORT id [unit n]... [STATUS http] [RETRY_AFTER ms] [PARTIAL] [FAILED] [EXHAUSTED reason]
 *           [REMAINING unit n [LIMIT n] [PER ms]]... [TENANT name]
 * CANCEL id [FAILED] [TENANT name]
 *
 * The provider's answer becomes feedback for the script, which has never heard of HTTP: did the
 * call fail, how long should the pool pause, should it close? The script acts on it only when the
 * report settles, so a report that is sent twice has no second effect.
 */
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "command/operation.h"

#define OPTIONS                                                                                    \
    (ARGUMENT_BIT(ARGUMENT_STATUS) | ARGUMENT_BIT(ARGUMENT_RETRY_AFTER) |                          \
     ARGUMENT_BIT(ARGUMENT_PARTIAL) | ARGUMENT_BIT(ARGUMENT_FAILED) |                              \
     ARGUMENT_BIT(ARGUMENT_EXHAUSTED) | ARGUMENT_BIT(ARGUMENT_REMAINING) |                         \
     ARGUMENT_BIT(ARGUMENT_TENANT))
/* Any report frees the call's slot. */
#define REPORTED_UNITS (ARGUMENT_ALL_UNITS & ~(1u << RATION_UNIT_CONCURRENT))

enum { TOO_MANY = 429, UNAVAILABLE = 503, OVERLOADED = 529, SERVER_ERROR = 500 };
enum { PAUSE_UNSAID_MS = 1000, PAUSE_LONGEST_MS = 86400000 };
#define CLOSING_LONGEST_MS ((int64_t)32 * PAUSE_LONGEST_MS)

/* How long the pool stays closed; 0: until an operator opens it. */
static uint32_t closing_of(const struct arguments *arguments)
{
    int64_t ms = arguments->given & ARGUMENT_BIT(ARGUMENT_RETRY_AFTER)
                     ? arguments->values[ARGUMENT_RETRY_AFTER]
                     : 0;
    return (uint32_t)(ms < CLOSING_LONGEST_MS ? ms : CLOSING_LONGEST_MS);
}

static uint32_t pause_of(const struct arguments *arguments)
{
    int64_t status = arguments->values[ARGUMENT_STATUS];
    bool said = arguments->given & ARGUMENT_BIT(ARGUMENT_RETRY_AFTER);
    if (status != TOO_MANY && !(said && (status == UNAVAILABLE || status == OVERLOADED)))
        return 0;
    int64_t ms = said ? arguments->values[ARGUMENT_RETRY_AFTER] : PAUSE_UNSAID_MS;
    return (uint32_t)(ms < PAUSE_LONGEST_MS ? ms : PAUSE_LONGEST_MS);
}

static void set_feedback(struct op *op, const struct arguments *arguments)
{
    op->feedback.failed = (arguments->given & ARGUMENT_BIT(ARGUMENT_FAILED)) ||
                          arguments->values[ARGUMENT_STATUS] >= SERVER_ERROR;
    op->feedback.pause_ms = pause_of(arguments);
    if (arguments->given & ARGUMENT_BIT(ARGUMENT_EXHAUSTED)) {
        memcpy(op->reason, arguments->reason.p, arguments->reason.n);
        op->reason[arguments->reason.n] = '\0';
        op->feedback.pause_ms = closing_of(arguments);
    }
    op->feedback.n_headers = (uint8_t)arguments->n_headers;
    memcpy(op->feedback.headers, arguments->headers,
           arguments->n_headers * sizeof arguments->headers[0]);
}

/* A call that succeeded and stated its tokens teaches what such calls use. */
static bool teaches(const struct op *op, const struct arguments *arguments)
{
    int64_t status = arguments->values[ARGUMENT_STATUS];
    return !op->partial && !op->feedback.failed &&
           (status == 0 || (status >= 200 && status < 300)) && (op->stated & ARGUMENT_PARTS) != 0;
}

void cmd_report(struct request *r, const struct arg *args, size_t n)
{
    struct arguments arguments;
    if (!arguments_read(r, args, 2, n, OPTIONS, REPORTED_UNITS, &arguments))
        return;
    operation_init(r, OP_REPORT);
    if (!names_resolve_id(r, &args[1], &arguments.tenant) || !arguments_to_op(r, &arguments))
        return;
    r->op.partial = arguments.given & ARGUMENT_BIT(ARGUMENT_PARTIAL);
    set_feedback(&r->op, &arguments);
    r->op.learned = teaches(&r->op, &arguments);
    operation_submit(r);
}

void cmd_cancel(struct request *r, const struct arg *args, size_t n)
{
    struct arguments arguments;
    if (!arguments_read(r, args, 2, n,
                        ARGUMENT_BIT(ARGUMENT_FAILED) | ARGUMENT_BIT(ARGUMENT_TENANT), 0,
                        &arguments))
        return;
    operation_init(r, OP_CANCEL);
    if (!names_resolve_id(r, &args[1], &arguments.tenant))
        return;
    r->op.feedback.failed = arguments.given & ARGUMENT_BIT(ARGUMENT_FAILED);
    operation_submit(r);
}
