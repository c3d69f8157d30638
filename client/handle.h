/*
 * The handle, and what every operation of the library is made of: a message for people, and one
 * command with its reply. Rules as in ration.h: one thread, no locks.
 */
#ifndef RATION_HANDLE_H
#define RATION_HANDLE_H

#include <ration/ration.h>

#include "unacknowledged.h"
#include "wire/command.h"
#include "wire/id.h"
#include "wire/servers.h"

/* How many URLs that refuse to be asked for usage a handle remembers. */
#define MAX_NO_USAGE_URLS 8

struct exchange;
struct profiles;

struct ration {
    struct servers servers;
    struct unacknowledged report;
    struct id_maker ids;
    struct exchange *exchange; /* made by the first ration_call(); NULL before */
    struct profiles *profiles; /* likewise; read again if another file is named */
    char *profiles_file;       /* the file they were read from; NULL: only the embedded ones */
    uint64_t
        no_usage[MAX_NO_USAGE_URLS]; /* hashes of URLs whose server refuses to be asked for usage */
    size_t n_no_usage;               /* counts all of them; the last ones are kept */
    uint32_t timeout_ms;
    char errmsg[SERVERS_ERRMSG_BYTES];
};

/* Clears the message; each public operation begins with it. */
void handle_begin(ration *r);

/* Puts `format` into the message and returns `err`, so that failing is one line. */
int handle_fail(ration *r, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The message for a reply that is not what the command promises. Frees `reply`, which may be
 * NULL. */
int handle_unexpected(ration *r, const char *verb, struct reply *reply);

/* Adds amounts to a command (NULL: none), `concurrent` only if `slots`. RATION_EINVALID with the
 * message set. */
int handle_add_amounts(ration *r, struct command *cmd, const struct ration_amounts *amounts,
                       bool slots);

/*
 * Finishes a command, sends it, moving from server to server while the deadline allows, and gives
 * its reply, which is never an error reply: those become codes here. The command must be harmless
 * to repeat. A report that is still unacknowledged is collected before.
 * wait_ms  how long the server itself is asked to wait, on top of the handle's deadline
 * Errors: as ration_acquire(), with the message set.
 */
int handle_ask(ration *r, struct command *cmd, uint32_t wait_ms, struct reply **out);

/*
 * The same for an answer that is an array of rows. Gives the table, of rows of row_bytes, to be
 * freed with free(), and how many rows there are. read() gives 0 or RATION_EPROTOCOL, which spoils
 * the whole answer: half a table would mislead.
 */
int handle_ask_rows(ration *r, struct command *cmd, const char *verb, size_t row_bytes,
                    int (*read)(const struct reply *from, void *row), void **rows, size_t *n);

/* Finishes a command whose answer changes nothing for the caller, and sends it without waiting for
 * its reply (unacknowledged.c). Errors: as handle_ask(). */
int handle_post(ration *r, struct command *cmd);

#endif
