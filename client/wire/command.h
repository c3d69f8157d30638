/*
 * One command in RESP, built in place. A command has the bound of RATION_MAX_REQUEST_BYTES that the
 * server has too; one that does not fit is marked as overflowed, which command_finish() reports
 * once, so that building needs no checks.
 */
#ifndef RATION_COMMAND_H
#define RATION_COMMAND_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_HEAD 16 /* room for "*<n>\r\n", which is only known at the end */

struct command {
    char buf[RATION_MAX_REQUEST_BYTES];
    size_t start; /* set by command_finish: the bytes to send begin here */
    size_t len;   /* end of what was written */
    unsigned argc;
    bool overflow;
};

void command_init(struct command *cmd, const char *verb);
void command_arg(struct command *cmd, const char *arg);
void command_option(struct command *cmd, const char *name, int64_t value);

/* Adds the name of a unit, and a value. */
void command_unit(struct command *cmd, enum ration_unit unit, int64_t value);

/* Adds the units that are stated; RATION_ZERO is sent as 0, `concurrent` only if `slots`.
 * RATION_EINVALID: out of range. */
int command_amounts(struct command *cmd, const struct ration_amounts *amounts, bool slots);

/* Completes the command. RATION_EINVALID: it is larger than any server takes. */
int command_finish(struct command *cmd);

#endif
