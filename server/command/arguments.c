/*
 * Reading units and options.
 *
 * Numbers are whole decimal numbers and nothing else: "1e3", "NaN", "+5", "5.0" and "-1" are
 * refused with the valid range, so that nothing but exact integers ever gets near a limit.
 */
#include "command/arguments.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "command/command.h"
#include "config/config.h"
#include "policy/limit.h"

enum option_value { TAKES_NOTHING, TAKES_NUMBER, TAKES_TEXT, TAKES_MORE };

static const struct option {
    const char *word;
    enum option_value takes;
    int64_t min, max;
    const char *of; /* what the number counts, for people */
} options_known[ARGUMENT_OPTION_COUNT] = {
    [ARGUMENT_PRIORITY] = {"PRIORITY", TAKES_NUMBER, 0, RATION_PRIORITIES - 1,
                           " (0 real time, 1 standard, 2 background)"},
    [ARGUMENT_WAIT] = {"WAIT", TAKES_NUMBER, 0, RATION_MAX_WAIT_MS, " ms"},
    [ARGUMENT_TTL] = {"TTL", TAKES_NUMBER, RATION_MIN_TTL_MS, RATION_MAX_TTL_MS, " ms"},
    [ARGUMENT_ID] = {"ID", TAKES_TEXT, 0, 0, ""},
    [ARGUMENT_DRYRUN] = {"DRYRUN", TAKES_NOTHING, 0, 0, ""},
    [ARGUMENT_STATUS] = {"STATUS", TAKES_NUMBER, 100, 599, " (an HTTP status)"},
    [ARGUMENT_RETRY_AFTER] = {"RETRY_AFTER", TAKES_NUMBER, 0, RATION_MAX_AMOUNT, " ms"},
    [ARGUMENT_PARTIAL] = {"PARTIAL", TAKES_NOTHING, 0, 0, ""},
    [ARGUMENT_FAILED] = {"FAILED", TAKES_NOTHING, 0, 0, ""},
    [ARGUMENT_EXHAUSTED] = {"EXHAUSTED", TAKES_TEXT, 0, 0, ""},
    [ARGUMENT_REMAINING] = {"REMAINING", TAKES_MORE, 0, 0, ""},
    [ARGUMENT_LEARNED] = {"LEARNED", TAKES_NOTHING, 0, 0, ""},
    [ARGUMENT_TENANT] = {"TENANT", TAKES_TEXT, 0, 0, ""},
};

bool argument_is(const struct arg *arg, const char *word)
{
    return strlen(word) == arg->n && strncasecmp(word, arg->p, arg->n) == 0;
}

