/*
 * strict-provider: start, run until a signal, report what was seen.
 *
 *     options > listener > event loop ... SIGTERM or SIGINT > the report as one line of JSON on
 *     stdout > exit 0
 *
 * Scripts wait for the line `listening on HOST:PORT` or for the port file. The file is put in place
 * by rename(), so that nobody reads half a number, and an old one is removed first, so that nobody
 * reads the port of an earlier run.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "http.h"
#include "log.h"
#include "provider.h"

#define BACKLOG    4096
#define MOST_FILES 1048576

struct address {
    struct sockaddr_storage bytes;
    socklen_t len;
};

/* "host:port", "[v6]:port" or ":port" (every address of this host). */
static int resolve(const char *listen, struct address *to)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t)(colon - listen) : 0;
    if (colon == NULL || colon[1] == '\0' || len >= sizeof(host)) {
        fprintf(stderr, "strict-provider: --listen takes HOST:PORT, not '%s'\n", listen);
        return -1;
    }
    if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']') {
        listen++;
        len -= 2;
    }
    memcpy(host, listen, len);
    host[len] = '\0';
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc = getaddrinfo(len ? host : NULL, colon + 1, &hints, &found);
    if (rc != 0) {
        fprintf(stderr, "strict-provider: --listen: '%s' is not an address to listen on: %s\n",
                listen, gai_strerror(rc));
        return -1;
    }
    memcpy(&to->bytes, found->ai_addr, found->ai_addrlen);
    to->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int bound_address(struct evconnlistener *listener, char *text, size_t size, unsigned *port)
{
    struct address at = {.len = sizeof(at.bytes)};
    char host[64];
    char digits[16];
    if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&at.bytes, &at.len) < 0 ||
        getnameinfo((struct sockaddr *)&at.bytes, at.len, host, sizeof(host), digits,
                    sizeof(digits), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return -1;
    }
    snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, digits);
    *port = (unsigned)strtoul(digits, NULL, 10);
    return 0;
}

static int write_port_file(const char *path, unsigned port)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    FILE *f = fopen(temporary, "w");
    if (f == NULL) {
        return -1;
    }
    int ok = fprintf(f, "%u\n", port) > 0;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(temporary, path) < 0) {
        int saved = errno;
        unlink(temporary);
        errno = saved;
        return -1;
    }
    return 0;
}

/* Each call in flight needs a connection, and the usual soft limit is 1024 files. */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < MOST_FILES ? limit.rlim_max : MOST_FILES;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    (void)what;
    log_event("info", "stopping", "signal=%d", (int)signal_number);
    event_base_loopbreak(arg);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(arg);
}

/* Out of files: accepting again at once would spin, since the connection is still waiting. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct timeval pause = {.tv_sec = 0, .tv_usec = 50000};
    (void)arg;
    log_event("warning", "accept_failed", "errno=%d", errno);
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_accept_again,
                        listener, &pause) == 0) {
        evconnlistener_disable(listener);
    }
}

static int say_ready(const struct options *opt, struct evconnlistener *listener)
{
    char text[96];
    unsigned port;
    if (bound_address(listener, text, sizeof(text), &port) < 0) {
        fprintf(stderr, "strict-provider: cannot find out its own address: %s\n", strerror(errno));
        return -1;
    }
    if (opt->port_file && write_port_file(opt->port_file, port) < 0) {
        fprintf(stderr, "strict-provider: --port-file: cannot write '%s': %s\n", opt->port_file,
                strerror(errno));
        return -1;
    }
    printf("listening on %s\n", text);
    fflush(stdout);
    log_event("info", "listening",
              "address=%s rpm=%" PRId64 " tpm=%" PRId64 " window_ms=%" PRId64 " settle=%s", text,
              opt->rpm, opt->tpm, opt->window_ms, opt->settle ? "yes" : "no");
    return 0;
}

static void print_report(const struct provider *p)
{
    char *json = report_json(&p->report, &p->limits);
    printf("%s\n", json ? json : "{}");
    fflush(stdout);
    free(json);
}

/* Listens and runs until a signal; returns the exit status. */
static int serve(const struct options *opt, struct event_base *base, const struct address *address)
{
    struct provider provider;
    struct evhttp *http;
    struct event *terminate = evsignal_new(base, SIGTERM, on_signal, base);
    struct event *interrupt = evsignal_new(base, SIGINT, on_signal, base);
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        BACKLOG, (const struct sockaddr *)&address->bytes, (int)address->len);
    int status = 1;
    if (listener == NULL) {
        fprintf(stderr, "strict-provider: cannot listen on %s: %s\n", opt->listen, strerror(errno));
        goto out_signals;
    }
    if (provider_init(&provider, opt, base) < 0) {
        status = 2;
        evconnlistener_free(listener);
        goto out_signals;
    }
    http = http_new(&provider, listener);
    if (http == NULL || !terminate || !interrupt || event_add(terminate, NULL) < 0 ||
        event_add(interrupt, NULL) < 0) {
        fprintf(stderr, "strict-provider: out of memory\n");
        goto out_provider;
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    if (say_ready(opt, listener) == 0) {
        if (event_base_dispatch(base) < 0) {
            log_event("error", "event_loop_failed", "errno=%d", errno);
        } else {
            status = 0;
        }
        print_report(&provider);
        if (opt->port_file) {
            unlink(opt->port_file);
        }
    }
out_provider:
    provider_close(&provider);
    if (http) {
        evhttp_free(http); /* and the listener */
    } else {
        evconnlistener_free(listener);
    }
out_signals:
    if (terminate) {
        event_free(terminate);
    }
    if (interrupt) {
        event_free(interrupt);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct options opt;
    struct address address;
    switch (options_parse(&opt, argc, argv)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    if (resolve(opt.listen, &address) < 0) {
        return 2;
    }
    if (opt.port_file && unlink(opt.port_file) < 0 && errno != ENOENT) {
        fprintf(stderr, "strict-provider: --port-file: cannot replace '%s': %s\n", opt.port_file,
                strerror(errno));
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    allow_many_files();
    struct event_base *base = event_base_new();
    if (base == NULL) {
        fprintf(stderr, "strict-provider: cannot make an event loop\n");
        return 1;
    }
    int status = serve(&opt, base, &address);
    event_base_free(base);
    return status;
}
