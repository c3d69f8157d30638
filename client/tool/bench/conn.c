/*
 * One connection. Requests are written into `out` and leave in one send() a turn; answers come in
 * their order, so a ring of what is in flight tells what each belongs to.
 *
 * Normal path: one recv() into the run's scratch, behind the bytes left over; each whole reply ends
 * an item or, with --pairs, turns a grant into its report; then free places are filled and
 * everything new is sent at once.
 *
 * How it fails: the server closes, resets, or sends something that is not a rationd's reply. Then
 * everything in flight is an error and the connection is not opened again: a load generator that
 * quietly reconnects would measure something else.
 */
#include "tool/bench/run.h"

#include "clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct bench_count *count_of(const struct bench_run *run, const struct bench_item *item)
{
    return item->measured ? &run->result->measured : &run->result->unmeasured;
}

/* ---- What is in flight ---- */

static void push_item(struct bench_conn *conn, struct bench_item item)
{
    uint32_t at = conn->first + conn->n;
    conn->items[at < conn->depth ? at : at - conn->depth] = item;
    conn->n++;
    conn->run->in_flight++;
}

static struct bench_item pop_item(struct bench_conn *conn)
{
    struct bench_item item = conn->items[conn->first];
    conn->first = conn->first + 1 < conn->depth ? conn->first + 1 : 0;
    conn->n--;
    conn->run->in_flight--;
    return item;
}

/* Room for one more request. Near the end of the buffer, what was sent is dropped. */
static char *out_room(struct bench_conn *conn)
{
    if (conn->out_at > 0 &&
        conn->out_n + BENCH_REQUEST_BYTES > conn->depth * (size_t)BENCH_REQUEST_BYTES) {
        memmove(conn->out, conn->out + conn->out_at, conn->out_n - conn->out_at);
        conn->out_n -= conn->out_at;
        conn->out_at = 0;
    }
    return conn->out + conn->out_n;
}

void bench_conn_begin(struct bench_conn *conn, enum bench_item_kind kind, int64_t since_us,
                      bool measured)
{
    struct bench_run *run = conn->run;
    uint32_t tenant = bench_draw_tenant(&run->draw);
    const struct bench_forms *forms =
        kind == BENCH_ITEM_RESERVE ? &run->reserve_forms : &run->forms;
    conn->out_n += bench_write_acquire(forms, tenant, out_room(conn));
    push_item(conn, (struct bench_item){since_us, (uint8_t)kind, measured});
}

void bench_conn_auth(struct bench_conn *conn, const char *user, const char *secret, int64_t now_us)
{
    conn->out_n += bench_write_auth(user, secret, out_room(conn));
    push_item(conn, (struct bench_item){now_us, BENCH_ITEM_AUTH, false});
}

/* ---- The end of a request ---- */

static void end_item(struct bench_run *run, const struct bench_item *item, int64_t now_us)
{
    if (item->kind == BENCH_ITEM_AUTH)
        return;
    if (item->kind == BENCH_ITEM_RESERVE) {
        run->reserve_ended++;
        return;
    }
    count_of(run, item)->requests++;
    if (item->measured)
        run->last_answer_us = now_us;
}

static void end_well(struct bench_run *run, const struct bench_item *item, int64_t now_us)
{
    end_item(run, item, now_us);
    if (item->measured)
        bench_hist_add(&run->result->hist, now_us - item->since_us);
}

static void end_badly(struct bench_run *run, const struct bench_item *item, int64_t now_us)
{
    count_of(run, item)->errors++;
    end_item(run, item, now_us);
}

void bench_conn_lose(struct bench_conn *conn, const char *why)
{
    struct bench_run *run = conn->run;
    if (conn->fd < 0)
        return;
    int64_t now_us = clock_us();
    close(conn->fd);
    conn->fd = -1;
    run->result->lost++;
    run->loaded -= !conn->idle;
    bench_run_error(run, why, strlen(why));
    while (conn->n > 0) {
        struct bench_item item = pop_item(conn);
        end_badly(run, &item, now_us);
    }
    conn->out_at = conn->out_n = conn->n_rest = 0;
}

void bench_conn_give_up(struct bench_conn *conn, int64_t now_us)
{
    while (conn->n > 0) {
        struct bench_item item = pop_item(conn);
        if (item.measured)
            bench_hist_add(&conn->run->result->hist, now_us - item.since_us);
        conn->run->result->given_up++;
        end_badly(conn->run, &item, now_us);
    }
}

