/*
 * Writes RESP. hiredis could format commands too, but the release in Debian 12 (0.14.1) aborts the
 * process when memory runs out, and its result is unbounded; this is shorter than guarding against
 * both.
 */
#include "wire/command.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void command_init(struct command *cmd, const char *verb)
{
    cmd->start = cmd->len = COMMAND_HEAD;
    cmd->argc = 0;
    cmd->overflow = false;
    command_arg(cmd, verb);
}

void command_arg(struct command *cmd, const char *arg)
{
    size_t len = strnlen(arg, sizeof(cmd->buf));
    size_t room = sizeof(cmd->buf) - cmd->len;
    if (cmd->overflow || len + 16 > room || cmd->argc == RATION_MAX_ARGS) {
        cmd->overflow = true;
        return;
    }
    int head = snprintf(cmd->buf + cmd->len, room, "$%zu\r\n", len);
    cmd->len += (size_t)head;
    memcpy(cmd->buf + cmd->len, arg, len);
    memcpy(cmd->buf + cmd->len + len, "\r\n", 2);
    cmd->len += len + 2;
    cmd->argc++;
}

void command_option(struct command *cmd, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    command_arg(cmd, name);
    command_arg(cmd, digits);
}

void command_unit(struct command *cmd, enum ration_unit unit, int64_t value)
{
    static const char *const names[] = {
#define UNIT_NAME(upper, name) name,
        RATION_UNITS(UNIT_NAME)
#undef UNIT_NAME
    };
    assert((unsigned)unit < RATION_UNIT_COUNT);
    command_option(cmd, names[unit], value);
}

int command_amounts(struct command *cmd, const struct ration_amounts *amounts, bool slots)
{
    const int64_t values[RATION_UNIT_COUNT] = {
        [RATION_UNIT_REQUESTS] = amounts->requests,
        [RATION_UNIT_TOKENS] = amounts->tokens,
        [RATION_UNIT_INPUT_TOKENS] = amounts->input_tokens,
        [RATION_UNIT_OUTPUT_TOKENS] = amounts->output_tokens,
        [RATION_UNIT_USD] = amounts->usd_millionths,
        [RATION_UNIT_CONCURRENT] = slots ? amounts->concurrent : 0,
    };
    for (size_t i = 0; i < RATION_UNIT_COUNT; i++) {
        if (values[i] == 0)
            continue;
        if (values[i] != RATION_ZERO && (values[i] < 0 || values[i] > RATION_MAX_COST))
            return RATION_EINVALID;
        command_unit(cmd, (enum ration_unit)i, values[i] == RATION_ZERO ? 0 : values[i]);
    }
    return 0;
}

int command_finish(struct command *cmd)
{
    char head[COMMAND_HEAD];
    if (cmd->overflow)
        return RATION_EINVALID;
    int len = snprintf(head, sizeof(head), "*%u\r\n", cmd->argc);
    cmd->start = COMMAND_HEAD - (size_t)len;
    memcpy(cmd->buf + cmd->start, head, (size_t)len);
    return 0;
}