bool argument_number(const struct arg *arg, int64_t min, int64_t max, int64_t *out)
{
    enum { MAX_DIGITS = 18 }; /* fit into 63 bits whatever they are */
    int64_t value = 0;
    if (arg->n == 0 || arg->n > MAX_DIGITS)
        return false;
    for (size_t i = 0; i < arg->n; i++) {
        if (arg->p[i] < '0' || arg->p[i] > '9')
            return false;
        value = value * 10 + (arg->p[i] - '0');
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

static bool need_value(struct request *r, const char *word, bool there)
{
    if (!there)
        command_usage(r, "%s needs a value after it", word);
    return there;
}

static bool read_unit(struct request *r, const struct arg *args, size_t i, size_t n, unsigned units,
                      unsigned unit, struct arguments *out)
{
    char shown[RESP_SHOW_BYTES];
    const char *name = limit_unit_name(unit);
    if (!(units & 1u << unit)) {
        command_usage(r, "%s cannot be given here: %s", name,
                      unit == RATION_UNIT_CONCURRENT ? "a report always frees the call's slot"
                                                     : "it is not counted");
        return false;
    }
    if (out->stated & 1u << unit) {
        command_usage(r, "%s is given twice", name);
        return false;
    }
    if (!need_value(r, name, i + 1 < n))
        return false;
    if (!argument_number(&args[i + 1], 0, RATION_MAX_COST, &out->amounts[unit])) {
        command_usage(r, "%s needs a whole number from 0 to %lld%s, not '%s'", name,
                      (long long)RATION_MAX_COST,
                      unit == RATION_UNIT_USD ? " (millionths of a dollar)" : "",
                      resp_show(shown, args[i + 1].p, args[i + 1].n));
        return false;
    }
    out->stated |= (uint8_t)(1u << unit);
    return true;
}

static bool read_option(struct request *r, const struct arg *args, size_t i, size_t n,
                        unsigned which, struct arguments *out)
{
    char shown[RESP_SHOW_BYTES];
    const struct option *option = &options_known[which];
    if (out->given & ARGUMENT_BIT(which)) {
        command_usage(r, "%s is given twice", option->word);
        return false;
    }
    out->given |= ARGUMENT_BIT(which);
    if (option->takes == TAKES_NOTHING)
        return true;
    if (!need_value(r, option->word, i + 1 < n))
        return false;
    if (option->takes == TAKES_TEXT) {
        if (which == ARGUMENT_EXHAUSTED && !argument_is_reason(r, option->word, &args[i + 1]))
            return false;
        *(which == ARGUMENT_ID       ? &out->id
          : which == ARGUMENT_TENANT ? &out->tenant
                                     : &out->reason) = args[i + 1];
        return true;
    }
    if (argument_number(&args[i + 1], option->min, option->max, &out->values[which]))
        return true;
    command_usage(r, "%s needs a whole number from %lld to %lld%s, not '%s'", option->word,
                  (long long)option->min, (long long)option->max, option->of,
                  resp_show(shown, args[i + 1].p, args[i + 1].n));
    return false;
}

/* Reads LIMIT n and PER ms after a REMAINING. Returns how many arguments that took; -1: the request
 * has been answered. */
static int read_remaining_options(struct request *r, const struct arg *args, size_t i, size_t n,
                                  struct op_header *header)
{
    char shown[RESP_SHOW_BYTES];
    size_t from = i;
    for (; i < n; i += 2) {
        bool limit = argument_is(&args[i], "LIMIT");
        if (!limit && !argument_is(&args[i], "PER"))
            break;
        int64_t *to = limit ? &header->limit : &header->per_ms;
        if (i + 1 == n || *to != 0 || !argument_number(&args[i + 1], 1, RATION_MAX_AMOUNT, to)) {
            command_usage(r, "%s of REMAINING needs one whole number from 1 to %lld%s, not '%s'",
                          limit ? "LIMIT" : "PER", (long long)RATION_MAX_AMOUNT, limit ? "" : " ms",
                          i + 1 == n ? "" : resp_show(shown, args[i + 1].p, args[i + 1].n));
            return -1;
        }
    }
    return (int)(i - from);
}

/* REMAINING unit n [LIMIT n] [PER ms]. Returns as read_remaining_options. */
static int read_remaining(struct request *r, const struct arg *args, size_t i, size_t n,
                          struct arguments *out)
{
    unsigned unit = 0;
    if (out->n_headers == RATION_MAX_PROVIDER_LIMITS) {
        command_usage(r, "REMAINING is given more than %d times", RATION_MAX_PROVIDER_LIMITS);
        return -1;
    }
    while (unit < RATION_UNIT_CONCURRENT &&
           !(i + 1 < n && argument_is(&args[i + 1], limit_unit_name(unit))))
        unit++;
    struct op_header *header = &out->headers[out->n_headers];
    *header = (struct op_header){.unit = (uint8_t)unit};
    if (unit == RATION_UNIT_CONCURRENT || i + 2 >= n ||
        !argument_number(&args[i + 2], 0, RATION_MAX_AMOUNT, &header->remaining)) {
        command_usage(r,
                      "REMAINING needs a unit (requests, tokens, input_tokens, output_tokens, usd) "
                      "and a whole number from 0 to %lld",
                      (long long)RATION_MAX_AMOUNT);
        return -1;
    }
    out->n_headers++;
    int more = read_remaining_options(r, args, i + 3, n, header);
    return more < 0 ? -1 : 3 + more;
}

static bool unknown_word(struct request *r, const struct arg *arg)
{
    char shown[RESP_SHOW_BYTES];
    command_usage(r,
                  "'%s' is neither an option nor a unit (requests, tokens, input_tokens, "
                  "output_tokens, usd, concurrent)",
                  resp_show(shown, arg->p, arg->n));
    return false;
}

bool argument_is_reason(struct request *r, const char *word, const struct arg *arg)
{
    bool ok = arg->n >= 1 && arg->n <= RATION_MAX_REASON_BYTES;
    for (size_t i = 0; i < arg->n && ok; i++)
        ok = arg->p[i] > 0x20 && arg->p[i] < 0x7f;
    if (!ok)
        command_usage(r,
                      "%s needs a reason: 1 to %d bytes of printable ASCII without spaces, such as "
                      "insufficient_quota",
                      word, RATION_MAX_REASON_BYTES);
    return ok;
}

bool arguments_read(struct request *r, const struct arg *args, size_t from, size_t n,
                    unsigned options, unsigned units, struct arguments *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = from; i < n;) {
        unsigned which = 0, unit = 0;
        while (unit < RATION_UNIT_COUNT && !argument_is(&args[i], limit_unit_name(unit)))
            unit++;
        if (unit < RATION_UNIT_COUNT) {
            if (!read_unit(r, args, i, n, units, unit, out))
                return false;
            i += 2;
            continue;
        }
        while (which < ARGUMENT_OPTION_COUNT && !((options & ARGUMENT_BIT(which)) &&
                                                  argument_is(&args[i], options_known[which].word)))
            which++;
        if (which == ARGUMENT_OPTION_COUNT)
            return unknown_word(r, &args[i]);
        if (which == ARGUMENT_REMAINING) {
            int read = read_remaining(r, args, i, n, out);
            if (read < 0)
                return false;
            i += (size_t)read;
            continue;
        }
        if (!read_option(r, args, i, n, which, out))
            return false;
        i += options_known[which].takes == TAKES_NOTHING ? 1 : 2;
    }
    return true;
}

bool arguments_to_op(struct request *r, const struct arguments *arguments)
{
    struct op *op = &r->op;
    int64_t parts = arguments->amounts[RATION_UNIT_INPUT_TOKENS] +
                    arguments->amounts[RATION_UNIT_OUTPUT_TOKENS];
    if (parts > RATION_MAX_COST) {
        command_usage(r, "input_tokens and output_tokens together exceed %lld",
                      (long long)RATION_MAX_COST);
        return false;
    }
    memcpy(op->amounts, arguments->amounts, sizeof op->amounts);
    op->stated = arguments->stated;
    op->ttl_ms = arguments->given & ARGUMENT_BIT(ARGUMENT_TTL)
                     ? (uint32_t)arguments->values[ARGUMENT_TTL]
                     : op->config->ttl_ms;
    if (op->kind != OP_REPORT) {
        op_complete_amounts(op);
    } else if ((op->stated & ARGUMENT_PARTS) == ARGUMENT_PARTS &&
               !(op->stated & 1u << RATION_UNIT_TOKENS)) {
        op->amounts[RATION_UNIT_TOKENS] = parts;
        op->stated |= 1u << RATION_UNIT_TOKENS;
    }
    return true;
}
