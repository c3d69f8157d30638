/*
 * One poll loop over the listening socket, a pipe that ends it, and a few connections, each with
 * the bytes of a command that is not complete yet. The test's thread and this one meet under one
 * mutex.
 */
#include "test_client_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PEERS 4
#define MAX_CONNS 16
#define MAX_VERBS 12
#define BUF_BYTES 32768

struct peer_conn {
    int fd; /* -1: free */
    size_t len;
    char buf[BUF_BYTES + 1];
};

struct peer_verb {
    char name[16];
    const char *always;
    const char *once;
    bool has_always;
    bool has_once;
    size_t count;
    char last[4096];
};

struct peer {
    pthread_t thread;
    int listen_fd;
    int end[2];
    uint16_t port;
    bool used;
    struct peer_conn conns[MAX_CONNS];
    pthread_mutex_t mutex; /* over what follows */
    struct peer_verb verbs[MAX_VERBS];
    int close_after;
    uint32_t delay_us;
};

static struct peer peers[MAX_PEERS];

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* Called with the mutex held. */
static struct peer_verb *verb_of(struct peer *peer, const char *name)
{
    for (size_t i = 0; i < MAX_VERBS; i++) {
        struct peer_verb *verb = &peer->verbs[i];
        if (!verb->name[0])
            snprintf(verb->name, sizeof(verb->name), "%s", name);
        if (strcmp(verb->name, name) == 0)
            return verb;
    }
    abort();
}

static void drop(struct peer_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    conn->len = 0;
}

/* The end of the test ends it too. */
static void be_slow(const struct peer *peer, uint32_t delay_us)
{
    struct pollfd end = {.fd = peer->end[0], .events = POLLIN};
    struct timespec ts = {.tv_sec = delay_us / 1000000, .tv_nsec = delay_us % 1000000 * 1000L};
    ppoll(&end, 1, &ts, NULL);
}

