/*
 * The command table: one row a command, one handler a row, one file a verb (cmd_<verb>.c).
 *
 * command_run() finds the row, checks who may run it and how many arguments it takes, and calls its
 * handler. request.h describes handlers.
 */
#ifndef RATIOND_COMMAND_H
#define RATIOND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "net/request.h"

enum command_flag {
    COMMAND_OPEN = 1,     /* allowed before AUTH */
    COMMAND_OPERATOR = 2, /* not for a tenant's credential */
    COMMAND_WRITES = 4,   /* changes the store */
    COMMAND_STORE = 8,    /* asks the store */
};

struct command {
    const char *name;  /* upper case */
    unsigned min_args; /* not counting the name */
    unsigned max_args;
    unsigned flags; /* command_flag */
    request_run_fn *run;
    const char *usage;   /* "REPORT id [unit n]..." */
    const char *summary; /* one line */
};

request_run_fn command_run;

/* Answers "ERR usage: <the command's>; <what is wrong>". */
void command_usage(struct request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

size_t command_count(void);
const struct command *command_at(size_t index);
/* In any case; NULL: no such command. */
const struct command *command_find(const struct arg *name);

/* May this connection act for that tenant? If not, the request is answered NOPERM. */
bool command_may_act_for(struct request *request, const char *tenant, size_t n);
/* Is the connection authenticated as a tenant (and so may not see others)? */
bool command_is_tenant(const struct request *request);

/* One for each row, in cmd_*.c. */
request_run_fn cmd_acquire, cmd_report, cmd_renew, cmd_cancel, cmd_peek, cmd_audit, cmd_pool,
    cmd_tenant;
request_run_fn cmd_auth, cmd_hello, cmd_ping, cmd_echo, cmd_info, cmd_command, cmd_client,
    cmd_config;
request_run_fn cmd_select, cmd_reset, cmd_quit;

/* Ends the worker's audits, after store_free() and before front_free(). */
void cmd_audit_end(struct worker *worker);

#endif
