/*
 * Writes RESP. hiredis could format commands too, but the release in Debian 12 (0.14.1) aborts the
 * process when memory runs out, and its result is unbounded; this is shorter than guarding against
 * both.
 */
#include "wire/command.h"

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

int command_amounts(struct command *cmd, const struct ration_amounts *amounts, bool slots)
{
    const struct {
        const char *name;
        int64_t value;
    } units[] = {
        {"requests", amounts->requests},         {"tokens", amounts->tokens},
        {"input_tokens", amounts->input_tokens}, {"output_tokens", amounts->output_tokens},
        {"usd", amounts->usd_millionths},        {"concurrent", slots ? amounts->concurrent : 0},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t value = units[i].value;
        if (value == 0)
            continue;
        if (value != RATION_ZERO && (value < 0 || value > RATION_MAX_COST))
            return RATION_EINVALID;
        command_option(cmd, units[i].name, value == RATION_ZERO ? 0 : value);
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
