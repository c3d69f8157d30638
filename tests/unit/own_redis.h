/* A private redis-server for a test: in its own directory, on a unix socket, gone afterwards. */
#ifndef OWN_REDIS_H
#define OWN_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct own_redis {
    char dir[64];
    char socket[96];
    uint16_t port; /* 0: only on the unix socket */
    pid_t pid;     /* 0: not running */
};

uint64_t own_now_ms(void);

/* Makes the directory. */
void own_redis_open(struct own_redis *redis);
/* Starts it with further arguments (NULL, or ended by NULL), and waits until it answers. */
void own_redis_start(struct own_redis *redis, const char *const more[]);
/* Also works if the process is stopped or already killed. */
void own_redis_kill(struct own_redis *redis);
/* Kills it if it runs, and removes the directory. */
void own_redis_close(struct own_redis *redis);

/* Sends one command on a connection of its own; returns the reply as text, for the caller to
 * free. */
char *own_redis_ask(const char *socket, const char *command);

/* Removes a directory and its contents. */
void own_remove(const char *dir);

#endif
