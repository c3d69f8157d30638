/*
 * The handle, and what every operation of the library is made of: a message for people, and one
 * exchange with whichever server answers. Rules as in ration.h: one thread, no locks.
 */
#ifndef RATION_HANDLE_H
#define RATION_HANDLE_H

#include <ration/ration.h>

#include "wire/addr.h"
#include "wire/command.h"
#include "wire/conn.h"
#include "wire/id.h"

#define ERRMSG_BYTES 512

/* How many URLs a handle remembers that refuse to be asked for usage. */
#define MAX_PLAIN_URLS 8

/* A command that was sent and is kept until its reply has come; see unacknowledged.c. */
struct owed {
    char *bytes; /* finished; NULL: nothing is owed */
    size_t len;
    bool in_flight; /* its reply is the next thing to come over the connection */
};

struct exchange;
struct profiles;

struct ration {
    struct addr_list servers;
    size_t current; /* the server in use, or tried next */
    struct conn conn;
    struct id_maker ids;
    struct exchange *exchange;      /* made by the first ration_call(); NULL before */
    struct profiles *profiles;      /* likewise, and made anew where another file is named */
    char *profiles_file;            /* they were read from; NULL: only the embedded ones */
    uint64_t plain[MAX_PLAIN_URLS]; /* hashes of URLs whose server refuses to be asked for usage */
    size_t n_plain;                 /* counts all that there were; the last ones are kept */
    struct owed owed;               /* a settlement whose reply has not been read */
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    char tenant[RATION_MAX_TENANT_BYTES + 1]; /* user of AUTH */
    char secret[RATION_MAX_SECRET_BYTES + 1]; /* "": AUTH is not sent */
    char errmsg[ERRMSG_BYTES];
};

/* Clears the message; each public operation begins with it. */
void handle_begin(ration *r);

/* Adds amounts to a command (NULL: none), `concurrent` only if `slots`. RATION_EINVALID with the
 * message set. */
int handle_add_amounts(ration *r, struct command *cmd, const struct ration_amounts *amounts,
                       bool slots);

/* Completes a command. RATION_EINVALID with the message set: it is larger than any server takes. */
int handle_finish(ration *r, struct command *cmd);

/* Puts `format` into the message and returns `err`, so that failing is one line. */
int handle_fail(ration *r, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Sends a command, moving from server to server while the deadline allows, and gives its reply,
 * which is never an error reply: those become codes here. The command must be harmless to repeat.
 * `wait_ms` is how long the server itself was asked to wait, on top of the handle's deadline.
 */
int handle_exchange(ration *r, struct command *cmd, uint32_t wait_ms, struct reply **out);

/* The same for a command that is finished, until a deadline of clock_ms() in place of the handle's.
 * `wait_ms` of it are the server's. Does not look at what is owed. */
int handle_exchange_until(ration *r, const struct command *cmd, int64_t deadline_ms,
                          uint32_t wait_ms, struct reply **out);

/*
 * The same for an answer that is an array of rows. Gives the table, of rows of row_bytes, to be
 * freed with free(), and how many rows there are. read() gives 0 or RATION_EPROTOCOL, which spoils
 * the whole answer: half a table would mislead.
 */
int handle_exchange_rows(ration *r, struct command *cmd, const char *verb, size_t row_bytes,
                         int (*read)(const struct reply *from, void *row), void **rows, size_t *n);

/*
 * Sends a command whose answer changes nothing for the caller, and leaves its reply to the next
 * exchange, so that nobody waits for it. Where that cannot be done it is exchanged at once.
 * Finishes the command. Errors: as handle_exchange().
 */
int handle_post(ration *r, struct command *cmd);

/* Fetches the reply that is owed, sending the command again where it was lost; what does not work
 * until the deadline remains owed. The message stays as it is. */
void handle_collect(ration *r, int64_t deadline_ms);

/* REPORT and CANCEL by handle_post(). */
int settle_post_report(ration *r, const char *id, const struct ration_amounts *used,
                       const struct ration_report_options *options);
int settle_post_cancel(ration *r, const char *id, bool failed);

/* Frees it; nothing is owed any more. */
void owed_forget(struct owed *owed);

/* The message for a reply that is not what the command promises. Frees `reply`, which may be
 * NULL. */
int handle_bad_reply(ration *r, const char *verb, struct reply *reply);

#endif
