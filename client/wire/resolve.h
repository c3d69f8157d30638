/* Names to socket addresses, within a deadline. */
#ifndef RATION_RESOLVE_H
#define RATION_RESOLVE_H

#include <stdint.h>

#include <netdb.h>

/*
 * Gives the addresses of `host`, to be freed by freeaddrinfo(). An IP address is answered at once.
 * Errors: RATION_ENOMEM, RATION_ETIMEOUT, or RATION_ECONNECT with *why set to words that live for
 * ever.
 */
int resolve(const char *host, uint16_t port, int64_t deadline_ms, struct addrinfo **out,
            const char **why);

#endif
