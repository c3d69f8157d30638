/*
 * The input of a connection: one read a turn, whose requests are parsed in place.
 *
 * Most reads go into the front's scratch space and leave nothing behind; an incomplete request
 * moves into `in` and, while it is short, back before the next read. A long one stays in `in` and
 * is completed there, so that bytes that arrive one by one are not copied again and again.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "net/front_inner.h"

#define IN_READ_BYTES 8192
#define LINGER_BYTES  1048576

/* Runs one request, or answers it with the parser's error if there is one. False: out of memory. */
static bool run_request(struct conn *c, const char *data, const char *error)
{
    struct arg args[RATION_MAX_ARGS];
    struct request *r = request_new(c->front, c);
    if (r == NULL) {
        conn_close(c, conn_reason_memory);
        return false;
    }
    counter_add(&c->front->worker->counters.commands, 1);
    if (error != NULL) {
        counter_add(&c->front->worker->counters.commands_failed, 1);
        resp_error(request_out(r), error);
    } else {
        c->front->run(r, args, resp_args(&c->parser, data, args));
    }
    assert(r->conn == c); /* a command may finish its connection, never close it */
    if (r->state == REQUEST_NEW) {
        r->state = REQUEST_DONE;
        if (r->answer == ANSWER_HELD)
            conn_hold(c, buf_size(&r->reply));
        conn_answer(c);
    }
    return true;
}

static bool parses(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_LAST;
}

/* Runs the requests in data and returns how many bytes they took; all n if no more are wanted. */
static size_t run_requests(struct conn *c, char *data, size_t n)
{
    size_t used = 0;
    for (unsigned budget = FRONT_REQUESTS_PER_TURN; used < n && parses(c); budget--) {
        size_t bytes = 0;
        const char *error = NULL;
        if (c->under_way >= conn_pipeline_limit(c)) {
            c->stalled = true;
            event_del(&c->read_event);
            return used;
        }
        if (budget == 0) {
            conn_mark_resuming(c);
            return used;
        }
        enum resp_result result = resp_parse(&c->parser, data + used, n - used, &bytes, &error);
        if (result == RESP_MORE)
            return used;
        if (result == RESP_BROKEN) {
            if (run_request(c, data + used, error)) {
                counter_add(&c->front->worker->counters.connections_dropped, 1);
                conn_stop_reading(c, error, true);
            }
            return n;
        }
        if (result == RESP_BAD_LINE || c->parser.argc > 0)
            run_request(c, data + used, result == RESP_BAD_LINE ? error : NULL);
        resp_parser_reset(&c->parser);
        used += bytes;
    }
    return parses(c) ? used : n;
}

/* Runs requests that lie in the connection's own buffer. */
static void run_own(struct conn *c)
{
    if (buf_size(&c->in) > 0)
        buf_consume(&c->in, run_requests(c, buf_bytes(&c->in), buf_size(&c->in)));
    buf_release(&c->in);
}

/* Runs requests that lie in the scratch space; an incomplete one moves into the connection's own
 * buffer. */
static void run_scratch(struct conn *c, size_t n)
{
    char *data = c->front->scratch;
    buf_clear(&c->in);
    size_t used = run_requests(c, data, n);
    if (used < n && !buf_append(&c->in, data + used, n - used))
        conn_close(c, conn_reason_memory);
    buf_release(&c->in);
}

static void linger(struct conn *c)
{
    ssize_t n = recv(c->fd, c->front->scratch, FRONT_READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->discarded += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->discarded > LINGER_BYTES)
        conn_close(c, c->reason);
}

static void read_and_run(struct conn *c)
{
    size_t have = buf_size(&c->in);
    bool own = have > CONN_IN_SMALL_BYTES;
    char *to = c->front->scratch + have;
    size_t room = own ? IN_READ_BYTES : FRONT_READ_BYTES;
    if (own && (to = buf_reserve(&c->in, room)) == NULL) {
        conn_close(c, conn_reason_memory);
        return;
    }
    ssize_t n = recv(c->fd, to, room, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            conn_close(c, "the peer is gone");
        return;
    }
    if (n == 0) {
        conn_end_input(c, conn_reason_eof);
        return;
    }
    if (own) {
        buf_commit(&c->in, (size_t)n);
        run_own(c);
        return;
    }
    if (have > 0)
        memcpy(c->front->scratch, buf_bytes(&c->in), have);
    run_scratch(c, have + (size_t)n);
}

void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    if (c->state == CONN_LINGER && (what & EV_TIMEOUT))
        conn_close(c, c->reason);
    else if (c->state == CONN_LINGER)
        linger(c);
    else if (c->state == CONN_OPEN && !c->resuming)
        read_and_run(c);
}

void conn_resume(struct conn *c)
{
    run_own(c);
    if (c->state == CONN_OPEN && !c->stalled)
        event_add(&c->read_event, NULL);
    else
        conn_mark_dirty(c); /* this may have been all that kept it open */
}
