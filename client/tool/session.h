/*
 * What the commands of `ration` share: the exit codes, the options that all of them take, the open
 * handle, and messages that say what to do. The tool uses the library's public header and nothing
 * behind it, with few exceptions: `bench` makes its own connections and borrows the library's
 * parsing of addresses, `call`, `batch` and `presets` use the provider profiles, and all of them
 * the clock.
 */
#ifndef RATION_TOOL_SESSION_H
#define RATION_TOOL_SESSION_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a shell script branches on. */
enum exit_code { EXIT_GRANTED = 0, EXIT_DENIED = 1, EXIT_WRONG = 2 };

#define SESSION_TIMEOUT_MS INT64_C(5000)

/* The options that every command takes, and the handle that they open. */
struct session {
    const char *servers;     /* NULL: the environment's, else the library's default */
    const char *secret_file; /* NULL: the environment's RATION_SECRET */
    int64_t timeout_ms;
    bool json;
    ration *r; /* NULL: the command needs no server, or has closed it */
};

/* Opens another handle to `servers` (NULL: as the options say). EXIT_GRANTED, or EXIT_WRONG after
 * saying why. */
int session_open(const struct session *session, const char *servers, ration **out);

/* Closes session->r. */
void session_close(struct session *session);

/* The credential as the options or the environment say, "" if there is none: for what makes
 * connections of its own. EXIT_WRONG after saying why. */
int session_secret(const struct session *session, char *out, size_t size);

/* The servers that will be asked, as text for messages. */
const char *session_servers(const struct session *session);

/* Says on stderr how a call on session->r failed and what to do about it. Gives EXIT_WRONG. */
int session_fail(const struct session *session, int err);

/* Says on stderr why a call was denied and when to come back. Gives EXIT_DENIED. */
int session_denied(const struct ration_grant *grant);

/* Asks a server about that pool and tenant, before load is put on it or files are begun: a wrong
 * name or credential would make every call an error. False after saying why. */
bool session_probe(const struct session *session, const char *pool, const char *tenant);

#endif
