/*
 * Replies: hiredis' stream parser with our own reply objects.
 *
 * Only the parser of hiredis is used, with functions of our own that build replies, because its own
 * way trusts the peer: it allocates as many elements as the peer announces, and in 0.14.1 aborts
 * when that fails. Here a reply has a bound on its bytes and elements; one beyond it is
 * RATION_EPROTOCOL. Nothing of hiredis leaves reply.c.
 */
#ifndef RATION_REPLY_H
#define RATION_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_MAX_BYTES (4u << 20) /* of one reply: an audit of some ten thousand pools */
#define REPLY_MAX_ITEMS (1u << 18) /* elements of one reply, all levels together */

enum reply_type { REPLY_NIL, REPLY_STATUS, REPLY_STRING, REPLY_ERROR, REPLY_INTEGER, REPLY_ARRAY };

struct reply {
    enum reply_type type;
    int64_t integer;
    char *str; /* REPLY_STATUS, _STRING, _ERROR; NUL-terminated, but may hold NULs of its own */
    size_t len;
    struct reply **element; /* REPLY_ARRAY */
    size_t n;
};

void reply_free(struct reply *reply);

/* The parser of one connection. */
struct reply_reader;
struct reply_reader *reply_reader_new(void); /* NULL: out of memory */
void reply_reader_free(struct reply_reader *reader);

/* Takes in bytes. 0, RATION_ENOMEM or RATION_EPROTOCOL; after an error the connection is
 * useless. */
int reply_reader_feed(struct reply_reader *reader, const char *buf, size_t len);

/* Gives the next whole reply, to be freed by reply_free(), or NULL while it is still incomplete.
 * Errors as above. */
int reply_reader_next(struct reply_reader *reader, struct reply **out);

/* True if bytes of an unexpected reply are left over. */
bool reply_reader_has_rest(const struct reply_reader *reader);

/* Reads named fields from a flat name, value array. Unknown names are skipped; the first of a name
 * counts. */
const struct reply *reply_field(const struct reply *map, const char *name);

/* These return 0, or RATION_EPROTOCOL if the field is missing, of another type, too long, or not
 * printable ASCII. */
int reply_field_string(const struct reply *map, const char *name, char *out, size_t size);
int reply_field_integer(const struct reply *map, const char *name, int64_t *out);

/* Copies the peer's text for people to read: cut to size, unprintable bytes as '?'. */
void reply_text(const struct reply *reply, char *out, size_t size);

#endif
