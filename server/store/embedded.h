/*
 * The embedded store: a private redis-server on a unix socket in the state directory (append-only
 * file on, noeviction), started, watched, restarted and stopped by rationd. It is what makes one
 * binary a working service.
 */
#ifndef RATIOND_EMBEDDED_H
#define RATIOND_EMBEDDED_H

struct event_base;
struct embedded;

/*
 * Starts redis-server with its data in state_dir/store (created if missing) and its socket at
 * state_dir/store/redis.sock, and waits up to 10 s until it answers, with a log line while it
 * loads. It is an error if another rationd's embedded store already runs in that directory. A store
 * that still loads its data after that time counts as started; the store module reports what it
 * waits for. Call it from the main thread: redis-server is told to stop when the thread that
 * started it ends. Returns 0 and gives *out, or -1 with a message for people in errmsg (which
 * program was looked for and how to install it, or what the server's log says). If redis-server
 * ends by itself, it is started again, with backoff.
 */
int embedded_start(struct event_base *base, const char *state_dir, struct embedded **out,
                   char *errmsg, unsigned long errmsg_cap);
/* The socket to connect to; lives as long as the embedded store. */
const char *embedded_socket(const struct embedded *embedded);
/* Asks it to save and stop, waits up to 5 s, then kills it; frees. NULL allowed. */
void embedded_stop(struct embedded *embedded);

#endif
