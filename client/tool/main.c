/* `ration`: the command-line tool. This file finds the command and runs it; each lives in its own
 * cmd_*.c. */
#include "tool/options.h"
#include "tool/say.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_acquire, &command_report, &command_renew,  &command_cancel, &command_peek,
    &command_audit,   &command_call,   &command_pool,   &command_tenant, &command_exec,
    &command_presets, &command_ping,   &command_replay, &command_batch,  &command_bench,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* The list in --help comes from the table, so that it cannot drift from it. */
static void describe(char *out, size_t size)
{
    int n =
        snprintf(out, size, "Asks a rationd for shares of an LLM provider's quota.\n\ncommands:\n");
    for (size_t i = 0; i < N_COMMANDS && n > 0 && (size_t)n < size; i++)
        n += snprintf(out + n, size - (size_t)n, "  %-9s %s\n", commands[i]->name,
                      commands[i]->summary);
    if (n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n,
                 "\n'ration COMMAND --help' says more about each.\n\n"
                 "  id=$(ration acquire openai/gpt-4o acme --tokens 500) && ./call &&\n"
                 "      ration report $id --tokens 321");
}

static int run(const struct command *command, struct session *session, int argc, char **argv)
{
    int code = EXIT_WRONG;
    if (!options_parse(command, session, argc, argv, &code))
        return code;
    if (session->timeout_ms == 0)
        session->timeout_ms = command->timeout_ms ? command->timeout_ms : SESSION_TIMEOUT_MS;
    if (command->no_server || session_open(session, NULL, &session->r) == EXIT_GRANTED)
        code = command->run(session);
    session_close(session);
    return code;
}

int main(int argc, char **argv)
{
    struct session session = {.r = NULL};
    char about[2048];
    char **rest = NULL;
    int code = EXIT_WRONG;
    describe(about, sizeof(about));
    const struct command top = {
        .name = "", .synopsis = "[options] COMMAND [options]", .about = about, .rest = &rest};
    if (!options_parse(&top, &session, argc, argv, &code))
        return code;
    if (!rest[0]) {
        say("which command? 'ration --help' lists them");
        return EXIT_WRONG;
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, rest[0]) == 0)
            return run(commands[i], &session, argc - (int)(rest - argv), rest);
    }
    fprintf(stderr, "ration: there is no command '%s'; there are:", rest[0]);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, " %s", commands[i]->name);
    fprintf(stderr, "\n");
    return EXIT_WRONG;
}
