/*
 * How a thread waits for an answer: the rule by numbers, then handles and connections that wait for a peer that answers
 * late, or not at all.
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

#include "awake.h"
#include "clock.h"
#include "wire/conn.h"
#include "test_client_peer.h"
#include "test_client_replies.h"

/* ---- The rule ---- */

static void a_look_in_vain_halves_the_next_down_to_nothing(void **state)
{
    (void)state;
    static const uint32_t looks[] = {200, 100, 50, 25, 12, 6, 3, 1};
    struct awake awake;
    awake_init(&awake, 200);
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        assert_int_equal(awake_for(&awake), looks[i]);
        awake_in_vain(&awake);
        awake_answered(&awake, 201);
    }
    assert_int_equal(awake_for(&awake), 0);
}

static void an_answer_in_time_gives_back_the_whole_look(void **state)
{
    (void)state;
    struct awake awake;
    awake_init(&awake, 200);
    awake_in_vain(&awake);
    awake_in_vain(&awake);
    assert_int_equal(awake_for(&awake), 50);
    awake_answered(&awake, 201); /* too late, though it may have been found */
    assert_int_equal(awake_for(&awake), 50);
    awake_answered(&awake,
                   200); /* slept for, as 50 had passed: a longer look would have found it */
    assert_int_equal(awake_for(&awake), 200);
    for (int i = 0; i < 8; i++)
        awake_in_vain(&awake);
    assert_int_equal(awake_for(&awake), 0);
    awake_answered(&awake, 0);
    assert_int_equal(awake_for(&awake), 200);
}

/* All of them in vain: the sum of the looks of so many waits. */
static uint64_t looked_in_vain(struct awake *awake, int waits)
{
    uint64_t sum_us = 0;
    for (int i = 0; i < waits; i++) {
        uint32_t us = awake_for(awake);
        sum_us += us;
        if (us > 0)
            awake_in_vain(awake);
        awake_answered(awake, 1000000);
    }
    return sum_us;
}

static void from_nothing_one_wait_of_64_is_a_trial(void **state)
{
    (void)state;
    struct awake awake;
    awake_init(&awake, 200);
    looked_in_vain(&awake, 8);
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(looked_in_vain(&awake, 63), 0);
        assert_int_equal(looked_in_vain(&awake, 1), 200);
    }
    assert_int_equal(looked_in_vain(&awake, 6400), 100 * 200);

    looked_in_vain(&awake, 63);
    assert_int_equal(awake_for(&awake), 200);
    awake_answered(&awake, 150); /* the trial found it */
    assert_int_equal(awake_for(&awake), 200);

    /* What was slept before does not count towards the next trial. */
    looked_in_vain(&awake, 8 + 30);
    awake_answered(&awake, 150);
    assert_int_equal(looked_in_vain(&awake, 8), 200 + 100 + 50 + 25 + 12 + 6 + 3 + 1);
    assert_int_equal(looked_in_vain(&awake, 63), 0);
}

static void nothing_is_never_looked_for(void **state)
{
    (void)state;
    struct awake awake;
    awake_init(&awake, 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(awake_for(&awake), 0);
        awake_answered(&awake, 0);
    }
}

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

static int open_with(uint32_t spin_us, uint32_t timeout_ms, ration **out)
{
    char servers[32];
    struct ration_options options;
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(peer));
    ration_options_init(&options);
    options.servers = servers;
    options.spin_us = spin_us;
    options.timeout_ms = timeout_ms;
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
    static const uint32_t spins_us[] = {0, 1, 200, 1000};
    static const uint32_t delays_us[] = {0, 50, 300, 1500, 20000};
    for (size_t i = 0; i < sizeof(spins_us) / sizeof(spins_us[0]); i++) {
        ration *r = NULL;
        assert_int_equal(open_with(spins_us[i], 5000, &r), RATION_OK);
        for (size_t k = 0; k < sizeof(delays_us) / sizeof(delays_us[0]); k++) {
            peer_delay(peer, delays_us[k]);
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
    }
    assert_int_equal(peer_count(peer, "CANCEL"), 4 * 5 * 10); /* none was sent twice */
}

static void a_long_wait_is_slept_through(void **state)
{
    (void)state;
    ration *r = NULL;
    assert_int_equal(open_with(1000, 5000, &r), RATION_OK);
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    peer_delay(peer, 300000);
    int64_t cpu = cpu_us();
    int64_t begun_us = clock_us();
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    assert_in_range(clock_us() - begun_us, 300000, 5000000);
    assert_in_range(cpu_us() - cpu, 0, 30000);
    ration_close(r);
}

static void a_server_far_away_is_hardly_looked_at(void **state)
{
    (void)state;
    ration *r = NULL;
    assert_int_equal(open_with(1000, 5000, &r), RATION_OK);
    peer_delay(peer, 3000);
    int64_t cpu = cpu_us();
    for (int i = 0; i < 128; i++)
        assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    /* 2 ms until the looks are down to nothing, 1 ms for each of two trials, and what the calls themselves need; were all of
     * them looked for, it would be 128 ms. */
    assert_in_range(cpu_us() - cpu, 0, 60000);
    ration_close(r);
}

static void the_option_is_checked(void **state)
{
    (void)state;
    struct ration_options options;
    ration *r = NULL;
    ration_options_init(&options);
    assert_int_equal(options.spin_us, 200);
    assert_int_equal(open_with(1001, 1000, &r), RATION_EINVALID);
    assert_int_equal(open_with(UINT32_MAX, 1000, &r), RATION_EINVALID);
    assert_null(r);
    assert_int_equal(open_with(1000, 1000, &r), RATION_OK);
    ration_close(r);
}

