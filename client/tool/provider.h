/* What the commands that talk to a provider have in common: its key, its URL, and the bytes of its
 * answers. */
#ifndef RATION_TOOL_PROVIDER_H
#define RATION_TOOL_PROVIDER_H

#include "tool/options.h"

/* Joins --query "name=value" options to one query, encoding what a URL cannot have: the values are
 * text, not parts of a URL. A name alone is a parameter without a value. Gives it, to be freed;
 * NULL if there are none, or after saying what is wrong with *failed set. */
char *provider_query(const struct option_list *list, bool *failed);

/* The key in that variable; NULL after saying that there is none. */
const char *provider_key(const char *variable);

/* The length of a base URL without the slashes at its end. */
size_t provider_base_bytes(const char *url);

/* For libcurl: adds the bytes of an answer to the struct grow that `arg` is. More than it may hold
 * ends the exchange. */
size_t provider_on_bytes(char *data, size_t size, size_t n, void *arg);

#endif