/* ---- Answers ---- */

static void on_granted(struct bench_conn *conn, struct bench_item *item,
                       const struct bench_reply *reply, int64_t now_us)
{
    struct bench_run *run = conn->run;
    if (item->kind == BENCH_ITEM_RESERVE) {
        run->result->reserved++;
        end_item(run, item, now_us);
        return;
    }
    count_of(run, item)->granted++;
    if (!run->options->pairs) {
        end_well(run, item, now_us);
        return;
    }
    conn->out_n += bench_write_report(&run->forms, reply->text, reply->n_text, out_room(conn));
    item->kind = BENCH_ITEM_REPORT;
    push_item(conn, *item);
}

/* False: the answer does not fit what was asked. */
static bool on_answer(struct bench_conn *conn, const struct bench_reply *reply, int64_t now_us)
{
    struct bench_run *run = conn->run;
    if (conn->n == 0)
        return false;
    struct bench_item item = pop_item(conn);
    bool asks = item.kind == BENCH_ITEM_ACQUIRE || item.kind == BENCH_ITEM_RESERVE;
    if (reply->answer == BENCH_ERROR) {
        bench_run_error(run, reply->text, reply->n_text);
        end_badly(run, &item, now_us);
        return item.kind != BENCH_ITEM_AUTH;
    }
    if (asks && reply->answer == BENCH_GRANTED) {
        on_granted(conn, &item, reply, now_us);
    } else if (asks && reply->answer == BENCH_DENIED) {
        count_of(run, &item)->denied += item.kind == BENCH_ITEM_ACQUIRE;
        end_well(run, &item, now_us);
    } else if (item.kind == BENCH_ITEM_REPORT && reply->answer == BENCH_SETTLED) {
        count_of(run, &item)->pairs++;
        end_well(run, &item, now_us);
    } else if (item.kind != BENCH_ITEM_AUTH || reply->answer != BENCH_OK) {
        end_badly(run, &item, now_us);
        return false;
    }
    return true;
}

/* All whole replies of `data`; gives how many bytes they have, or -1 after losing the
 * connection. */
static ssize_t take_replies(struct bench_conn *conn, const char *data, size_t n, int64_t now_us)
{
    size_t at = 0;
    while (at < n) {
        struct bench_reply reply;
        int used = bench_scan_reply(data + at, n - at, &reply);
        if (used == 0)
            break;
        if (used < 0 || !on_answer(conn, &reply, now_us)) {
            bench_conn_lose(conn, "the server sent an unexpected reply; is it a rationd?");
            return -1;
        }
        at += (size_t)used;
    }
    return (ssize_t)at;
}

void bench_conn_on_readable(struct bench_conn *conn)
{
    struct bench_run *run = conn->run;
    char *data = run->scratch;
    memcpy(data, conn->rest, conn->n_rest);
    ssize_t got = recv(conn->fd, data + conn->n_rest, sizeof(run->scratch) - conn->n_rest, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        bench_conn_lose(conn, got == 0 ? "the server closed the connection" : strerror(errno));
        return;
    }
    int64_t now_us = clock_us();
    size_t n = conn->n_rest + (size_t)got;
    ssize_t used = take_replies(conn, data, n, now_us);
    if (used < 0)
        return;
    /* Less than one reply is left, and bench_scan_reply() accepts short ones only. */
    conn->n_rest = n - (size_t)used;
    memcpy(conn->rest, data + used, conn->n_rest);
    run->moved_us = now_us;
    if (conn->n < conn->depth && !conn->idle)
        bench_run_on_room(run, conn, now_us);
    bench_conn_flush(conn);
}

/* ---- Sending ---- */

static void await_room(struct bench_conn *conn, bool blocked)
{
    if (conn->blocked == blocked)
        return;
    conn->blocked = blocked;
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = conn};
    epoll_ctl(conn->run->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

void bench_conn_flush(struct bench_conn *conn)
{
    if (conn->fd < 0)
        return;
    while (conn->out_at < conn->out_n) {
        ssize_t n =
            send(conn->fd, conn->out + conn->out_at, conn->out_n - conn->out_at, MSG_NOSIGNAL);
        if (n >= 0) {
            conn->out_at += (size_t)n;
        } else if (errno == EAGAIN) {
            await_room(conn, true);
            return;
        } else if (errno != EINTR) {
            bench_conn_lose(conn, strerror(errno));
            return;
        }
    }
    conn->out_at = conn->out_n = 0;
    await_room(conn, false);
}