/* ---- One connection ---- */

static void connect_to_peer(struct conn *conn, uint32_t spin_us)
{
    char why[160];
    struct addr addr = {.host = "127.0.0.1", .port = peer_port(peer)};
    conn_init(conn, spin_us);
    assert_int_equal(conn_open(conn, &addr, clock_ms() + 5000, why, sizeof(why)), 0);
}

static void send_cancel(struct conn *conn)
{
    char why[160];
    struct command cmd;
    command_init(&cmd, "CANCEL");
    command_arg(&cmd, "x");
    assert_int_equal(command_finish(&cmd), 0);
    assert_int_equal(conn_send(conn, &cmd, clock_ms() + 5000, why, sizeof(why)), 0);
}

/* With a look of ten seconds, which no option allows, the deadline can be told from it. */
static void a_deadline_is_kept_by_a_look_that_is_longer(void **state)
{
    (void)state;
    char why[160];
    struct conn conn;
    struct reply *reply = NULL;
    connect_to_peer(&conn, 10000000);
    peer_answer(peer, "CANCEL", PEER_SILENT);
    send_cancel(&conn);
    int64_t begun_ms = clock_ms();
    int err = conn_receive(&conn, begun_ms + 50, &reply, why, sizeof(why));
    assert_int_equal(err, RATION_ETIMEOUT);
    assert_in_range(clock_ms() - begun_ms, 50, 3000);
    assert_int_equal(conn.fd, -1);
}

static void an_end_is_noticed_by_a_look(void **state)
{
    (void)state;
    char why[160];
    struct conn conn;
    struct reply *reply = NULL;
    connect_to_peer(&conn, 10000000);
    peer_answer(peer, "CANCEL", PEER_CLOSE);
    send_cancel(&conn);
    int err = conn_receive(&conn, clock_ms() + 5000, &reply, why, sizeof(why));
    assert_int_equal(err, RATION_ECONNECT);
    assert_int_equal(conn.fd, -1);
    conn_close(&conn);
}

static void exchange(struct conn *conn)
{
    char why[160];
    struct reply *reply = NULL;
    send_cancel(conn);
    assert_int_equal(conn_receive(conn, clock_ms() + 5000, &reply, why, sizeof(why)), 0);
    reply_free(reply);
}

static void a_connection_learns_and_the_next_one_begins_anew(void **state)
{
    (void)state;
    struct conn conn;
    connect_to_peer(&conn, 100);
    peer_delay(peer, 20000);
    for (int i = 0; i < 3; i++)
        exchange(&conn);
    assert_int_equal(conn.awake.now_us, 12);
    conn_close(&conn);

    char why[160];
    struct addr addr = {.host = "127.0.0.1", .port = peer_port(peer)};
    assert_int_equal(conn_open(&conn, &addr, clock_ms() + 5000, why, sizeof(why)), 0);
    assert_int_equal(conn.awake.now_us, 100);
    conn_close(&conn);
}

/* The reply of a posted report is read when a call's own time has passed: it says nothing of how near the server is. */
static void an_answer_that_has_long_been_there_teaches_nothing(void **state)
{
    (void)state;
    char why[160];
    struct conn conn;
    struct reply *reply = NULL;
    connect_to_peer(&conn, 100);
    peer_delay(peer, 20000);
    exchange(&conn);
    assert_int_equal(conn.awake.now_us, 50);
    send_cancel(&conn);
    int64_t deadline_ms = clock_ms() + 5000;
    while (conn_is_fresh(&conn))
        assert_true(clock_ms() < deadline_ms);
    assert_int_equal(conn_receive(&conn, deadline_ms, &reply, why, sizeof(why)), 0);
    reply_free(reply);
    assert_int_equal(conn.awake.now_us, 50);
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
    static const uint32_t spins_us[] = {0, 20, 10000000};
    for (size_t i = 0; i < sizeof(spins_us) / sizeof(spins_us[0]); i++) {
        char why[160];
        struct conn conn;
        struct reply *reply = NULL;
        pthread_t writer;
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        conn_init(&conn, spins_us[i]);
        conn.fd = fds[0];
        conn.reader = reply_reader_new();
        struct pieces pieces = {.to = fds[1], .read_by = fds[0], .deadline_ms = clock_ms() + 10000};
        assert_int_equal(pthread_create(&writer, NULL, write_pieces, &pieces), 0);
        int err = conn_receive(&conn, pieces.deadline_ms, &reply, why, sizeof(why));
        pthread_join(writer, NULL);
        assert_int_equal(err, 0);
        assert_non_null(reply);
        reply_free(reply);
        conn_close(&conn);
        close(fds[1]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_in_vain_halves_the_next_down_to_nothing),
        cmocka_unit_test(an_answer_in_time_gives_back_the_whole_look),
        cmocka_unit_test(from_nothing_one_wait_of_64_is_a_trial),
        cmocka_unit_test(nothing_is_never_looked_for),
        TEST(answers_are_got_however_late_they_come),
        TEST(a_long_wait_is_slept_through),
        TEST(a_server_far_away_is_hardly_looked_at),
        TEST(the_option_is_checked),
        TEST(a_deadline_is_kept_by_a_look_that_is_longer),
        TEST(an_end_is_noticed_by_a_look),
        cmocka_unit_test(an_answer_in_pieces_is_put_together),
        TEST(a_connection_learns_and_the_next_one_begins_anew),
        TEST(an_answer_that_has_long_been_there_teaches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
