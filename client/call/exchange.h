/*
 * Runs one exchange with a provider to its end, and something else in between: a long call has its
 * reservation renewed on time, which curl_easy_perform() has no room for. Keeps the connections
 * from call to call.
 */
#ifndef RATION_DRIVE_H
#define RATION_DRIVE_H

#include "call/upstream.h"

#include <stdint.h>

struct drive;

struct drive *drive_new(void); /* NULL: out of memory, or libcurl could not be set up */
void drive_free(struct drive *drive);

/* Called while an exchange runs; gives the milliseconds after which it wants to be called again. */
typedef int64_t (*drive_tick_fn)(void *arg);

/* Blocks until the exchange has ended. Errors: RATION_ENOMEM, and nothing was sent. */
int drive_exchange(struct drive *drive, const struct upstream_request *request, drive_tick_fn tick,
                   void *arg, struct upstream_answer *answer);

#endif
