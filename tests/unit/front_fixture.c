/* The fakes define everything that the real batcher, store and audit would, so that those in the
 * static library are not linked. */
#include "front_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "batch/audit.h"
#include "batch/batch.h"
#include "clock.h"
#include "command/command.h"
#include "config/config.h"
#include "net/front.h"
#include "net/listen.h"
#include "log.h"
#include "store/store.h"

#define MAX_WAITING 16384
#define PATIENCE_MS 10000

struct op *waiting[MAX_WAITING];
size_t n_waiting;
size_t n_submitted;

static struct batch_counters counters;

void batch_submit(struct batcher *batcher, struct op *op)
{
    (void)batcher;
    assert_true(n_waiting < MAX_WAITING);
    waiting[n_waiting++] = op;
    n_submitted++;
}

size_t batch_load(const struct batcher *batcher)
{
    (void)batcher;
    return n_waiting;
}

const struct batch_counters *batch_counters(const struct batcher *batcher)
{
    (void)batcher;
    return &counters;
}

const char *store_trouble(const struct store *store)
{
    (void)store;
    return "it is a fake";
}

const char *store_warning(const struct store *store)
{
    (void)store;
    return "";
}

struct audit *audit_run(struct event_base *base, struct store *store, struct config *config,
                        const struct config_pool *pool, audit_done_fn *done, void *arg)
{
    (void)base;
    (void)store;
    (void)config;
    (void)pool;
    (void)done;
    (void)arg;
    fail_msg("no test here runs an audit");
    return NULL;
}

void audit_end(struct audit *audit)
{
    (void)audit;
}

int audit_percent(const struct audit *audit)
{
    (void)audit;
    return 0;
}

void fixture_start(struct fixture *fixture, const char *text)
{
    struct config_problems problems = {0, NULL};
    struct config *config;
    char errmsg[256];
    memset(fixture, 0, sizeof *fixture);
    n_waiting = n_submitted = 0;
    log_set_level(LOG_LEVEL_ERROR);
    if (config_parse("test", text, strlen(text), &config, &problems) != 0)
        fail_msg("%s", problems.lines[0]);
    fixture->worker.base = event_base_new();
    fixture->workers = (struct workers){.n = 1, .list = &fixture->worker, .started_ms = clock_ms()};
    fixture->worker.all = &fixture->workers;
    fixture->worker.store_ready = true;
    worker_config_set(&fixture->worker, config);
    static char fake;
    fixture->worker.store = (struct store *)&fake;
    int fd =
        listen_tcp(&config->listen, config->listen.resp_port, false, true, errmsg, sizeof errmsg);
    if (fd < 0)
        fail_msg("%s", errmsg);
    fixture->workers.port = listen_port(fd);
    fixture->worker.front = front_new(&fixture->worker, &fd, 1, command_run);
    assert_non_null(fixture->worker.front);
}

void fixture_stop(struct fixture *fixture)
{
    while (n_waiting > 0)
        fixture_answer(0, OP_UNAVAILABLE);
    front_free(fixture->worker.front);
    event_base_free(fixture->worker.base);
    worker_config_set(&fixture->worker, NULL);
    libevent_global_shutdown();
}

void fixture_answer(size_t index, enum op_outcome outcome)
{
    struct op_row rows[64] = {{0, 0, 0}};
    struct op *op = waiting[index];
    n_waiting--;
    for (size_t i = index; i < n_waiting; i++)
        waiting[i] = waiting[i + 1];
    op->outcome = outcome;
    if (outcome == OP_PEEKED) {
        rows[0] = (struct op_row){123, 456, 0};
        op->rows = rows;
    }
    if (outcome == OP_REFUSED)
        op->trouble = "OOM it\r\nis full";
    if (outcome == OP_DENIED)
        op->retry_after_ms = 1500;
    op->done(op);
    memset(rows, 0xff, sizeof rows); /* borrowed only until done returns */
}

void turn(struct fixture *fixture)
{
    event_base_loop(fixture->worker.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static enum op_outcome willing(const struct op *op)
{
    switch (op->kind) {
    case OP_PEEK:
        return OP_PEEKED;
    case OP_ACQUIRE:
    case OP_RENEW:
        return OP_GRANTED;
    default:
        return OP_SETTLED;
    }
}

int client_open(struct fixture *fixture)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(fixture->workers.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

void client_send(struct fixture *fixture, int fd, const char *bytes, size_t n)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* closed: the reader sees why */
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        turn(fixture);
        assert_true(clock_ms() < deadline);
    }
}

size_t client_read(struct fixture *fixture, int fd, char *to, size_t n, int grants)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    size_t have = 0;
    while (have < n) {
        turn(fixture);
        while (grants && n_waiting > 0)
            fixture_answer(0, willing(waiting[0]));
        ssize_t got = recv(fd, to + have, n - have, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        have += got > 0 ? (size_t)got : 0;
        assert_true(clock_ms() < deadline);
    }
    to[have] = '\0';
    return have;
}

const char *ask(struct fixture *fixture, int fd, const char *line)
{
    static char reply[65536];
    /* The answer to a line that cannot be split, whoever asks. */
    static const char fence[] =
        "-ERR unbalanced quotes in the line; close each quote and put a space after it\r\n";
    size_t have = 0;
    client_send(fixture, fd, line, strlen(line));
    client_send(fixture, fd, "\r\n\"\r\n", 5);
    /* The reply is whatever comes before the fence, or before the connection ends. */
    while (have < sizeof reply - 1 && client_read(fixture, fd, reply + have, 1, 1) == 1) {
        have++;
        if (have >= sizeof fence - 1 &&
            memcmp(reply + have - (sizeof fence - 1), fence, sizeof fence - 1) == 0) {
            have -= sizeof fence - 1;
            break;
        }
    }
    reply[have] = '\0';
    return reply;
}
