/*
 * RENEW id [TTL ms] [unit n]... [ID token] [TENANT name]
 *
 * The token, 16 hexadecimal digits of the caller's choice, tells an addition that is sent again from a second one.
 */
#include "command/command.h"
#include "command/names.h"
#include "command/arguments.h"

#define OPTIONS   (WORD_BIT(WORD_TTL) | WORD_BIT(WORD_ID) | WORD_BIT(WORD_TENANT))
#define ALL_UNITS ((1u << RATION_UNIT_COUNT) - 1)

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_token(struct request *r, const struct words *words)
{
    struct op *op = &r->op;
    char shown[RESP_SHOW_BYTES];
    if (!(words->seen & WORD_BIT(WORD_ID)))
        return true;
    bool good = words->id.n == 2 * sizeof op->token;
    for (size_t i = 0; good && i < sizeof op->token; i++) {
        int high = hex_digit(words->id.p[2 * i]), low = hex_digit(words->id.p[2 * i + 1]);
        good = high >= 0 && low >= 0;
        op->token[i] = (unsigned char)(high * 16 + low);
    }
    if (!good)
        request_usage(r, "ID needs a token of 16 hexadecimal digits, not '%s'",
                      resp_show(shown, words->id.p, words->id.n));
    op->has_token = good;
    return good;
}

void cmd_renew(struct request *r, const struct arg *args, size_t n)
{
    struct words words;
    if (!words_read(r, args, 2, n, OPTIONS, ALL_UNITS, &words))
        return;
    request_op_init(r, OP_RENEW);
    if (names_resolve_id(r, &args[1], &words.tenant) && read_token(r, &words) && words_to_op(r, &words))
        request_submit(r);
}
