/*
 * Sockets to listen at. Both give a non-blocking one, or -1 with a message for people in errmsg.
 */
#ifndef RATIOND_LISTEN_H
#define RATIOND_LISTEN_H

#include <stddef.h>
#include <stdint.h>

struct worker;

/* The worker's own, at listen.resp. */
int listen_tcp(const struct worker *worker, char *errmsg, size_t cap);
/* The port of such a socket. */
uint16_t listen_port(int fd);
/* For all workers, at listen.unix. Whoever made it removes the path in the end. */
int listen_path(const char *path, char *errmsg, size_t cap);

#endif
