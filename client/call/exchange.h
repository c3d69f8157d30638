/*
 * Runs one exchange with a provider to its end, and something else in between: a long call has its
 * reservation renewed on time, for which curl_easy_perform() has no room. Keeps the connections
 * from call to call.
 */
#ifndef RATION_EXCHANGE_H
#define RATION_EXCHANGE_H

#include "call/upstream.h"

#include <stdint.h>

struct exchange;

struct exchange *exchange_new(void); /* NULL: out of memory, or libcurl failed to start */
void exchange_free(struct exchange *exchange);

/* Called while an exchange runs; returns the milliseconds until it wants to be called again. */
typedef int64_t (*exchange_tick_fn)(void *arg);

/* Blocks until the exchange has ended. Errors: RATION_ENOMEM, and then nothing was sent. */
int exchange_run(struct exchange *exchange, const struct upstream_request *request,
                 exchange_tick_fn tick, void *arg, struct upstream_answer *answer);

#endif
