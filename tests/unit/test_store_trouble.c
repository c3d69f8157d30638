/*
 * What the store module says about a store that it cannot use, or only with a warning: passwords,
 * rights, eviction, replicas, addresses and names. A fake server with one canned answer plays what
 * a current real one does not do.
 */
#include "store_fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

static void test_passwords(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, (const char *const[]){"--requirepass", "sesame", NULL});
    open_store(f);
    wait_for_trouble(f, "requires a password");
    store_free(f->store);

    f->settings.password = "wr0ng";
    open_store(f);
    wait_for_trouble(f, "AUTH was refused: WRONGPASS");
    assert_null(strstr(store_trouble(f->store), "wr0ng"));
    assert_string_equal(f->states, "");
    struct outcome outcome;
    assert_int_equal(eval(f, &outcome, "k", "x"), -1);
    store_free(f->store);

    f->settings.password = "sesame";
    f->settings.user = "default";
    f->settings.db = 3;
    open_ready(f);
    check_eval(f, "write", STORE_OK, "");
}

static void test_a_user_who_may_do_little(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    ask(f, "ACL SETUSER quota on >pw ~* +@all -info -config");
    f->settings.user = "quota";
    f->settings.password = "pw";
    open_ready(f);
    assert_non_null(strstr(store_warning(f->store), "does not say whether it evicts"));
    check_eval(f, "x", STORE_OK, "");
    store_free(f->store);

    ask(f, "ACL SETUSER quota -function|load");
    open_store(f);
    wait_for_trouble(f, "FUNCTION LOAD was refused: NOPERM");
    assert_non_null(strstr(store_trouble(f->store), "+function|load and +fcall"));
    f->settings.db = 9999;
    wait_for_trouble(f, "SELECT 9999 was refused");
}

static void test_a_store_that_may_evict_is_warned_of(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, (const char *const[]){"--maxmemory", "100mb", "--maxmemory-policy",
                                                     "allkeys-lru", NULL});
    open_ready(f);
    assert_non_null(strstr(store_warning(f->store), "maxmemory-policy allkeys-lru"));
    check_eval(f, "x", STORE_OK, "");
}

static void test_a_replica_is_not_ready(void **state)
{
    struct fixture *f = *state;
    own_redis_start(&f->redis, NULL);
    open_ready(f);
    ask(f, "REPLICAOF 127.0.0.1 1");
    check_eval(f, "write", STORE_LOST, "READONLY");
    assert_false(store_ready(f->store));
    assert_string_equal(f->states, "RN");
    wait_for_trouble(f, "is a replica");
    ask(f, "REPLICAOF NO ONE");
    WAIT_FOR(f, store_ready(f->store));
    check_eval(f, "write", STORE_OK, "");
}

static uint16_t bound_port(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*fd >= 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &n), 0);
    return ntohs(address.sin_port);
}

static void test_tcp_by_address_and_by_name(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    f->settings.kind = STORE_TCP;
    f->settings.host = "127.0.0.1";
    f->settings.port = bound_port(&fd);
    open_store(f);
    wait_for_trouble(f, "Connection refused"); /* bound, not listening */

    f->redis.port = f->settings.port;
    close(fd);
    own_redis_start(&f->redis, NULL);
    WAIT_FOR(f, store_ready(f->store));
    check_eval(f, "tcp", STORE_OK, "{d}k,{d}second=tcp");
    store_free(f->store);

    f->states[0] = '\0';
    f->settings.host = "localhost"; /* may be ::1 first, where nobody listens */
    open_ready(f);
    check_eval(f, "named", STORE_OK, "");
    store_free(f->store);

    f->settings.host = "no-such-host.invalid";
    open_store(f);
    store_free(f->store); /* while the name is looked up */
    open_store(f);
    wait_for_trouble(f, "cannot look up the host name no-such-host.invalid");
}

/* A server that answers whatever it reads with one text, or hangs up if that is NULL. */
static void on_fake_read(struct bufferevent *bev, void *arg)
{
    const char *answer = arg;
    evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
    if (answer)
        bufferevent_write(bev, answer, strlen(answer));
    else
        bufferevent_free(bev);
}

static void on_fake_event(struct bufferevent *bev, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_free(bev);
}

static void on_fake_accept(struct evconnlistener *listener, evutil_socket_t fd,
                           struct sockaddr *address, int n, void *arg)
{
    (void)address;
    (void)n;
    struct bufferevent *bev =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    const char **answer = arg;
    bufferevent_setcb(bev, on_fake_read, NULL, on_fake_event,
                      (void *)(uintptr_t)(const void *)*answer);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void test_answers_of_other_servers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *answer, *trouble;
        char *password;
    } cases[] = {
        {"$22\r\nredis_version:5.0.3\r\n\r\n\r\n", "upgrade it", NULL},
        {"$23\r\nredis_version:6.2.14\r\n\r\n\r\n",
         "is Redis 6.2.14, but Redis 7.0 or later, or any Valkey, is needed", NULL},
        {"$34\r\nredis_version:7.0.3\r\nloading:1\r\n\r\n\r\n", "still loading", NULL},
        {"-LOADING Redis is loading\r\n", "INFO was answered with LOADING", NULL},
        {":5\r\n", "unexpected type", NULL},
        {"-ERR max number of clients reached\r\n", "max number of clients", NULL},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol error", NULL},
        {NULL, "Server closed the connection", NULL},
        {"*1048577\r\n", "more than a million elements", NULL},
        /* INFO, the library, and one reply too many, which hiredis asserts does not happen. */
        {"$21\r\nredis_version:7.0.3\r\n\r\n-ERR Library 'x' already exists\r\n:5\r\n",
         "nobody asked for", NULL},
        {"-ERR unknown command AUTH, with args beginning with: sesame\r\n", "AUTH was refused",
         "sesame"},
    };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->redis.socket);
    const char *answer = NULL;
    struct evconnlistener *listener =
        evconnlistener_new_bind(f->base, on_fake_accept, &answer, LEV_OPT_CLOSE_ON_FREE, 16,
                                (struct sockaddr *)&address, sizeof address);
    assert_non_null(listener);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answer = cases[i].answer;
        f->settings.password = cases[i].password;
        open_store(f);
        wait_for_trouble(f, cases[i].trouble);
        assert_null(strstr(store_trouble(f->store), "sesame"));
        store_free(f->store);
    }
    f->store = NULL;
    evconnlistener_free(listener);
    event_base_loop(f->base, EVLOOP_NONBLOCK); /* the last connection is closed */
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_passwords),
        STORE_TEST(test_a_user_who_may_do_little),
        STORE_TEST(test_a_store_that_may_evict_is_warned_of),
        STORE_TEST(test_a_replica_is_not_ready),
        STORE_TEST(test_tcp_by_address_and_by_name),
        STORE_TEST(test_answers_of_other_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
