/*
 * What the commands that call a provider have in common: headers and parameters of the user's own, and the variable that has
 * the key.
 */
#ifndef RATION_TOOL_EXTRA_H
#define RATION_TOOL_EXTRA_H

#include "tool/options.h"

/* Joins --query "name=value" options to one query, encoding what a URL cannot have: the values are as they are meant. A name
 * alone is a parameter without value. Gives it; NULL where there are none, or after saying what is wrong with *failed set. */
char *extra_query(const struct option_list *list, bool *failed);

/* The key in that variable; NULL after saying that there is none. */
const char *extra_key(const char *variable);

#endif
