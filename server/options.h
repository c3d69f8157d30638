/*
 * The command line of rationd.
 */
#ifndef RATIOND_OPTIONS_H
#define RATIOND_OPTIONS_H

#include <stdbool.h>

#include "log.h"

enum options_action {
    OPTIONS_SERVE,
    OPTIONS_CHECK,         /* check `config`, report what is wrong, and exit */
    OPTIONS_PRINT_DEFAULT, /* print the built-in example, and exit */
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_WRONG, /* not understood; already reported on stderr */
};

/* Strings are borrowed from argv. */
struct options {
    enum options_action action;
    const char *config; /* NULL: the built-in example */
    const char *state;  /* NULL: the default, see options_state_dir */
    enum log_level level;
};

void options_parse(int argc, char **argv, struct options *out);

/* Prints the usage and the table of settings on stdout. */
void options_print_help(void);

/* The state directory: the one given, else $XDG_STATE_HOME/ration, ~/.local/state/ration, or as
 * root /var/lib/ration. Gives the path, or NULL with a message for people in errmsg. */
char *options_state_dir(const struct options *options, char *errmsg, unsigned long errmsg_cap);

#endif
