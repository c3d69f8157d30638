/*
 * Waiting for an answer: from a peer that answers late, in pieces, or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "clock.h"
#include "wire/conn.h"
#include "test_client_peer.h"
#include "test_client_replies.h"

/* ---- Handles ---- */

static struct peer *peer;

static int set_up(void **state)
{
    (void)state;
    peer = peer_start();
    peer_answer(peer, "CANCEL", REPLY_SETTLED);
    peer_answer(peer, "ACQUIRE", REPLY_GRANTED);
    peer_answer(peer, "PEEK", REPLY_PEEK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peer_stop(peer);
    return 0;
}

static int open_to_peer(ration **out)
{
    char servers[32];
    struct ration_options options;
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(peer));
    ration_options_init(&options);
    options.servers = servers;
    return ration_open(&options, out);
}

/* Of this thread alone: the peer has its own. */
static int64_t cpu_us(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void answers_are_got_however_late_they_come(void **state)
{
    (void)state;
    static const uint32_t delays_us[] = {0, 50, 300, 1500, 20000};
    ration *r = NULL;
    assert_int_equal(open_to_peer(&r), RATION_OK);
    for (size_t i = 0; i < sizeof(delays_us) / sizeof(delays_us[0]); i++) {
        peer_delay(peer, delays_us[i]);
        for (int n = 0; n < 10; n++) {
            struct ration_grant grant;
            enum ration_settled settled = RATION_LATE;
            assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
            assert_string_equal(grant.id, "me");
            assert_int_equal(ration_cancel(r, "x", &settled), RATION_OK);
            assert_int_equal(settled, RATION_SETTLED);
        }
    }
    ration_close(r);
    assert_int_equal(peer_count(peer, "CANCEL"), 5 * 10); /* none was sent twice */
}

static void a_wait_costs_no_processor_time(void **state)
{
    (void)state;
    ration *r = NULL;
    assert_int_equal(open_to_peer(&r), RATION_OK);
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    peer_delay(peer, 300000);
    int64_t cpu = cpu_us();
    int64_t begun_us = clock_us();
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    assert_in_range(clock_us() - begun_us, 300000, 5000000);
    assert_in_range(cpu_us() - cpu, 0, 30000);
    ration_close(r);
}

/* ---- One connection ---- */

static void connect_to_peer(struct conn *conn)
{
    struct addr addr = {.host = "127.0.0.1", .port = peer_port(peer)};
    conn_init(conn);
    assert_int_equal(conn_open(conn, &addr, clock_ms() + 5000), 0);
}

static void send_cancel(struct conn *conn)
{
    struct command cmd;
    command_init(&cmd, "CANCEL");
    command_arg(&cmd, "x");
    assert_int_equal(command_finish(&cmd), 0);
    assert_int_equal(conn_send(conn, &cmd, clock_ms() + 5000), 0);
}

static void a_deadline_is_kept(void **state)
{
    (void)state;
    struct conn conn;
    struct reply *reply = NULL;
    connect_to_peer(&conn);
    peer_answer(peer, "CANCEL", PEER_SILENT);
    send_cancel(&conn);
    int64_t begun_ms = clock_ms();
    int err = conn_receive(&conn, begun_ms + 50, &reply);
    assert_int_equal(err, RATION_ETIMEOUT);
    assert_in_range(clock_ms() - begun_ms, 50, 3000);
    assert_int_equal(conn.fd, -1);
}

static void an_end_is_noticed(void **state)
{
    (void)state;
    struct conn conn;
    struct reply *reply = NULL;
    connect_to_peer(&conn);
    peer_answer(peer, "CANCEL", PEER_CLOSE);
    send_cancel(&conn);
    int err = conn_receive(&conn, clock_ms() + 5000, &reply);
    assert_int_equal(err, RATION_ECONNECT);
    assert_int_equal(conn.fd, -1);
    conn_close(&conn);
}

struct pieces {
    int to;
    int read_by;
    int64_t deadline_ms;
};

/* A byte, and the next one when that has been read. */
static void *write_pieces(void *arg)
{
    const struct pieces *pieces = arg;
    int unread = 0;
    for (const char *s = REPLY_GRANTED; *s; s++) {
        if (send(pieces->to, s, 1, MSG_NOSIGNAL) != 1)
            return NULL;
        do {
            if (clock_ms() > pieces->deadline_ms || ioctl(pieces->read_by, FIONREAD, &unread) < 0)
                return NULL;
            sched_yield();
        } while (unread > 0);
    }
    return NULL;
}

static void an_answer_in_pieces_is_put_together(void **state)
{
    (void)state;
    struct conn conn;
    struct reply *reply = NULL;
    pthread_t writer;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    conn_init(&conn);
    conn.fd = fds[0];
    conn.reader = reply_reader_new();
    struct pieces pieces = {.to = fds[1], .read_by = fds[0], .deadline_ms = clock_ms() + 10000};
    assert_int_equal(pthread_create(&writer, NULL, write_pieces, &pieces), 0);
    int err = conn_receive(&conn, pieces.deadline_ms, &reply);
    pthread_join(writer, NULL);
    assert_int_equal(err, 0);
    assert_non_null(reply);
    reply_free(reply);
    conn_close(&conn);
    close(fds[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_got_however_late_they_come),
        TEST(a_wait_costs_no_processor_time),
        TEST(a_deadline_is_kept),
        TEST(an_end_is_noticed),
        cmocka_unit_test(an_answer_in_pieces_is_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
