/* The embedded store: started, found, locked, restarted and stopped; and the error if it cannot
 * be. */
#include "store/embedded.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "own_redis.h"

enum { DEADLINE_MS = 20000 };

struct fixture {
    char dir[256];
    char errmsg[1024];
    struct event_base *base;
    struct event *tick;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/ration-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->base = event_base_new();
    f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
    struct timeval tv = {.tv_usec = 5000};
    event_add(f->tick, &tv);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_free(f->tick);
    event_base_free(f->base);
    f->dir[strlen("/tmp/ration-test-XXXXXX")] = '\0';
    own_remove(f->dir);
    free(f);
    return 0;
}

static struct embedded *start(struct fixture *f, const char *state_dir)
{
    struct embedded *embedded = NULL;
    if (embedded_start(f->base, state_dir, &embedded, f->errmsg, sizeof f->errmsg))
        fail_msg("%s", f->errmsg);
    return embedded;
}

static void check_refused(struct fixture *f, const char *state_dir, const char *words)
{
    struct embedded *embedded = NULL;
    assert_int_equal(embedded_start(f->base, state_dir, &embedded, f->errmsg, sizeof f->errmsg),
                     -1);
    assert_null(embedded);
    if (!strstr(f->errmsg, words))
        fail_msg("'%s' does not contain '%s'", f->errmsg, words);
}

static void check_answer(const char *socket, const char *command, const char *words)
{
    char *text = own_redis_ask(socket, command);
    if (!text || !strstr(text, words))
        fail_msg("%s: '%s' does not contain '%s'", command, text ? text : "(no answer)", words);
    free(text);
}

static pid_t process_of(const char *socket)
{
    char *info = own_redis_ask(socket, "INFO server");
    const char *line = info ? strstr(info, "process_id:") : NULL;
    pid_t pid = line ? (pid_t)atol(line + strlen("process_id:")) : 0;
    free(info);
    return pid;
}

static void test_start_keep_and_stop(void **state)
{
    struct fixture *f = *state;
    char nested[300];
    snprintf(nested, sizeof nested, "%s/not/there yet", f->dir);
    struct embedded *embedded = start(f, nested);
    const char *socket = embedded_socket(embedded);
    check_answer(socket, "SET kept 1", "OK");
    check_answer(socket, "INFO", "aof_enabled:1");
    check_answer(socket, "INFO", "maxmemory_policy:noeviction");
    check_answer(socket, "INFO", "tcp_port:0");
    pid_t pid = process_of(socket);
    assert_true(pid > 0);
    assert_int_equal(getsid(pid), pid); /* Ctrl-C does not reach it */
    uint64_t begin = own_now_ms();
    embedded_stop(embedded);
    assert_true(own_now_ms() - begin < 4000); /* asked to stop, not killed */
    assert_int_equal(kill(pid, 0), -1);

    embedded = start(f, nested);
    check_answer(embedded_socket(embedded), "GET kept", "1");
    embedded_stop(embedded);
    embedded_stop(NULL);
}

static void test_one_that_does_not_stop_is_killed(void **state)
{
    struct fixture *f = *state;
    struct embedded *embedded = start(f, f->dir);
    pid_t pid = process_of(embedded_socket(embedded));
    assert_true(pid > 0);
    kill(pid, SIGSTOP);
    embedded_stop(embedded);
    assert_int_equal(kill(pid, 0), -1);
}

static char *copy_of_path(void)
{
    const char *path = getenv("PATH");
    char *copy = path ? strdup(path) : NULL;
    assert_non_null(copy);
    return copy;
}

static void test_missing_program(void **state)
{
    struct fixture *f = *state;
    char *before = copy_of_path();
    setenv("PATH", f->dir, 1);
    check_refused(f, f->dir, "apt-get install redis-server");
    assert_non_null(strstr(f->errmsg, f->dir));
    setenv("PATH", before, 1);
    free(before);
}

static void test_a_program_that_ends_at_once(void **state)
{
    struct fixture *f = *state;
    char path[400], *before = copy_of_path();
    snprintf(path, sizeof path, "%s/redis-server", f->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho cannot read the data >&2\nexit 3\n");
    fclose(file);
    chmod(path, 0700);
    setenv("PATH", f->dir, 1);
    check_refused(f, f->dir, "exit status 3");
    assert_non_null(strstr(f->errmsg, "cannot read the data"));
    setenv("PATH", before, 1);
    free(before);
}

static void test_one_owner(void **state)
{
    struct fixture *f = *state;
    struct embedded *embedded = start(f, f->dir);
    char owner[64];
    snprintf(owner, sizeof owner, "(process %ld)", (long)getpid());
    check_refused(f, f->dir, "another rationd");
    assert_non_null(strstr(f->errmsg, owner));
    check_answer(embedded_socket(embedded), "PING", "PONG");
    embedded_stop(embedded);
    embedded_stop(start(f, f->dir));
}

static void test_a_directory_that_cannot_be(void **state)
{
    struct fixture *f = *state;
    char path[300];
    snprintf(path, sizeof path, "%s/file", f->dir);
    fclose(fopen(path, "w"));
    check_refused(f, path, "cannot use the state directory");
}

static void test_restarted_when_it_ends(void **state)
{
    struct fixture *f = *state;
    struct embedded *embedded = start(f, f->dir);
    const char *socket = embedded_socket(embedded);
    for (int i = 0; i < 2; i++) {
        pid_t before = process_of(socket), after = 0;
        assert_true(before > 0);
        kill(before, SIGKILL);
        uint64_t deadline = own_now_ms() + DEADLINE_MS;
        while (after == 0 || after == before) {
            assert_true(own_now_ms() < deadline);
            event_base_loop(f->base, EVLOOP_ONCE);
            after = process_of(socket);
        }
    }
    /* Ended, and not yet restarted. */
    pid_t last = process_of(socket);
    kill(last, SIGKILL);
    embedded_stop(embedded);
}

/* Longer than the path of a socket may be. */
static void test_long_state_directory(void **state)
{
    struct fixture *f = *state;
    size_t n = strlen(f->dir);
    memset(f->dir + n, 'd', 150);
    f->dir[n] = '/';
    struct embedded *embedded = start(f, f->dir);
    assert_true(strlen(embedded_socket(embedded)) < 108);
    check_answer(embedded_socket(embedded), "PING", "PONG");
    embedded_stop(embedded);
}

/* rationd is killed: its redis-server ends too, and the next rationd finds the data. */
static void test_killed_owner(void **state)
{
    struct fixture *f = *state;
    int ready[2];
    char byte = 0, path[400];
    assert_int_equal(pipe(ready), 0);
    pid_t owner = fork();
    if (!owner) {
        struct embedded *embedded = NULL;
        struct event_base *base = event_base_new();
        int err = embedded_start(base, f->dir, &embedded, f->errmsg, sizeof f->errmsg);
        if (write(ready[1], err ? "n" : "y", 1) == 1)
            event_base_dispatch(base);
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    snprintf(path, sizeof path, "%s/store/redis.sock", f->dir);
    pid_t orphan = process_of(path);
    check_answer(path, "SET kept 1", "OK");
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    struct embedded *embedded = start(f, f->dir);
    assert_int_not_equal(process_of(path), orphan);
    check_answer(path, "GET kept", "1");
    embedded_stop(embedded);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_start_keep_and_stop),
        T(test_one_that_does_not_stop_is_killed),
        T(test_missing_program),
        T(test_a_program_that_ends_at_once),
        T(test_one_owner),
        T(test_a_directory_that_cannot_be),
        T(test_restarted_when_it_ends),
        T(test_long_state_directory),
        T(test_killed_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
