/* A report or cancel that was sent, and whose reply is read later, so that no call waits for it.
 * unacknowledged.c has the rules. */
#ifndef RATION_UNACKNOWLEDGED_H
#define RATION_UNACKNOWLEDGED_H

#include "wire/servers.h"

#include <stdbool.h>
#include <stddef.h>

struct unacknowledged {
    char *bytes; /* the finished command; NULL: there is none */
    size_t len;
    bool in_flight; /* its reply is the next thing to come over the connection */
};

/*
 * Sends a finished command whose answer changes nothing for the caller. If that cannot be done
 * without waiting, it is exchanged at once. One that is still unacknowledged is collected before.
 * Errors: as servers_ask(), with its message.
 */
int unacknowledged_post(struct unacknowledged *report, struct servers *servers,
                        const struct command *cmd, int64_t deadline_ms);

/* Reads the reply, or sends the command again if it was lost; if neither works until the deadline,
 * it stays unacknowledged. Does nothing without one. */
void unacknowledged_collect(struct unacknowledged *report, struct servers *servers,
                            int64_t deadline_ms);

/* Frees it. */
void unacknowledged_forget(struct unacknowledged *report);

#endif
