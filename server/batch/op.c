/* Resetting an operation, and completing what an ACQUIRE states. */
#include "batch/op.h"

#include <string.h>

void op_clear(struct op *op)
{
    memset(op, 0, offsetof(struct op, id) + offsetof(struct id, slice));
    op->feedback.failed = false;
    op->feedback.pause_ms = 0;
    op->feedback.n_headers = 0;
    op->reason[0] = '\0';
}

static bool stated(const struct op *op, enum ration_unit unit)
{
    return op->stated & (1u << unit);
}

void op_complete_amounts(struct op *op)
{
    if (!stated(op, RATION_UNIT_REQUESTS))
        op->amounts[RATION_UNIT_REQUESTS] = op->kind == OP_ACQUIRE ? 1 : 0;
    if (!stated(op, RATION_UNIT_CONCURRENT))
        op->amounts[RATION_UNIT_CONCURRENT] = op->kind == OP_ACQUIRE ? 1 : 0;
    bool input = stated(op, RATION_UNIT_INPUT_TOKENS),
         output = stated(op, RATION_UNIT_OUTPUT_TOKENS);
    if (!stated(op, RATION_UNIT_TOKENS)) {
        op->amounts[RATION_UNIT_TOKENS] =
            op->amounts[RATION_UNIT_INPUT_TOKENS] + op->amounts[RATION_UNIT_OUTPUT_TOKENS];
    } else if (!input && !output) {
        /* It might all be input, or all output; the report will tell. */
        op->split_unknown = true;
        op->amounts[RATION_UNIT_INPUT_TOKENS] = op->amounts[RATION_UNIT_TOKENS];
        op->amounts[RATION_UNIT_OUTPUT_TOKENS] = op->amounts[RATION_UNIT_TOKENS];
    } else if (input != output) {
        enum ration_unit known = input ? RATION_UNIT_INPUT_TOKENS : RATION_UNIT_OUTPUT_TOKENS;
        enum ration_unit other = input ? RATION_UNIT_OUTPUT_TOKENS : RATION_UNIT_INPUT_TOKENS;
        int64_t rest = op->amounts[RATION_UNIT_TOKENS] - op->amounts[known];
        op->amounts[other] = rest > 0 ? rest : 0;
    }
}
