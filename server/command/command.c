/*
 * The command table, and the checks before any handler runs.
 *
 * Every mistake is answered with the remedy: the command's usage, or the command with the closest
 * name.
 */
#include "command/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/conn.h"
#include "text.h"
#include "worker.h"

#define MOST        (RATION_MAX_ARGS - 1)
#define USAGE_BYTES 1024

static const struct command commands[] = {
    {"ACQUIRE", 2, MOST, COMMAND_STORE | COMMAND_WRITES, cmd_acquire,
     "ACQUIRE pool tenant [unit n]... [PRIORITY p] [WAIT ms] [TTL ms] [ID id] [DRYRUN] [LEARNED]",
     "Asks whether a call may be made now, and reserves what it may use"},
    {"REPORT", 1, MOST, COMMAND_STORE | COMMAND_WRITES, cmd_report,
     "REPORT id [unit n]... [STATUS http] [RETRY_AFTER ms] [PARTIAL] [FAILED] [EXHAUSTED reason] "
     "[REMAINING unit n [LIMIT n] [PER ms]]... [TENANT name]",
     "Reports what a call really used; the unused part of its reservation is given back"},
    {"RENEW", 1, MOST, COMMAND_STORE | COMMAND_WRITES, cmd_renew,
     "RENEW id [TTL ms] [unit n]... [ID token] [TENANT name]",
     "Extends a reservation's time to live, and adds to its cost"},
    {"CANCEL", 1, 4, COMMAND_STORE | COMMAND_WRITES, cmd_cancel, "CANCEL id [FAILED] [TENANT name]",
     "Gives a reservation back, because the call was never sent"},
    {"PEEK", 2, 2, COMMAND_STORE, cmd_peek, "PEEK pool tenant",
     "Shows every limit that applies to this tenant's calls to this pool; changes nothing"},
    {"PING", 0, 1, 0, cmd_ping, "PING [message]", "Answers PONG, or the message"},
    {"AUDIT", 0, 4, COMMAND_STORE | COMMAND_OPERATOR, cmd_audit,
     "AUDIT [pool] [WAIT ms] | CONTINUE id WAIT ms",
     "Shows the ledger: granted = reported + outstanding + expired + cancelled"},
    {"POOL", 2, 3, COMMAND_STORE | COMMAND_WRITES | COMMAND_OPERATOR, cmd_pool,
     "POOL GET pool | OPEN pool | CLOSE pool [reason]",
     "Shows a pool's health; closes it, or opens it again"},
    {"TENANT", 1, 4, COMMAND_STORE | COMMAND_WRITES, cmd_tenant,
     "TENANT GET name | LIST cursor | FORGIVE name | SET name TIER tier | DEL name",
     "Shows tenants and their tiers; forgives a tenant's debt"},
    {"AUTH", 1, 2, COMMAND_OPEN, cmd_auth, "AUTH [name] secret",
     "Authenticates as the operator, or as a tenant"},
    {"HELLO", 0, MOST, COMMAND_OPEN, cmd_hello, "HELLO [2|3 [AUTH name secret] [SETNAME name]]",
     "Chooses the protocol version, and describes the server"},
    {"ECHO", 1, 1, 0, cmd_echo, "ECHO message", "Answers the message"},
    {"INFO", 0, MOST, 0, cmd_info, "INFO [section]...",
     "Shows the server's state and counters: server, clients, store, batches, stats"},
    {"COMMAND", 0, MOST, 0, cmd_command, "COMMAND [COUNT | LIST | INFO [name]... | DOCS [name]...]",
     "Lists the commands"},
    {"CLIENT", 1, MOST, 0, cmd_client,
     "CLIENT ID | GETNAME | SETNAME name | SETINFO LIB-NAME|LIB-VER value",
     "Names or identifies this connection"},
    {"CONFIG", 1, MOST, COMMAND_OPERATOR, cmd_config, "CONFIG GET pattern...",
     "Shows settings of the server"},
    {"SELECT", 1, 1, 0, cmd_select, "SELECT 0",
     "Accepted for Redis clients; there is only one database"},
    {"RESET", 0, 0, COMMAND_OPEN, cmd_reset, "RESET", "Resets the connection to its initial state"},
    {"QUIT", 0, 0, COMMAND_OPEN, cmd_quit, "QUIT", "Closes the connection"},
};

