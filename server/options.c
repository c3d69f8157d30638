/* The command line. It carries no secrets, since anybody on the host may read it. */
#define _GNU_SOURCE /* asprintf */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

static const char usage[] =
    "Usage: rationd [--config FILE] [--state DIR] [--log-level LEVEL]\n"
    "       rationd --check FILE | --print-default-config | --help | --version\n"
    "\n"
    "Shares one LLM provider quota among many hosts, and holds each tenant to its tier.\n"
    "Speaks RESP: any Redis client will do, such as redis-cli -p 7420.\n"
    "\n"
    "  --config FILE           the configuration; without it, a built-in example is served\n"
    "  --state DIR             where the embedded store keeps its data; created if missing. "
    "Default:\n"
    "                          $XDG_STATE_HOME/ration, ~/.local/state/ration, as root "
    "/var/lib/ration\n"
    "  --log-level LEVEL       debug, info (default), warn or error; the log goes to stderr\n"
    "  --check FILE            check a configuration, report what is wrong with it, and exit\n"
    "  --print-default-config  print the built-in example, and exit\n"
    "  --help                  this text, and the table of settings\n"
    "  --version               the version\n"
    "\n"
    "Signals: SIGHUP reloads the configuration (a bad file leaves the old one in force);\n"
    "SIGTERM and SIGINT finish what clients have asked, at most 5 s, and end; a second one ends at "
    "once.\n"
    "\n"
    "Exit status: 0 ended as asked, or the checked file is good; 1 the configuration is wrong or "
    "the\n"
    "server could not start, the reason is on stderr; 2 the command line is wrong.\n";

enum { OPT_CONFIG = 256, OPT_STATE, OPT_LEVEL, OPT_CHECK, OPT_PRINT, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"state", required_argument, NULL, OPT_STATE},
    {"log-level", required_argument, NULL, OPT_LEVEL},
    {"check", required_argument, NULL, OPT_CHECK},
    {"print-default-config", no_argument, NULL, OPT_PRINT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static void take(struct options *out, int option)
{
    switch (option) {
    case OPT_CONFIG:
        out->config = optarg;
        break;
    case OPT_STATE:
        out->state = optarg;
        break;
    case OPT_LEVEL:
        if (log_level_parse(optarg, &out->level))
            break;
        fprintf(stderr, "rationd: --log-level is debug, info, warn or error, not '%s'\n", optarg);
        out->action = OPTIONS_WRONG;
        break;
    case OPT_CHECK:
        out->action = OPTIONS_CHECK;
        out->config = optarg;
        break;
    case OPT_PRINT:
        out->action = OPTIONS_PRINT_DEFAULT;
        break;
    case OPT_HELP:
        out->action = OPTIONS_HELP;
        break;
    case OPT_VERSION:
        out->action = OPTIONS_VERSION;
        break;
    default: /* getopt has reported what is wrong */
        out->action = OPTIONS_WRONG;
        break;
    }
}

void options_parse(int argc, char **argv, struct options *out)
{
    *out = (struct options){.action = OPTIONS_SERVE, .level = LOG_LEVEL_INFO};
    int option;
    while (out->action != OPTIONS_WRONG &&
           (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take(out, option);
    if (out->action != OPTIONS_WRONG && optind < argc) {
        fprintf(stderr, "rationd: '%s' is not an option\n", argv[optind]);
        out->action = OPTIONS_WRONG;
    }
    if (out->action == OPTIONS_WRONG)
        fprintf(stderr, "rationd --help shows the options\n");
}

void options_print_help(void)
{
    char *settings = config_describe();
    fputs(usage, stdout);
    if (settings != NULL)
        printf("\nSettings of the configuration file:\n\n%s", settings);
    free(settings);
}

char *options_state_dir(const struct options *options, char *errmsg, unsigned long errmsg_cap)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    char *path = NULL;
    int n;
    if (options->state != NULL)
        n = asprintf(&path, "%s", options->state);
    else if (xdg != NULL && xdg[0] == '/')
        n = asprintf(&path, "%s/ration", xdg);
    else if (geteuid() == 0)
        n = asprintf(&path, "/var/lib/ration");
    else if (home != NULL && home[0] == '/')
        n = asprintf(&path, "%s/.local/state/ration", home);
    else {
        snprintf(errmsg, errmsg_cap, "there is no home directory; say --state DIR");
        return NULL;
    }
    if (n >= 0)
        return path;
    snprintf(errmsg, errmsg_cap, "out of memory");
    return NULL;
}