static void answer(struct peer *peer, struct peer_conn *conn, const char *name, const char *words)
{
    pthread_mutex_lock(&peer->mutex);
    struct peer_verb *verb = verb_of(peer, name);
    const char *text = "-ERR the test has no answer to this\r\n";
    if (verb->has_once)
        text = verb->once;
    else if (verb->has_always)
        text = verb->always;
    verb->has_once = false;
    verb->count++;
    snprintf(verb->last, sizeof(verb->last), "%s", words);
    bool close_after = peer->close_after;
    uint32_t delay_us = peer->delay_us;
    pthread_mutex_unlock(&peer->mutex);
    if (delay_us > 0)
        be_slow(peer, delay_us);
    if (text == PEER_SILENT)
        return;
    if (text[0] && send(conn->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        close_after = true;
    if (!text[0] || close_after)
        drop(conn);
}

/* A whole RESP command at the start of the buffer: its length, with the words in `out`; 0 while
 * incomplete. */
static size_t take_resp(const char *buf, char *out, size_t size)
{
    char *s = NULL;
    long n = strtol(buf + 1, &s, 10);
    size_t used = 0;
    if (strncmp(s, "\r\n", 2) != 0)
        return 0;
    s += 2;
    for (long i = 0; i < n; i++) {
        if (*s != '$')
            return 0;
        long len = strtol(s + 1, &s, 10);
        if (strncmp(s, "\r\n", 2) != 0 || strnlen(s + 2, (size_t)len + 2) < (size_t)len + 2)
            return 0;
        used += (size_t)snprintf(out + used, used < size ? size - used : 0, "%s%.*s", i ? " " : "",
                                 (int)len, s + 2);
        s += 2 + len + 2;
    }
    return (size_t)(s - buf);
}

/* The same for an HTTP request, of which the body is given. */
static size_t take_http(const char *buf, char *out, size_t size)
{
    const char *end = strstr(buf, "\r\n\r\n");
    const char *length = strcasestr(buf, "content-length:");
    if (!end || !length)
        return 0;
    size_t body = strtoul(length + 15, NULL, 10);
    if (strlen(end + 4) < body)
        return 0;
    snprintf(out, size, "%.*s", (int)body, end + 4);
    return (size_t)(end + 4 - buf) + body;
}

static void serve(struct peer *peer, struct peer_conn *conn)
{
    ssize_t n = recv(conn->fd, conn->buf + conn->len, BUF_BYTES - conn->len, 0);
    if (n <= 0) {
        drop(conn);
        return;
    }
    conn->len += (size_t)n;
    while (conn->fd >= 0 && conn->len > 0) {
        char words[4096];
        char name[16] = "POST";
        conn->buf[conn->len] = '\0';
        bool http = conn->buf[0] != '*';
        size_t used = http ? take_http(conn->buf, words, sizeof(words))
                           : take_resp(conn->buf, words, sizeof(words));
        if (used == 0)
            return;
        if (!http)
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(words, " "), words);
        conn->len -= used;
        memmove(conn->buf, conn->buf + used, conn->len);
        answer(peer, conn, name, words);
    }
}

static void take_conn(struct peer *peer)
{
    int fd = accept(peer->listen_fd, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < MAX_CONNS; i++) {
        if (peer->conns[i].fd < 0) {
            peer->conns[i].fd = fd;
            peer->conns[i].len = 0;
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    for (;;) {
        struct pollfd fds[MAX_CONNS + 2];
        for (size_t i = 0; i < MAX_CONNS; i++)
            fds[i] = (struct pollfd){.fd = peer->conns[i].fd, .events = POLLIN};
        fds[MAX_CONNS] = (struct pollfd){.fd = peer->listen_fd, .events = POLLIN};
        fds[MAX_CONNS + 1] = (struct pollfd){.fd = peer->end[0], .events = POLLIN};
        if (poll(fds, MAX_CONNS + 2, -1) < 0)
            continue;
        if (fds[MAX_CONNS + 1].revents)
            return NULL;
        for (size_t i = 0; i < MAX_CONNS; i++) {
            if (peer->conns[i].fd >= 0 && fds[i].revents)
                serve(peer, &peer->conns[i]);
        }
        if (fds[MAX_CONNS].revents)
            take_conn(peer);
    }
}

struct peer *peer_start(void)
{
    struct peer *peer = NULL;
    for (size_t i = 0; i < MAX_PEERS && !peer; i++)
        peer = peers[i].used ? NULL : &peers[i];
    must(peer != NULL, "too many peers");
    memset(peer, 0, sizeof(*peer));
    peer->used = true;
    for (size_t i = 0; i < MAX_CONNS; i++)
        peer->conns[i].fd = -1;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(peer->listen_fd, (struct sockaddr *)&sin, len) == 0, "bind");
    must(listen(peer->listen_fd, 16) == 0, "listen");
    must(getsockname(peer->listen_fd, (struct sockaddr *)&sin, &len) == 0, "getsockname");
    peer->port = ntohs(sin.sin_port);
    must(pipe(peer->end) == 0, "pipe");
    pthread_mutex_init(&peer->mutex, NULL);
    must(pthread_create(&peer->thread, NULL, peer_main, peer) == 0, "pthread_create");
    return peer;
}

void peer_stop(struct peer *peer)
{
    must(write(peer->end[1], "x", 1) == 1, "write");
    pthread_join(peer->thread, NULL);
    for (size_t i = 0; i < MAX_CONNS; i++) {
        if (peer->conns[i].fd >= 0)
            close(peer->conns[i].fd);
    }
    close(peer->listen_fd);
    close(peer->end[0]);
    close(peer->end[1]);
    pthread_mutex_destroy(&peer->mutex);
    peer->used = false;
}

uint16_t peer_port(const struct peer *peer)
{
    return peer->port;
}

void peer_answer(struct peer *peer, const char *verb, const char *text)
{
    pthread_mutex_lock(&peer->mutex);
    verb_of(peer, verb)->always = text;
    verb_of(peer, verb)->has_always = true;
    pthread_mutex_unlock(&peer->mutex);
}

void peer_answer_once(struct peer *peer, const char *verb, const char *text)
{
    pthread_mutex_lock(&peer->mutex);
    verb_of(peer, verb)->once = text;
    verb_of(peer, verb)->has_once = true;
    pthread_mutex_unlock(&peer->mutex);
}

void peer_close_after(struct peer *peer, int on)
{
    pthread_mutex_lock(&peer->mutex);
    peer->close_after = on;
    pthread_mutex_unlock(&peer->mutex);
}

void peer_delay(struct peer *peer, uint32_t delay_us)
{
    pthread_mutex_lock(&peer->mutex);
    peer->delay_us = delay_us;
    pthread_mutex_unlock(&peer->mutex);
}

size_t peer_count(struct peer *peer, const char *verb)
{
    size_t n = 0;
    pthread_mutex_lock(&peer->mutex);
    if (verb) {
        n = verb_of(peer, verb)->count;
    } else {
        for (size_t i = 0; i < MAX_VERBS; i++)
            n += peer->verbs[i].count;
    }
    pthread_mutex_unlock(&peer->mutex);
    return n;
}

void peer_last(struct peer *peer, const char *verb, char *out, size_t size)
{
    pthread_mutex_lock(&peer->mutex);
    snprintf(out, size, "%s", verb_of(peer, verb)->last);
    pthread_mutex_unlock(&peer->mutex);
}
