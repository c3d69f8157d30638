/* A redis-server of one's own for a test: in a directory of its own, on a unix socket, gone afterwards. */
#ifndef OWN_REDIS_H
#define OWN_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct own_redis {
    char dir[64];
    char socket[96];
    uint16_t port; /* 0: on the unix socket only */
    pid_t pid;     /* 0: it does not run */
};

uint64_t own_now_ms(void);

/* Makes the directory. */
void own_redis_open(struct own_redis *redis);
/* Starts it, with more arguments (NULL or ended by NULL), and waits until it answers. */
void own_redis_start(struct own_redis *redis, const char *const more[]);
/* A process that is stopped, or that was killed before, is fine too. */
void own_redis_kill(struct own_redis *redis);
/* Kills it if it runs, and removes the directory. */
void own_redis_close(struct own_redis *redis);

/* One command by a connection of its own; gives the reply as text (an integer or INFO, ...), freed by the caller. */
char *own_redis_ask(const char *socket, const char *command);

/* Removes a directory and what is in it. */
void own_remove(const char *dir);

#endif
