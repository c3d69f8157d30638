#include "own_redis.h"

#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

enum { DEADLINE_MS = 20000 };

uint64_t own_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void own_remove(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void own_redis_open(struct own_redis *redis)
{
    memset(redis, 0, sizeof *redis);
    snprintf(redis->dir, sizeof redis->dir, "/tmp/ration-test-XXXXXX");
    assert_non_null(mkdtemp(redis->dir));
    snprintf(redis->socket, sizeof redis->socket, "%s/redis.sock", redis->dir);
}

static redisContext *connect_to(const char *socket)
{
    struct timeval tv = {.tv_sec = 5};
    redisContext *context = redisConnectUnixWithTimeout(socket, tv);
    if (context && !context->err) {
        redisSetTimeout(context, tv);
        return context;
    }
    redisFree(context);
    return NULL;
}

char *own_redis_ask(const char *socket, const char *command)
{
    redisContext *context = connect_to(socket);
    if (!context)
        return NULL;
    redisReply *reply = redisCommand(context, command);
    char *text = NULL;
    if (reply && reply->str) {
        text = strdup(reply->str);
    } else if (reply) {
        char number[32];
        snprintf(number, sizeof number, "%lld", reply->integer);
        text = strdup(number);
    }
    if (reply)
        freeReplyObject(reply);
    redisFree(context);
    return text;
}

static void wait_until_it_answers(struct own_redis *redis)
{
    uint64_t deadline = own_now_ms() + DEADLINE_MS;
    for (;;) {
        char *text = own_redis_ask(redis->socket, "PING");
        bool up = text && (!strcmp(text, "PONG") || !strncmp(text, "NOAUTH", 6));
        free(text);
        if (up)
            return;
        assert_int_equal(waitpid(redis->pid, NULL, WNOHANG), 0);
        assert_true(own_now_ms() < deadline);
        poll(NULL, 0, 5);
    }
}

void own_redis_start(struct own_redis *redis, const char *const more[])
{
    char port[8], log[96];
    snprintf(port, sizeof port, "%u", redis->port);
    snprintf(log, sizeof log, "%s/redis.log", redis->dir);
    const char *argv[48] = {"redis-server",
                            "--port",
                            port,
                            "--bind",
                            "127.0.0.1",
                            "--unixsocket",
                            redis->socket,
                            "--dir",
                            redis->dir,
                            "--save",
                            "",
                            "--logfile",
                            log};
    size_t n = 0;
    while (argv[n])
        n++;
    for (; more && *more; more++) {
        assert_true(n < sizeof argv / sizeof argv[0] - 1);
        argv[n++] = *more;
    }
    pid_t parent = getpid();
    redis->pid = fork();
    assert_true(redis->pid >= 0);
    if (!redis->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execvp(argv[0], (char *const *)(const void *)argv);
        _exit(127);
    }
    wait_until_it_answers(redis);
}

void own_redis_kill(struct own_redis *redis)
{
    if (!redis->pid)
        return;
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
    redis->pid = 0;
}

void own_redis_close(struct own_redis *redis)
{
    own_redis_kill(redis);
    own_remove(redis->dir);
}
