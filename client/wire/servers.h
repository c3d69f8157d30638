/*
 * The servers of a handle: their list, the one in use, and the connection to it. One command goes
 * out, whichever server answers, and one reply comes back.
 */
#ifndef RATION_SERVERS_H
#define RATION_SERVERS_H

#include <ration/ration.h>

#include "wire/addr.h"
#include "wire/command.h"
#include "wire/conn.h"

#define SERVERS_ERRMSG_BYTES 512

struct servers {
    struct addr_list list;
    size_t current;   /* in use, or tried next */
    struct conn conn; /* to it */
    uint32_t connect_timeout_ms;
    char tenant[RATION_MAX_TENANT_BYTES + 1]; /* user of AUTH */
    char secret[RATION_MAX_SECRET_BYTES + 1]; /* "": AUTH is not sent */
    char errmsg[SERVERS_ERRMSG_BYTES];        /* the last error, in words */
};

void servers_init(struct servers *servers);
void servers_close(struct servers *servers); /* allowed twice; forgets the secret */

/*
 * Sends a finished command, moving from server to server while the deadline allows, and gives its
 * reply, which is never an error reply: those become codes here. The command must be harmless to
 * repeat.
 * deadline_ms  by clock_ms()
 * wait_ms      the part of that time that the server itself was asked to wait
 */
int servers_ask(struct servers *servers, const struct command *cmd, int64_t deadline_ms,
                uint32_t wait_ms, struct reply **out);

/* The error for a reply that is not what the command promises. Frees `reply`, which may be NULL. */
int servers_unexpected(struct servers *servers, const char *verb, struct reply *reply);

#endif
