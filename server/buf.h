/*
 * A byte buffer that grows up to a maximum set at birth: the only place where the front's buffers
 * grow.
 *
 * Bytes are appended at the end and consumed at the beginning. An append that would exceed the
 * maximum (or runs out of memory) appends nothing and sets `failed`, which stays set, so a writer
 * may append many times and check once.
 *
 * An empty buffer can give its storage back (buf_release), to its pool if it has one: this keeps
 * idle connections small and busy ones free of malloc.
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
    unsigned keep; /* the most blocks kept */
    unsigned n;    /* blocks in `free` */
    void *free;    /* list of blocks, linked through their first bytes */
};

struct buf {
    char *data;
    size_t start;          /* first byte not yet consumed */
    size_t end;            /* one past the last byte */
    size_t cap;            /* bytes in data */
    size_t max;            /* the most bytes it may hold at once */
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

/* Makes room for n more bytes at the end, to be filled and then committed; NULL (and failed) if
 * that exceeds the maximum. May move the bytes: pointers into the buffer become invalid. */
char *buf_reserve(struct buf *buf, size_t n);
/* Adds n bytes of the reserved room, which the caller has filled. */
void buf_commit(struct buf *buf, size_t n);
/* Drops n bytes at the beginning; n <= buf_size(). The storage stays. */
void buf_consume(struct buf *buf, size_t n);
/* Drops everything, `failed` too; the storage stays. */
void buf_clear(struct buf *buf);
/* Gives the storage back if it is empty. */
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

/* At most 1023 bytes of text; the rest is cut off. */
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
