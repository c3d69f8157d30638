/*
 * RENEW id [TTL ms] [unit n]... [ID token] [TENANT name]
 *
 * The token, 16 hexadecimal digits of the caller's choice, tells a resent addition from a second
 * one.
 */
#include "command/arguments.h"
#include "command/command.h"
#include "command/names.h"
#include "command/operation.h"
#include "text.h"

#define OPTIONS                                                                                    \
    (ARGUMENT_BIT(ARGUMENT_TTL) | ARGUMENT_BIT(ARGUMENT_ID) | ARGUMENT_BIT(ARGUMENT_TENANT))

static bool read_token(struct request *r, const struct arguments *arguments)
{
    struct op *op = &r->op;
    char shown[RESP_SHOW_BYTES];
    if (!(arguments->given & ARGUMENT_BIT(ARGUMENT_ID)))
        return true;
    bool good = arguments->id.n == 2 * sizeof op->token &&
                text_from_hex(arguments->id.p, op->token, sizeof op->token);
    if (!good)
        command_usage(r, "ID needs a token of 16 hexadecimal digits, not '%s'",
                      resp_show(shown, arguments->id.p, arguments->id.n));
    op->has_token = good;
    return good;
}

void cmd_renew(struct request *r, const struct arg *args, size_t n)
{
    struct arguments arguments;
    if (!arguments_read(r, args, 2, n, OPTIONS, ARGUMENT_ALL_UNITS, &arguments))
        return;
    operation_init(r, OP_RENEW);
    if (names_resolve_id(r, &args[1], &arguments.tenant) && read_token(r, &arguments) &&
        arguments_to_op(r, &arguments))
        operation_submit(r);
}
