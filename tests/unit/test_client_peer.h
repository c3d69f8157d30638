/*
 * A peer for the client's tests: one thread in this process that listens on a free port and speaks
 * just enough RESP and HTTP to give the answers that a test has set, byte for byte. It allocates
 * nothing.
 */
#ifndef TEST_CLIENT_PEER_H
#define TEST_CLIENT_PEER_H

#include <stddef.h>
#include <stdint.h>

#define PEER_SILENT NULL /* take the command and say nothing */
#define PEER_CLOSE  ""   /* take the command and close the connection */

struct peer;

/* At most 4 at a time. Aborts the test when there is no port. */
struct peer *peer_start(void);
void peer_stop(struct peer *peer);
uint16_t peer_port(const struct peer *peer);

/* What to answer from now on to a command, or to "POST"; `text` is borrowed. */
void peer_answer(struct peer *peer, const char *verb, const char *text);

/* What to answer to the next one only. */
void peer_answer_once(struct peer *peer, const char *verb, const char *text);

/* Closes each connection after its next answer, while `on`. */
void peer_close_after(struct peer *peer, int on);

/* Each answer is given so many microseconds after its command was read. */
void peer_delay(struct peer *peer, uint32_t delay_us);

/* How many of a command came, all of them for NULL, and the words of the last one, parted by spaces
 * (POST: the body). */
size_t peer_count(struct peer *peer, const char *verb);
void peer_last(struct peer *peer, const char *verb, char *out, size_t size);

#endif
