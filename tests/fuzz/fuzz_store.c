/*
 * Fuzz target: the bytes that Redis sends, through hiredis and the store module, from the greeting
 * on. This process plays Redis, at the other end of a unix socket.
 *
 *     greeted          the greeting is answered as Redis does; with any other word, the first
 *                      answers are for the greeting
 *     $-1
 *     =                between the answers to one command and the next
 *     +OK ...
 *
 * Whatever the answers, each command ends in exactly one callback, with a readable string, and the
 * store can be freed.
 */
#define _GNU_SOURCE /* accept4 */
#include "fuzz.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "log.h"
#include "store/store.h"

#define MAX_TURNS  200
#define IDLE_TURNS 4
#define COMMANDS   4

/* Small ones instead of rationd's own. */
extern const char ration_library_lua[];
extern const unsigned long ration_library_lua_size;
const char ration_library_lua[] = "#!lua name=ration_fuzz\n";
const unsigned long ration_library_lua_size = sizeof(ration_library_lua) - 1;

static struct event_base *base;
static struct store *store;

/* Redis: what it was asked and has not answered, and what it will answer. */
static struct {
    char folder[64];
    char path[80];
    int listener;
    int fd;
    char asked[65536];
    size_t n_asked;
    struct fuzz_input answers;
    bool greets;
    unsigned greeted;
} redis;

static struct {
    bool sent;
    unsigned called;
} commands[COMMANDS];

/* ---- Redis ----------------------------------------------------------------------------------- */

static void remove_folder(void)
{
    unlink(redis.path);
    rmdir(redis.folder);
}

