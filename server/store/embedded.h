/*
 * The embedded store: a private redis-server on a unix socket in the state directory (append-only file on, noeviction),
 * started, watched, restarted and stopped by rationd. It is what makes one binary a working service.
 */
#ifndef RATIOND_EMBEDDED_H
#define RATIOND_EMBEDDED_H

struct event_base;
struct embedded;

/*
 * Starts redis-server with its data in state_dir/store (made if absent) and its socket at state_dir/store/redis.sock,
 * and waits until it answers (bounded, 10 s, with a log line while loading). When another rationd's embedded store
 * already runs in that directory, that is an error, told in words. One that still loads its data after that time is left
 * to it: it runs, and the store module says what it waits for.
 * From the main thread: redis-server is told to stop when the thread that started it ends.
 * Returns 0 and gives *out, or -1 with a message for people in errmsg (which program was looked for and how to install
 * it, or what the server's log says). If redis-server ends by itself it is started again, with backing off.
 */
int embedded_start(struct event_base *base, const char *state_dir, struct embedded **out,
                   char *errmsg, unsigned long errmsg_cap);
/* The socket to connect to; lives as long as the embedded store. */
const char *embedded_socket(const struct embedded *embedded);
/* Asks it to save and stop, waits (bounded, 5 s, then kills it), and frees; NULL allowed. */
void embedded_stop(struct embedded *embedded);

#endif
