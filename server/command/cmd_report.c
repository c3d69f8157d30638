/*
 * REPORT id [unit n]... [STATUS http] [RETRY_AFTER ms] [PARTIAL] [FAILED] [EXHAUSTED reason]
 *           [REMAINING unit n [LIMIT n] [PER ms]]... [TENANT name]
 * CANCEL id [FAILED] [TENANT name]
 *
 * What the provider answered becomes feedback for the script, which has never heard of HTTP: did the call fail, how long is
 * the pool to pause, is it to be closed. The script acts upon it when the report settles, and only then, so that a
 * report that is sent twice tells nothing twice.
 */
#include <string.h>

#include "command/command.h"
#include "command/names.h"
#include "command/arguments.h"

#define OPTIONS                                                                                    \
    (WORD_BIT(WORD_STATUS) | WORD_BIT(WORD_RETRY_AFTER) | WORD_BIT(WORD_PARTIAL) |                 \
     WORD_BIT(WORD_FAILED) | WORD_BIT(WORD_EXHAUSTED) | WORD_BIT(WORD_REMAINING) |                 \
     WORD_BIT(WORD_TENANT))
/* A call's slot is freed by the report itself. */
#define REPORTED_UNITS (((1u << RATION_UNIT_COUNT) - 1) & ~(1u << RATION_UNIT_CONCURRENT))

enum { TOO_MANY = 429, UNAVAILABLE = 503, OVERLOADED = 529, SERVER_ERROR = 500 };
enum { PAUSE_UNSAID_MS = 1000, PAUSE_LONGEST_MS = 86400000 };
#define CLOSING_LONGEST_MS ((int64_t)32 * PAUSE_LONGEST_MS)

/* For how long the pool is closed; 0: until an operator opens it. */
static uint32_t closing_of(const struct words *words)
{
    int64_t ms = words->seen & WORD_BIT(WORD_RETRY_AFTER) ? words->values[WORD_RETRY_AFTER] : 0;
    return (uint32_t)(ms < CLOSING_LONGEST_MS ? ms : CLOSING_LONGEST_MS);
}

static uint32_t pause_of(const struct words *words)
{
    int64_t status = words->values[WORD_STATUS];
    bool said = words->seen & WORD_BIT(WORD_RETRY_AFTER);
    if (status != TOO_MANY && !(said && (status == UNAVAILABLE || status == OVERLOADED)))
        return 0;
    int64_t ms = said ? words->values[WORD_RETRY_AFTER] : PAUSE_UNSAID_MS;
    return (uint32_t)(ms < PAUSE_LONGEST_MS ? ms : PAUSE_LONGEST_MS);
}

static void set_news(struct op *op, const struct words *words)
{
    op->feedback.failed =
        (words->seen & WORD_BIT(WORD_FAILED)) || words->values[WORD_STATUS] >= SERVER_ERROR;
    op->feedback.pause_ms = pause_of(words);
    if (words->seen & WORD_BIT(WORD_EXHAUSTED)) {
        memcpy(op->reason, words->reason.p, words->reason.n);
        op->reason[words->reason.n] = '\0';
        op->feedback.pause_ms = closing_of(words);
    }
    op->feedback.n_headers = (uint8_t)words->n_headers;
    memcpy(op->feedback.headers, words->headers, words->n_headers * sizeof words->headers[0]);
}

/* A call teaches what calls come to when it went well and says so. */
static bool teaches(const struct op *op, const struct words *words)
{
    enum { PARTS = 1u << RATION_UNIT_INPUT_TOKENS | 1u << RATION_UNIT_OUTPUT_TOKENS };
    int64_t status = words->values[WORD_STATUS];
    return !op->partial && !op->feedback.failed &&
           (status == 0 || (status >= 200 && status < 300)) && (op->stated & PARTS) != 0;
}

void cmd_report(struct request *r, const struct arg *args, size_t n)
{
    struct words words;
    if (!words_read(r, args, 2, n, OPTIONS, REPORTED_UNITS, &words))
        return;
    request_op_init(r, OP_REPORT);
    if (!names_resolve_id(r, &args[1], &words.tenant) || !words_to_op(r, &words))
        return;
    r->op.partial = words.seen & WORD_BIT(WORD_PARTIAL);
    set_news(&r->op, &words);
    r->op.learned = teaches(&r->op, &words);
    request_submit(r);
}

void cmd_cancel(struct request *r, const struct arg *args, size_t n)
{
    struct words words;
    if (!words_read(r, args, 2, n, WORD_BIT(WORD_FAILED) | WORD_BIT(WORD_TENANT), 0, &words))
        return;
    request_op_init(r, OP_CANCEL);
    if (!names_resolve_id(r, &args[1], &words.tenant))
        return;
    r->op.feedback.failed = words.seen & WORD_BIT(WORD_FAILED);
    request_submit(r);
}
