/*
 * REPORT id [unit n]... [STATUS http] [RETRY_AFTER ms] [PARTIAL]
 * CANCEL id
 *
 * STATUS and RETRY_AFTER are what the provider answered. They are checked, so that a client's mistake shows, and not
 * yet acted upon.
 */
#include "command.h"
#include "names.h"
#include "words.h"

#define OPTIONS (WORD_BIT(WORD_STATUS) | WORD_BIT(WORD_RETRY_AFTER) | WORD_BIT(WORD_PARTIAL))
/* A call's slot is freed by the report itself. */
#define REPORTED_UNITS (((1u << RATION_UNIT_COUNT) - 1) & ~(1u << RATION_UNIT_CONCURRENT))

void cmd_report(struct request *r, const struct arg *args, size_t n)
{
    struct words words;
    if (!words_read(r, args, 2, n, OPTIONS, REPORTED_UNITS, &words))
        return;
    request_op_init(r, OP_REPORT);
    if (!names_resolve_id(r, &args[1]) || !words_to_op(r, &words))
        return;
    r->op.partial = words.seen & WORD_BIT(WORD_PARTIAL);
    request_submit(r);
}

void cmd_cancel(struct request *r, const struct arg *args, size_t n)
{
    (void)n;
    request_op_init(r, OP_CANCEL);
    if (names_resolve_id(r, &args[1]))
        request_submit(r);
}
