/*
 * Requests and their free list.
 *
 * The normal path: request_new > handler > operation_submit > batch ... request_finish >
 * conn_answer > request_free. When the connection closes in between, conn.c detaches the request
 * (conn = NULL) and request_finish only frees it.
 */
#include "net/request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/conn.h"
#include "net/front_inner.h"

#define KEEP_REQUESTS    16384 /* in the free list, about 14 MB */
#define KEEP_REPLY_BYTES 512   /* storage that a free request keeps for its next reply */
#define ERROR_BYTES      1024

struct request *request_new(struct front *front, struct conn *conn)
{
    struct request *r = front->free_requests;
    if (r != NULL) {
        assert(r->state == REQUEST_FREE);
        front->free_requests = r->next;
        front->n_free_requests--;
    } else {
        r = calloc(1, sizeof *r);
        if (r == NULL)
            return NULL;
        buf_init(&r->reply, RATION_MAX_OUTPUT_BYTES, NULL);
        r->front = front;
        r->worker = front->worker;
    }
    r->state = REQUEST_NEW;
    r->next = NULL;
    r->conn = conn;
    r->resp = conn->resp;
    r->answer = ANSWER_IN_OP;
    r->command = NULL;
    front->n_requests++;
    if (conn->last != NULL)
        conn->last->next = r;
    else
        conn->first = r;
    conn->last = r;
    conn->under_way++;
    return r;
}

void request_free(struct request *r)
{
    struct front *front = r->front;
    assert(r->state == REQUEST_DONE && front->n_requests > 0);
    worker_config_unref(r->worker, r->op.config);
    r->op.config = NULL;
    front->n_requests--;
    buf_clear(&r->reply);
    if (r->reply.cap > KEEP_REPLY_BYTES)
        buf_release(&r->reply);
    if (front->n_free_requests >= KEEP_REQUESTS) {
        buf_close(&r->reply);
        free(r);
        return;
    }
    r->state = REQUEST_FREE;
    r->conn = NULL;
    r->next = front->free_requests;
    front->free_requests = r;
    front->n_free_requests++;
}

void request_free_all(struct front *front)
{
    while (front->free_requests != NULL) {
        struct request *r = front->free_requests;
        front->free_requests = r->next;
        buf_close(&r->reply);
        free(r);
    }
    front->n_free_requests = 0;
}

struct buf *request_out(struct request *r)
{
    assert(r->state == REQUEST_NEW || r->state == REQUEST_WAITING);
    if (r->conn != NULL && r->conn->first == r && r->answer != ANSWER_HELD) {
        r->answer = ANSWER_WRITTEN;
        return conn_out(r->conn);
    }
    r->answer = ANSWER_HELD;
    return &r->reply;
}

void request_error(struct request *r, const char *word, const char *format, ...)
{
    char text[ERROR_BYTES];
    int n = snprintf(text, sizeof text, "%s ", word);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    resp_error(request_out(r), text);
    counter_add(&r->worker->counters.commands_failed, 1);
}

void request_wait(struct request *r)
{
    assert(r->state == REQUEST_NEW);
    r->state = REQUEST_WAITING;
}

void request_finish(struct request *r)
{
    assert(r->state == REQUEST_WAITING);
    r->state = REQUEST_DONE;
    struct conn *conn = r->conn;
    if (conn == NULL) {
        request_free(r);
        return;
    }
    if (r->answer == ANSWER_HELD)
        conn_hold(conn, buf_size(&r->reply));
    conn_answer(conn);
}
