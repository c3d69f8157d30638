/* Connections: replies in the order of the requests whatever comes back first, bounds on what a
 * peer may do, and connections that close while their operations are under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "clock.h"
#include "net/front.h"
#include "front_fixture.h"

static const char config[] =
    "{\"listen\": {\"resp\": \"127.0.0.1:0\"}, \"max_connections\": 3,"
    " \"pools\": {\"p\": {\"limits\": [{\"unit\": \"tokens\", \"amount\": 30000, \"per\": "
    "\"minute\"}]}},"
    " \"tiers\": {\"pro\": {\"priority\": 1, \"limits\": []}}, \"default_tier\": \"pro\"}";

static struct fixture fixture;
static char reply[4 * 1048576];

static int start(void **state)
{
    (void)state;
    fixture_start(&fixture, config);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static void until_waiting(size_t n)
{
    uint64_t deadline = clock_ms() + 10000;
    while (n_waiting != n) {
        turn(&fixture);
        assert_true(clock_ms() < deadline);
    }
}

static void until_connections(size_t n)
{
    uint64_t deadline = clock_ms() + 10000;
    while (fixture.worker.connections != n) {
        turn(&fixture);
        assert_true(clock_ms() < deadline);
    }
}

static void send_text(int fd, const char *text)
{
    client_send(&fixture, fd, text, strlen(text));
}

static void test_order(void **state)
{
    int fd = client_open(&fixture);
    (void)state;
    send_text(fd, "CANCEL a\nECHO 1\nPEEK p t\nNOPE\nCANCEL b\nECHO 2\nCANCEL c\nHELLO 3\nCANCEL "
                  "d\nQUIT\nPING\n");
    until_waiting(5);
    fixture_answer(4, OP_LATE);    /* d */
    fixture_answer(1, OP_PEEKED);  /* its rows end with this call */
    fixture_answer(2, OP_REFUSED); /* c */
    turn(&fixture);
    assert_int_equal(recv(fd, reply, 1, 0), -1); /* nothing overtakes a */
    fixture_answer(0, OP_DUPLICATE);
    fixture_answer(0, OP_NOSUCH); /* b */
    client_read(&fixture, fd, reply, sizeof reply - 1, 0);
    char *at = reply;
    static const char *const parts[] = {"duplicate",
                                        "$1\r\n1\r\n",
                                        ":123\r\n",
                                        "-ERR unknown command 'NOPE'",
                                        "-NOSUCH",
                                        "$1\r\n2\r\n",
                                        "-UNAVAILABLE the store refused",
                                        "%7\r\n",
                                        "%1\r\n$6\r\nstatus\r\n$4\r\nlate\r\n",
                                        "+OK\r\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *found = strstr(at, parts[i]);
        if (found != NULL)
            at = found;
        else
            fail_msg("missing or too early: %s in %s", parts[i], reply);
    }
    assert_string_equal(at, "+OK\r\n"); /* nothing after QUIT */
    close(fd);
}

/* More than one turn handles, and more than may be under way. */
static void test_deep_pipeline(void **state)
{
    enum { N = 3 * RATION_MAX_PIPELINE };
    static char sent[N * 16], expected[N * 64];
    size_t n = 0, expected_n = 0;
    int fd = client_open(&fixture);
    (void)state;
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(sent + n, i % 2 ? "ECHO %05d\n" : "CANCEL c%05d\n", i);
        expected_n += (size_t)sprintf(
            expected + expected_n,
            i % 2 ? "$5\r\n%05d\r\n" : "*2\r\n$6\r\nstatus\r\n$7\r\nsettled\r\n", i);
    }
    client_send(&fixture, fd, sent, n / 2);
    for (int i = 0; i < 100; i++)
        turn(&fixture);
    assert_int_equal(n_waiting, RATION_MAX_PIPELINE / 2); /* the rest are ECHOs behind these */
    client_send(&fixture, fd, sent + n / 2, n - n / 2);
    assert_int_equal(client_read(&fixture, fd, reply, expected_n, 1), expected_n);
    assert_memory_equal(reply, expected, expected_n);
    close(fd);
}

