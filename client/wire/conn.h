/*
 * One connection to one server: connects, sends a command and reads its reply, each within a
 * deadline.
 *
 * The socket is our own rather than hiredis': writes carry MSG_NOSIGNAL, so that SIGPIPE is never
 * raised and no signal mask has to be changed around them; waiting is poll() against one deadline,
 * where a socket time-out would start anew with every byte of a slow peer; and the descriptor is
 * closed on exec from birth.
 *
 * After any error a connection is closed: what a late reply belongs to could not be told.
 */
#ifndef RATION_CONN_H
#define RATION_CONN_H

#include "wire/addr.h"
#include "wire/command.h"
#include "wire/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct conn {
    int fd;                      /* -1: not connected */
    struct reply_reader *reader; /* NULL when not connected */
};

void conn_init(struct conn *conn);
void conn_close(struct conn *conn);

/* True when a connection is there and nothing has come over it since the last reply: neither its
 * end nor bytes that nobody asked for. */
bool conn_is_fresh(struct conn *conn);

/* Errors: RATION_ENOMEM, _ETIMEOUT, _ECONNECT; `why` gets the words. */
int conn_open(struct conn *conn, const struct addr *addr, int64_t deadline_ms, char *why,
              size_t why_size);

/* Sends one finished command and gives its reply, to be freed by reply_free(). Errors: as conn_open
 * and _EPROTOCOL. */
int conn_exchange(struct conn *conn, const struct command *cmd, int64_t deadline_ms,
                  struct reply **out, char *why, size_t why_size);

/* The two halves of that, for a reply that is fetched later. Whoever has sent must receive before
 * the next exchange. */
int conn_send(struct conn *conn, const struct command *cmd, int64_t deadline_ms, char *why,
              size_t why_size);
int conn_receive(struct conn *conn, int64_t deadline_ms, struct reply **out, char *why,
                 size_t why_size);

#endif
