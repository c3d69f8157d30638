/*
 * The server as a whole: what is set up at the start, in which order, and taken down at the end.
 */
#ifndef RATIOND_SERVER_H
#define RATIOND_SERVER_H

#include "options.h"

struct config;

/* Serves until a signal ends it. Takes the reference to config. Returns the exit status. */
int server_run(const struct options *options, struct config *config);

#endif
