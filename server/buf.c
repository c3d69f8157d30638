/*
 * Growing buffers with a maximum.
 *
 * Storage doubles. The first storage comes from the pool, if there is one; storage that has
 * outgrown the pool's block comes from malloc and returns there. Consumed space at the beginning is
 * reused before anything grows.
 */
#include "buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_BYTES 256
#define BUF_TEXT_BYTES  1024

void buf_pool_init(struct buf_pool *pool, size_t block, unsigned keep)
{
    assert(block >= sizeof(void *));
    *pool = (struct buf_pool){.block = block, .keep = keep};
}

void buf_pool_close(struct buf_pool *pool)
{
    while (pool->free != NULL) {
        void *block = pool->free;
        pool->free = *(void **)block;
        free(block);
    }
    pool->n = 0;
}

static char *pool_take(struct buf_pool *pool)
{
    void *block = pool->free;
    if (block == NULL)
        return malloc(pool->block);
    pool->free = *(void **)block;
    pool->n--;
    return block;
}

static void pool_give(struct buf_pool *pool, char *block)
{
    if (pool->n >= pool->keep) {
        free(block);
        return;
    }
    *(void **)(void *)block = pool->free;
    pool->free = block;
    pool->n++;
}

void buf_init(struct buf *buf, size_t max, struct buf_pool *pool)
{
    *buf = (struct buf){.max = max, .pool = pool};
}

/* Tells pool blocks from malloc'd storage by size: buf_grow makes sure that only the former have
 * the pool's. */
static void give_storage(struct buf *buf, char *data, size_t cap)
{
    if (data != NULL && buf->pool != NULL && cap == buf->pool->block)
        pool_give(buf->pool, data);
    else
        free(data);
}

void buf_close(struct buf *buf)
{
    give_storage(buf, buf->data, buf->cap);
    buf_init(buf, buf->max, buf->pool);
}

/* Storage of at least `need` bytes. */
static char *take_storage(const struct buf *buf, size_t need, size_t *cap)
{
    if (buf->pool != NULL && need <= buf->pool->block) {
        *cap = buf->pool->block;
        return pool_take(buf->pool);
    }
    size_t bytes = buf->pool != NULL ? buf->pool->block * 2 : BUF_FIRST_BYTES;
    while (bytes < need)
        bytes *= 2;
    *cap = bytes;
    return malloc(bytes);
}

char *buf_reserve(struct buf *buf, size_t n)
{
    size_t size = buf_size(buf);
    if (n > buf->max || size > buf->max - n) {
        buf->failed = true;
        return NULL;
    }
    if (buf->data != NULL && buf->cap - buf->end >= n)
        return buf->data + buf->end;
    if (buf->data != NULL && buf->cap - size >= n) {
        memmove(buf->data, buf_bytes(buf), size);
    } else {
        size_t cap;
        char *data = take_storage(buf, size + n, &cap);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        if (size > 0)
            memcpy(data, buf_bytes(buf), size);
        give_storage(buf, buf->data, buf->cap);
        buf->data = data;
        buf->cap = cap;
    }
    buf->start = 0;
    buf->end = size;
    return buf->data + size;
}

void buf_commit(struct buf *buf, size_t n)
{
    assert(buf->cap - buf->end >= n);
    buf->end += n;
}

void buf_consume(struct buf *buf, size_t n)
{
    assert(n <= buf_size(buf));
    buf->start += n;
    if (buf->start == buf->end)
        buf->start = buf->end = 0;
}

void buf_clear(struct buf *buf)
{
    buf->start = buf->end = 0;
    buf->failed = false;
}

void buf_release(struct buf *buf)
{
    if (buf_size(buf) > 0)
        return;
    give_storage(buf, buf->data, buf->cap);
    buf->data = NULL;
    buf->start = buf->end = buf->cap = 0;
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    char text[BUF_TEXT_BYTES];
    int n = vsnprintf(text, sizeof text, format, args);
    if (n < 0)
        return false;
    return buf_append(buf, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool fit = buf_vprintf(buf, format, args);
    va_end(args);
    return fit;
}
