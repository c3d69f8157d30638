/*
 * Looks up a host's name without blocking the event loop: getaddrinfo in a thread of its own, so
 * that names resolve as for every other program on the host (/etc/hosts, nsswitch.conf, a
 * container's DNS).
 */
#ifndef RATIOND_STORE_LOOKUP_H
#define RATIOND_STORE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct store_lookup;

enum { LOOKUP_ADDRESSES = 8, LOOKUP_TEXT = 80 };

/* Gets n addresses as numeric text, best first, or n = 0 and the problem. Called once, from the
 * event loop. */
typedef void store_lookup_fn(void *arg, const char (*addresses)[LOOKUP_TEXT], size_t n,
                             const char *problem);

/* Is the host an address already? */
bool store_lookup_is_numeric(const char *host);

/* Gives NULL if out of memory, descriptors or threads. The lookup ends by itself after the
 * callback. */
struct store_lookup *store_lookup_start(struct event_base *base, const char *host,
                                        store_lookup_fn *on_done, void *arg);
/* Cancels a lookup whose callback has not been called. NULL allowed. */
void store_lookup_cancel(struct store_lookup *lookup);

#endif
