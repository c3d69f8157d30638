/*
 * One connection to one server: connects, sends a command and reads its reply, each within a
 * deadline.
 *
 * The socket is our own rather than hiredis': writes carry MSG_NOSIGNAL, so that SIGPIPE is never
 * raised and no signal mask has to be changed around them; waiting is poll() against one deadline,
 * whereas a socket time-out would start again with every byte of a slow peer; and the descriptor is
 * closed on exec from birth.
 *
 * After any error the connection is closed: nobody could say which command a late reply answers.
 * The message stays.
 */
#ifndef RATION_CONN_H
#define RATION_CONN_H

#include "wire/addr.h"
#include "wire/command.h"
#include "wire/reply.h"

#include <stdbool.h>
#include <stdint.h>

#define CONN_ERRMSG_BYTES 160

struct conn {
    int fd;                         /* -1: not connected */
    struct reply_reader *reader;    /* NULL when not connected */
    char errmsg[CONN_ERRMSG_BYTES]; /* the last error, in words */
};

void conn_init(struct conn *conn);
void conn_close(struct conn *conn); /* allowed at any time */

/* True if there is a connection and nothing has come over it since the last reply: neither its end
 * nor unexpected bytes. */
bool conn_is_fresh(struct conn *conn);

/* Connects; there must be no connection. Errors: RATION_ENOMEM, _ETIMEOUT, _ECONNECT. */
int conn_open(struct conn *conn, const struct addr *addr, int64_t deadline_ms);

/* Sends one finished command and gives its reply, to be freed by reply_free(). Errors: as conn_open
 * and _EPROTOCOL. */
int conn_ask(struct conn *conn, const struct command *cmd, int64_t deadline_ms, struct reply **out);

/* The two halves of that, for a reply that is fetched later: after sending a command, receive its
 * reply before sending the next one. */
int conn_send(struct conn *conn, const struct command *cmd, int64_t deadline_ms);
int conn_receive(struct conn *conn, int64_t deadline_ms, struct reply **out);

#endif
