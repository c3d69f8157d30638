/* What the commands that talk to a provider have in common: its key, its URL, and the bytes of its
 * answers. */
#ifndef RATION_TOOL_PROVIDER_H
#define RATION_TOOL_PROVIDER_H

#include "tool/options.h"

#include "grow.h"

#include <curl/curl.h>

/* Joins --query "name=value" options to one query, encoding what a URL cannot have: the values are
 * text, not parts of a URL. A name alone is a parameter without a value. Gives it, to be freed;
 * NULL if there are none, or after saying what is wrong with *failed set. */
char *provider_query(const struct option_list *list, bool *failed);

/* The key in that variable; NULL after saying that there is none. */
const char *provider_key(const char *variable);

/* The length of a base URL without the slashes at its end. */
size_t provider_base_bytes(const char *url);

/* A handle whose answers are added to `answer`; one that is larger than that may hold fails.
 * Borrows the headers (may be NULL). NULL: out of memory, or libcurl cannot be used. */
CURL *provider_easy(struct curl_slist *headers, int64_t timeout_ms, struct grow *answer);

#endif
