/*
 * The front of a worker: its listening sockets and its client connections, speaking RESP.
 */
#ifndef RATIOND_FRONT_H
#define RATIOND_FRONT_H

#include <stddef.h>

#include "net/request.h"

struct front;
struct worker;

/* Accepts connections at these sockets, which it takes even if it fails; `run` runs each request.
 * Gives the front, or NULL: out of memory. */
struct front *front_new(struct worker *worker, const int sockets[], size_t n, request_run_fn *run);
/* Stops listening; connections get the answers to what they have asked and are closed. on_empty is
 * called (once, from the event loop) when the last one is gone. */
void front_drain(struct front *front, void (*on_empty)(void *arg), void *arg);
/* Closes everything at once and frees it; NULL allowed. No operation may be under way (batcher_free
 * comes first). */
void front_free(struct front *front);

#endif
