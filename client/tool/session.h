/*
 * What the subcommands of `ration` share: the exit codes, the options that all of them take, and opening a handle with
 * words that help when it fails. The tool uses the public header of the library and nothing behind it, but for `bench`,
 * which makes its own connections and borrows the library's parsing of addresses and its clock, and `presets`, which shows
 * the library's provider profiles.
 */
#ifndef RATION_TOOL_SESSION_H
#define RATION_TOOL_SESSION_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a shell script branches on. */
enum exit_code { EXIT_GRANTED = 0, EXIT_DENIED = 1, EXIT_WRONG = 2 };

/* The options that every subcommand takes. */
struct session {
    const char *servers;     /* NULL: the environment's, else the library's default */
    const char *secret_file; /* NULL: the environment's RATION_SECRET */
    int64_t timeout_ms;
    bool json;
};

#define TOOL_TIMEOUT_MS 5000

/*
 * Opens a handle to `servers` (NULL: as the options say). `extra_ms` is added to the deadline. EXIT_GRANTED and a handle to
 * be closed, or EXIT_WRONG after saying why.
 */
int session_open(const struct session *session, const char *servers, ration **out);

/* The credential as the options or the environment say, "" where there is none: for what makes connections of its own.
 * EXIT_WRONG after saying why. */
int session_secret(const struct session *session, char *out, size_t size);

/* The servers that will be asked, as text for messages. */
const char *session_servers(const struct session *session);

/* Says on stderr what went wrong and what to do about it. Gives EXIT_WRONG. */
int session_fail(const struct session *session, const ration *r, int err);

/* Says on stderr why a call was denied and when to come back. Gives EXIT_DENIED. */
int session_denied(const struct ration_grant *grant);

/* Checks what a name must be there for. False after saying so. */
bool session_wants(const char *command, const char *what, const char *value);

/* The subcommands; each takes the arguments that follow its name, with its name as argv[0]. */
int cmd_acquire(int argc, char **argv, struct session *session);
int cmd_report(int argc, char **argv, struct session *session);
int cmd_renew(int argc, char **argv, struct session *session);
int cmd_cancel(int argc, char **argv, struct session *session);
int cmd_peek(int argc, char **argv, struct session *session);
int cmd_audit(int argc, char **argv, struct session *session);
int cmd_presets(int argc, char **argv, struct session *session);
int cmd_pool(int argc, char **argv, struct session *session);
int cmd_tenant(int argc, char **argv, struct session *session);
int cmd_ping(int argc, char **argv, struct session *session);
int cmd_call(int argc, char **argv, struct session *session);
int cmd_exec(int argc, char **argv, struct session *session);
int cmd_replay(int argc, char **argv, struct session *session);
int cmd_bench(int argc, char **argv, struct session *session);
int cmd_batch(int argc, char **argv, struct session *session);

#endif
