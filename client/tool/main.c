/*
 * `ration`: the command-line tool. This file finds the subcommand; each lives in its own cmd_*.c.
 */
#include "tool/options.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv, struct session *session);
    const char *summary;
} commands[] = {
    {"acquire", cmd_acquire, "ask for one call: reserve its estimate"},
    {"report", cmd_report, "say what a call really used"},
    {"renew", cmd_renew, "let a reservation live longer, and add to it"},
    {"cancel", cmd_cancel, "give a reservation back: the call was never sent"},
    {"peek", cmd_peek, "show every limit that a tenant's call to a pool meets"},
    {"audit", cmd_audit, "check the books: granted = reported + outstanding + expired + cancelled"},
    {"call", cmd_call, "call a provider: ask, send, retry, report, print the answer"},
    {"pool", cmd_pool, "show what is known of a pool; close it, or open it again"},
    {"tenant", cmd_tenant, "take away a tenant's debt"},
    {"exec", cmd_exec, "run a command under a reservation"},
    {"presets", cmd_presets, "list the limits of providers, with their sources"},
    {"ping", cmd_ping, "see whether a server answers"},
    {"replay", cmd_replay, "replay recorded traffic against a provider through Ration"},
    {"batch", cmd_batch, "send a file of requests, within the limits, and go on after a crash"},
    {"bench", cmd_bench, "put load on a server and measure its decisions and latency"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* The list in --help comes from the table, like everything else that must not drift from it. */
static void describe(char *out, size_t size)
{
    int n =
        snprintf(out, size, "Asks a rationd for shares of an LLM provider's quota.\n\ncommands:\n");
    for (size_t i = 0; i < N_COMMANDS && n > 0 && (size_t)n < size; i++)
        n += snprintf(out + n, size - (size_t)n, "  %-9s %s\n", commands[i].name,
                      commands[i].summary);
    if (n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n,
                 "\n'ration COMMAND --help' says more about each.\n\n"
                 "  id=$(ration acquire openai/gpt-4o acme --tokens 500) && ./call &&\n"
                 "      ration report $id --tokens 321");
}

int main(int argc, char **argv)
{
    struct session session = {.timeout_ms = TOOL_TIMEOUT_MS};
    char about[2048];
    describe(about, sizeof(about));
    const struct command_line line = {
        .name = "",
        .synopsis = "[options] COMMAND [options]",
        .about = about,
        .in_order = true,
        .max_others = -1,
    };
    int at = options_parse(&line, &session, argc, argv);
    if (at < 0)
        return options_exit(at);
    if (at == argc) {
        fprintf(stderr, "ration: which command? 'ration --help' lists them\n");
        return EXIT_WRONG;
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[at]) == 0)
            return commands[i].run(argc - at, argv + at, &session);
    }
    fprintf(stderr, "ration: there is no command '%s'; there are:", argv[at]);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, " %s", commands[i].name);
    fprintf(stderr, "\n");
    return EXIT_WRONG;
}
