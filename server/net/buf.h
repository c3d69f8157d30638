/*
 * A byte buffer that grows up to a maximum which it is told at birth: the only place where the front's buffers grow.
 *
 * Bytes are appended at the end and consumed at the beginning. Going beyond the maximum (or out of memory) appends
 * nothing and sets `failed`, which stays set, so that a writer may append many times and look once.
 *
 * An empty buffer can give its storage back (buf_release), to a pool when it has one: that is what keeps idle
 * connections small and busy ones free of malloc.
 */
#ifndef RATIOND_BUF_H
#define RATIOND_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Storage of one size, kept for the next buffer that needs some. Belongs to one thread. */
struct buf_pool {
    size_t block;  /* bytes of one block */
    unsigned keep; /* blocks kept at the most */
    unsigned n;    /* blocks in `free` */
    void *free;    /* list of blocks, linked through their first bytes */
};

struct buf {
    char *data;
    size_t start;          /* first byte not yet consumed */
    size_t end;            /* one past the last byte */
    size_t cap;            /* bytes in data */
    size_t max;            /* bytes that it may hold at once */
    struct buf_pool *pool; /* where its first storage comes from; NULL: malloc */
    bool failed;           /* something did not fit */
};

/* block >= sizeof(void *). */
void buf_pool_init(struct buf_pool *pool, size_t block, unsigned keep);
void buf_pool_close(struct buf_pool *pool);

/* Allocates nothing. pool is borrowed and must outlive the buffer; NULL allowed. */
void buf_init(struct buf *buf, size_t max, struct buf_pool *pool);
void buf_close(struct buf *buf);

static inline size_t buf_size(const struct buf *buf)
{
    return buf->end - buf->start;
}

static inline char *buf_bytes(const struct buf *buf)
{
    return buf->data + buf->start;
}

/* Room for n more bytes at the end, to be filled and then committed; NULL (and failed) when that is beyond the maximum.
 * Moves the bytes: pointers into the buffer end here. */
char *buf_reserve(struct buf *buf, size_t n);
/* n bytes of what was reserved are there now. */
void buf_commit(struct buf *buf, size_t n);
/* Drops n bytes at the beginning; n <= buf_size(). The storage stays. */
void buf_consume(struct buf *buf, size_t n);
/* Drops everything, `failed` too; the storage stays. */
void buf_clear(struct buf *buf);
/* Gives the storage back when there is nothing in it. */
void buf_release(struct buf *buf);

static inline bool buf_append(struct buf *buf, const void *bytes, size_t n)
{
    char *to;
    if (buf->cap - buf->end >= n && buf->max - buf_size(buf) >= n && buf->data != NULL)
        to = buf->data + buf->end;
    else if ((to = buf_reserve(buf, n)) == NULL)
        return false;
    memcpy(to, bytes, n);
    buf->end += n;
    return true;
}

/* At most 1023 bytes of text; more is cut. */
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
