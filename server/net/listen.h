/*
 * Listening sockets. Both kinds are non-blocking; -1 comes with a message for people in errmsg.
 */
#ifndef RATIOND_LISTEN_H
#define RATIOND_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define LISTEN_SOCKETS       2 /* the most that a worker has: the address and the path */
#define LISTEN_ADDRESS_BYTES 300

/* Listens at listen.resp with this port; 0 picks a free one. shared: several sockets will listen
 * there; first: this is the first of them. */
int listen_tcp(const struct config_listen *where, uint16_t port, bool shared, bool first,
               char *errmsg, size_t size);
/* The port that such a socket has. */
uint16_t listen_port(int fd);
/* Listens at a path, which the caller removes in the end. */
int listen_path(const char *path, char *errmsg, size_t size);

/* "127.0.0.1:7420", "[::1]:7420"; gives to. */
const char *listen_address(const struct config *config, uint16_t port,
                           char to[LISTEN_ADDRESS_BYTES]);

#endif
