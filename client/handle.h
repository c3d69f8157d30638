/*
 * The handle, and what every operation of the library is made of: a message for people, and one exchange with whichever
 * server answers. Rules as in ration.h: one thread, no locks.
 */
#ifndef RATION_HANDLE_H
#define RATION_HANDLE_H

#include <ration/ration.h>

#include "addr.h"
#include "command.h"
#include "conn.h"
#include "id.h"

#define ERRMSG_BYTES 512

struct drive;
struct profiles;

struct ration {
    struct addr_list servers;
    size_t current; /* the server in use, or tried next */
    struct conn conn;
    struct id_maker ids;
    struct drive *drive;       /* made by the first ration_call(); NULL before */
    struct profiles *profiles; /* likewise, and made anew where another file is named */
    char *profiles_file;       /* they were read from; NULL: only the embedded ones */
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    char tenant[RATION_MAX_TENANT_BYTES + 1]; /* user of AUTH */
    char secret[RATION_MAX_SECRET_BYTES + 1]; /* "": AUTH is not sent */
    char errmsg[ERRMSG_BYTES];
};

/* Clears the message; each public operation begins with it. */
void handle_begin(ration *r);

/* Puts `format` into the message and returns `err`, so that failing is one line. */
int handle_fail(ration *r, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Sends a command, moving from server to server while the deadline allows, and gives its reply, which is never an error
 * reply: those become codes here. The command must be harmless to repeat. `wait_ms` is how long the server itself was
 * asked to wait, on top of the handle's deadline.
 */
int handle_exchange(ration *r, struct command *cmd, uint32_t wait_ms, struct reply **out);

/* The message for a reply that is not what the command promises. Frees `reply`, which may be NULL. */
int handle_bad_reply(ration *r, const char *verb, struct reply *reply);

#endif