void command_usage(struct request *r, const char *format, ...)
{
    char text[USAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    request_error(r, RATION_ERR_MALFORMED, "usage: %s; %s", r->command->usage, text);
}

size_t command_count(void)
{
    return sizeof commands / sizeof commands[0];
}

const struct command *command_at(size_t index)
{
    return &commands[index];
}

const struct command *command_find(const struct arg *name)
{
    for (size_t i = 0; i < command_count(); i++)
        if (strlen(commands[i].name) == name->n &&
            strncasecmp(commands[i].name, name->p, name->n) == 0)
            return &commands[i];
    return NULL;
}

/* The command that was probably meant; NULL: none is close. */
static const struct command *closest(const struct arg *name)
{
    const struct command *best = NULL;
    size_t best_distance = 3; /* 3 changes are too many to mean this one */
    for (size_t i = 0; i < command_count(); i++) {
        size_t n = strlen(commands[i].name);
        size_t d = text_distance(name->p, name->n, commands[i].name, n);
        if (d < best_distance && d < n) {
            best = &commands[i];
            best_distance = d;
        }
    }
    return best;
}

static void unknown(struct request *r, const struct arg *name)
{
    char shown[RESP_SHOW_BYTES];
    const struct command *meant = closest(name);
    resp_show(shown, name->p, name->n);
    if (meant != NULL)
        request_error(r, RATION_ERR_MALFORMED, "unknown command '%s', did you mean %s? (%s)", shown,
                      meant->name, meant->usage);
    else
        request_error(r, RATION_ERR_MALFORMED,
                      "unknown command '%s'; COMMAND LIST shows all, the first are ACQUIRE, "
                      "REPORT, RENEW, CANCEL, PEEK",
                      shown);
}

bool command_is_tenant(const struct request *r)
{
    return r->conn->auth == AUTH_TENANT;
}

bool command_may_act_for(struct request *r, const char *tenant, size_t n)
{
    const struct identity *who = r->conn->tenant;
    if (!command_is_tenant(r) || (who->n == n && memcmp(who->name, tenant, n) == 0))
        return true;
    request_error(r, RATION_ERR_NOPERM,
                  "this connection is authenticated as tenant '%s' and may not act for another",
                  who->name);
    return false;
}

void command_run(struct request *r, const struct arg *args, size_t n)
{
    const struct command *command = command_find(&args[0]);
    r->command = command;
    bool authenticated = r->conn->auth != AUTH_NONE || !r->worker->config->auth_required;
    if (!authenticated && (command == NULL || !(command->flags & COMMAND_OPEN))) {
        request_error(r, RATION_ERR_NOAUTH, "authentication required; send AUTH [name] secret");
    } else if (command == NULL) {
        unknown(r, &args[0]);
    } else if (n - 1 < command->min_args || n - 1 > command->max_args) {
        if (command->min_args == command->max_args)
            command_usage(r, "it takes %u argument%s, not %zu", command->min_args,
                          command->min_args == 1 ? "" : "s", n - 1);
        else
            command_usage(r, "%s than %u argument%s", n - 1 < command->min_args ? "fewer" : "more",
                          n - 1 < command->min_args ? command->min_args : command->max_args,
                          (n - 1 < command->min_args ? command->min_args : command->max_args) == 1
                              ? ""
                              : "s");
    } else if ((command->flags & COMMAND_OPERATOR) && command_is_tenant(r)) {
        request_error(r, RATION_ERR_NOPERM, "%s is for the operator's credential only",
                      command->name);
    } else {
        command->run(r, args, n);
    }
}
