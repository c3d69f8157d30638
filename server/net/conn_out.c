/*
 * The output of a connection: answers in the order of the requests, one write a turn.
 *
 * conn_answer moves the answers that are due into `out`; conn_flush sends them at the end of the
 * turn. If the socket is full, write_event reports when there is room. If a peer does not read,
 * `out` and the replies that wait in the queue together reach RATION_MAX_OUTPUT_BYTES, and it is
 * closed.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "net/front_inner.h"

/* Beyond this many requests the front is crowded, and each connection is held to a shorter
 * pipeline. */
#define CROWDED_REQUESTS 131072
#define CROWDED_PIPELINE 16

static void send_some(struct conn *c)
{
    ssize_t n = send(c->fd, buf_bytes(&c->out), buf_size(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        conn_close(c, "the peer is gone");
        return;
    }
    if (n > 0)
        buf_consume(&c->out, (size_t)n);
    if (buf_size(&c->out) == 0) {
        buf_release(&c->out);
    } else if (!c->write_waiting) {
        c->write_waiting = true;
        event_add(&c->write_event, NULL);
    }
}

void conn_flush(struct conn *c)
{
    c->dirty = false;
    if (buf_size(&c->out) > 0 && !c->write_waiting)
        send_some(c);
    if (c->state != CONN_CLOSED)
        conn_settle(c);
}

void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    c->write_waiting = false;
    conn_mark_dirty(c);
}

struct buf *conn_out(struct conn *c)
{
    conn_mark_dirty(c);
    return &c->out;
}

/* Unread replies must not pile up; but one turn may produce many, so try the socket first. */
static void make_room(struct conn *c)
{
    if (buf_size(&c->out) > RATION_MAX_OUTPUT_BYTES / 2 && !c->write_waiting)
        send_some(c);
}

static void check_output(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->out.failed || buf_size(&c->out) + c->held_bytes > RATION_MAX_OUTPUT_BYTES)
        conn_drop(c, "more unread replies than the limit of output bytes");
}

void conn_hold(struct conn *c, size_t n)
{
    c->held_bytes += n;
}

unsigned conn_pipeline_limit(const struct conn *c)
{
    return c->front->n_requests > CROWDED_REQUESTS ? CROWDED_PIPELINE : RATION_MAX_PIPELINE;
}

static void pop_first(struct conn *c)
{
    struct request *r = c->first;
    assert(c->under_way > 0);
    c->first = r->next;
    if (c->first == NULL)
        c->last = NULL;
    c->under_way--;
    request_free(r);
}

static void write_first(struct conn *c)
{
    struct request *r = c->first;
    switch (r->answer) {
    case ANSWER_IN_OP:
        r->write(r, &c->out);
        break;
    case ANSWER_HELD:
        assert(c->held_bytes >= buf_size(&r->reply));
        c->held_bytes -= buf_size(&r->reply);
        if (r->reply.failed)
            c->out.failed = true;
        else
            buf_append(&c->out, buf_bytes(&r->reply), buf_size(&r->reply));
        break;
    case ANSWER_WRITTEN:
        break;
    }
}

void conn_answer(struct conn *c)
{
    while (c->first != NULL && c->first->state == REQUEST_DONE) {
        make_room(c);
        if (c->state == CONN_CLOSED)
            return;
        write_first(c);
        pop_first(c);
    }
    check_output(c);
    if (c->state == CONN_CLOSED)
        return;
    conn_mark_dirty(c);
    if (c->stalled && c->under_way < conn_pipeline_limit(c)) {
        c->stalled = false;
        conn_mark_resuming(c);
    }
}
