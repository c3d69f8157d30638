/*
 * The front of a worker: its listener and its client connections, speaking RESP.
 */
#ifndef RATIOND_FRONT_H
#define RATIOND_FRONT_H

#include <stddef.h>
#include <stdint.h>

struct front;
struct worker;

/*
 * Listens at the configured address. Returns 0 and gives *out, or -1 with a message for people in errmsg ("address
 * 127.0.0.1:7420 is in use; ...").
 */
int front_new(struct worker *worker, struct front **out, char *errmsg, size_t errmsg_cap);
/* The port in use (the configured one, or what port 0 picked). */
uint16_t front_port(const struct front *front);
size_t front_connections(const struct front *front);
/* Stops listening; connections finish what they have asked and are then closed. on_empty is called (once, from the event
 * loop) when the last one is gone. */
void front_drain(struct front *front, void (*on_empty)(void *arg), void *arg);
/* Closes everything at once and frees; NULL allowed. No operation may be under way any more (batcher_free first). */
void front_free(struct front *front);

#endif