static void test_close_under_way(void **state)
{
    (void)state;
    int fd = client_open(&fixture);
    send_text(fd, "CANCEL a\nPING\nPEEK p t\nCANCEL b\n");
    until_waiting(3);
    /* A reset: nobody is left to answer. */
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    until_connections(0);
    fixture_answer(1, OP_PEEKED);
    fixture_answer(0, OP_SETTLED);
    fixture_answer(0, OP_REFUSED);

    /* Only the sending half is closed: pending requests are still answered. */
    fd = client_open(&fixture);
    send_text(fd, "CANCEL a\nPING\nPIN");
    shutdown(fd, SHUT_WR);
    until_waiting(1);
    turn(&fixture);
    assert_int_equal(client_read(&fixture, fd, reply, sizeof reply - 1, 1), 29 + 7);
    assert_non_null(strstr(reply, "settled\r\n+PONG\r\n"));
    close(fd);
}

static void test_rubbish_keeps_the_order(void **state)
{
    (void)state;
    int fd = client_open(&fixture);
    send_text(fd, "CANCEL a\n*1\r\n$-7\r\nPING\n");
    until_waiting(1);
    client_read(&fixture, fd, reply, sizeof reply - 1, 1);
    assert_non_null(strstr(reply, "settled\r\n-ERR not RESP"));
    assert_null(strstr(reply, "PONG"));
    close(fd);
    assert_int_equal(fixture.worker.counters.connections_dropped, 1);
}

/* A peer that keeps sending must still get to read why it was closed, not just a reset. */
static void test_last_words(void **state)
{
    static char rubbish[300000] = "*1\r\n$-7\r\n";
    uint64_t deadline = clock_ms() + 10000;
    ssize_t n = -1;
    (void)state;
    int fd = client_open(&fixture);
    client_send(&fixture, fd, rubbish, sizeof rubbish);
    for (int i = 0; i < 100; i++)
        turn(&fixture);
    shutdown(fd, SHUT_WR);
    until_connections(0);
    size_t have = client_read(&fixture, fd, reply, strlen("-ERR not RESP"), 0);
    assert_string_equal(reply, "-ERR not RESP");
    while (have > 0 && (n = recv(fd, reply, sizeof reply, 0)) > 0)
        assert_true(clock_ms() < deadline);
    assert_int_equal(n, 0);
    close(fd);
}

static void test_unread_replies(void **state)
{
    int fd = client_open(&fixture), small = 4096;
    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    uint64_t deadline = clock_ms() + 10000;
    while (fixture.worker.counters.connections_dropped == 0) {
        send_text(fd, "COMMAND\nCOMMAND\nCOMMAND\nCOMMAND\n");
        assert_true(clock_ms() < deadline);
    }
    until_connections(0);
    close(fd);

    /* Replies that wait behind an outstanding one count as well. */
    fd = client_open(&fixture);
    send_text(fd, "CANCEL a\n");
    while (fixture.worker.counters.connections_dropped == 1) {
        send_text(fd, "COMMAND\nCOMMAND\nCOMMAND\nCOMMAND\n");
        assert_true(clock_ms() < deadline);
    }
    until_connections(0);
    close(fd);
}

static void test_max_connections(void **state)
{
    int fds[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        fds[i] = client_open(&fixture);
    client_read(&fixture, fds[3], reply, sizeof reply - 1, 0);
    assert_memory_equal(reply, "-ERR max number of clients reached", 34);
    assert_int_equal(fixture.worker.counters.connections_refused, 1);
    assert_string_equal(ask(&fixture, fds[0], "PING"), "+PONG\r\n");
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    until_connections(0);
}

static void on_empty(void *arg)
{
    ++*(int *)arg;
}

static void test_drain(void **state)
{
    int busy = client_open(&fixture), idle = client_open(&fixture), empty = 0;
    (void)state;
    send_text(busy, "CANCEL a\nPING\n");
    until_waiting(1);
    until_connections(2);
    front_drain(fixture.worker.front, on_empty, &empty);
    assert_int_equal(client_read(&fixture, idle, reply, 1, 0), 0);
    assert_int_equal(empty, 0);
    client_read(&fixture, busy, reply, sizeof reply - 1, 1);
    assert_non_null(strstr(reply, "settled\r\n+PONG\r\n"));
    for (int i = 0; i < 10; i++)
        turn(&fixture);
    assert_int_equal(empty, 1);
    close(busy);
    close(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, start, stop),
        cmocka_unit_test_setup_teardown(test_deep_pipeline, start, stop),
        cmocka_unit_test_setup_teardown(test_close_under_way, start, stop),
        cmocka_unit_test_setup_teardown(test_rubbish_keeps_the_order, start, stop),
        cmocka_unit_test_setup_teardown(test_last_words, start, stop),
        cmocka_unit_test_setup_teardown(test_unread_replies, start, stop),
        cmocka_unit_test_setup_teardown(test_max_connections, start, stop),
        cmocka_unit_test_setup_teardown(test_drain, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