static void listen_once(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(redis.folder, sizeof(redis.folder), "/tmp/ration-fuzz-store-XXXXXX");
    CHECK(mkdtemp(redis.folder) != NULL);
    atexit(remove_folder);
    snprintf(redis.path, sizeof(redis.path), "%s/redis.sock", redis.folder);
    memcpy(address.sun_path, redis.path, strlen(redis.path) + 1);
    redis.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(bind(redis.listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(redis.listener, 8) == 0);
}

static void put(const char *bytes, size_t n)
{
    ssize_t sent = send(redis.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* the store may have hung up, which is fine */
}

/* Sends the answers up to the next line that is a "=". False: there are no more. */
static bool put_answer(void)
{
    struct fuzz_input *input = &redis.answers;
    if (input->n == 0)
        return false;
    size_t n = 0;
    while (n < input->n) {
        const char *lf = memchr(input->bytes + n, '\n', input->n - n);
        size_t end = lf ? (size_t)(lf - input->bytes) + 1 : input->n;
        bool separates = end - n == 2 && input->bytes[n] == '=';
        if (separates) {
            put(input->bytes, n);
            input->bytes += end;
            input->n -= end;
            return true;
        }
        n = end;
    }
    put(input->bytes, n);
    input->n = 0;
    return true;
}

/* Answers INFO and FUNCTION LOAD. */
static bool put_greeting(void)
{
    static const char info[] = "$21\r\nredis_version:7.0.15\r\n\r\n";
    static const char loaded[] = "-ERR Library 'ration' already exists\r\n";
    if (!redis.greets || redis.greeted > 1)
        return false;
    if (redis.greeted++ == 0)
        put(info, sizeof(info) - 1);
    else
        put(loaded, sizeof(loaded) - 1);
    return true;
}

/* Takes the whole commands out of the buffer and returns how many they were. hiredis writes nothing
 * else, so there must be nothing else. */
static size_t take_commands(void)
{
    size_t at = 0;
    size_t count = 0;
    while (at < redis.n_asked) {
        long n = 0;
        const char *start = redis.asked + at;
        const char *s = memchr(start, '\n', redis.n_asked - at);
        CHECK(*start == '*');
        if (!s)
            break;
        n = strtol(start + 1, NULL, 10);
        for (s++; n > 0 && s; n--) {
            const char *line = s < redis.asked + redis.n_asked
                                   ? memchr(s, '\n', (size_t)(redis.asked + redis.n_asked - s))
                                   : NULL;
            long bytes = line ? strtol(s + 1, NULL, 10) : 0;
            s = line && redis.asked + redis.n_asked - line >= bytes + 3 ? line + bytes + 3 : NULL;
        }
        if (!s)
            break;
        at = (size_t)(s - redis.asked);
        count++;
    }
    redis.n_asked -= at;
    memmove(redis.asked, redis.asked + at, redis.n_asked);
    return count;
}

/* Returns whether anything happened. */
static bool redis_turn(void)
{
    if (redis.fd < 0)
        redis.fd = accept4(redis.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (redis.fd < 0)
        return false;
    ssize_t n = recv(redis.fd, redis.asked + redis.n_asked, sizeof(redis.asked) - redis.n_asked, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { /* the store hung up, and may reconnect */
        close(redis.fd);
        redis.fd = -1;
        redis.n_asked = 0;
        return true;
    }
    redis.n_asked += n > 0 ? (size_t)n : 0;
    for (size_t count = take_commands(); count > 0; count--) {
        if (!put_greeting() && !put_answer())
            shutdown(redis.fd, SHUT_WR);
    }
    return n > 0;
}

/* ---- The store ------------------------------------------------------------------------------- */

static void on_reply(void *arg, enum store_status status, const char *data, size_t n)
{
    unsigned *called = arg;
    CHECK(++*called == 1);
    CHECK(status <= STORE_LOST);
    if (status == STORE_OK || status == STORE_REFUSED) {
        char *copy = fuzz_text(data, n); /* reads all of it */
        free(copy);
    }
}

static void on_key(void *arg, const char *key, size_t n)
{
    (void)arg;
    char *copy = fuzz_text(key, n);
    free(copy);
}

static void on_state(void *arg, bool ready)
{
    (void)arg;
    (void)ready;
}

static void send_commands(void)
{
    const char *keys[] = {"ration:{d}:p:p", "ration:{d}:r:a"};
    const size_t bytes[] = {14, 14};
    for (size_t i = 0; i < COMMANDS; i++) {
        void *arg = &commands[i].called;
        int err = 0;
        if (commands[i].sent)
            continue;
        if (i == 2)
            err = store_scan(store, "0", "ration:{d}:r:*", on_key, on_reply, arg);
        else if (i == 1)
            err = store_hget(store, keys[0], bytes[0], "n", 1, on_reply, arg);
        else
            err = store_call(store, i ? FUNCTION_AUDIT : FUNCTION_DECIDE, 2, keys, bytes, "arg", 3,
                             on_reply, arg);
        commands[i].sent = err == 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_store settings = {.kind = STORE_UNIX, .timeout_ms = 1000};
    char word[32];
    if (!base) {
        log_set_level(LOG_LEVEL_ERROR);
        base = event_base_new();
        listen_once();
    }
    redis.fd = -1;
    redis.n_asked = 0;
    redis.greeted = 0;
    redis.answers = (struct fuzz_input){(const char *)data, size};
    fuzz_line(&redis.answers, word, sizeof(word));
    redis.greets = strcmp(word, "greeted") == 0;
    memset(commands, 0, sizeof(commands));
    settings.path = redis.path;
    settings.url = redis.path;
    store = store_new(base, &settings, on_state, NULL);
    CHECK(store != NULL);
    for (int turn = 0, idle = 0; turn < MAX_TURNS && idle < IDLE_TURNS; turn++) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (store_ready(store))
            send_commands();
        CHECK(store_ready(store) == (store_trouble(store)[0] == '\0'));
        idle = redis_turn() ? 0 : idle + 1;
    }
    store_free(store);
    event_base_loop(base, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < COMMANDS; i++)
        CHECK(commands[i].called == commands[i].sent);
    if (redis.fd >= 0)
        close(redis.fd);
    return 0;
}
