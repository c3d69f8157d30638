/*
 * `ration replay`, the parent: reads the trace, checks that a server answers, forks the hosts,
 * shows progress, and prints the results.
 *
 * How it ends early: SIGINT or SIGTERM is passed on to the hosts, which finish the calls in flight;
 * the tables are printed as always. A second signal kills them. A host that dies otherwise closes
 * its pipe without a last snapshot: what it had counted stays, and the exit status is 2.
 */
#include "tool/options.h"
#include "tool/progress_line.h"
#include "tool/provider.h"
#include "tool/replay/replay.h"
#include "tool/say.h"
#include "tool/table.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_IN_MS 200 /* the hosts' threads start meanwhile */

struct host_process {
    pid_t pid;
    int fd; /* -1: its pipe has ended */
    struct replay_snapshot last;
};

struct parent {
    const struct replay *replay;
    struct host_process hosts[REPLAY_MAX_HOSTS];
    size_t n;
    int signal_fd;
    unsigned stops; /* signals to stop */
    int64_t next_line_ms;
    uint64_t last_tokens; /* at the last line, for the rate */
    int64_t last_line_ms;
};

/* ---- Hosts ---- */

static bool start_host(struct parent *p, const sigset_t *signals)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) < 0)
        return false;
    fflush(NULL); /* else the child would print what is buffered once more */
    pid_t pid = fork();
    if (pid < 0) {
        close(fd[0]);
        close(fd[1]);
        return false;
    }
    if (pid == 0) {
        close(fd[0]);
        for (size_t i = 0; i < p->n; i++)
            close(p->hosts[i].fd);
        replay_host_main(p->replay, p->n, fd[1], signals);
    }
    close(fd[1]);
    p->hosts[p->n++] = (struct host_process){.pid = pid, .fd = fd[0]};
    return true;
}

static void signal_hosts(const struct parent *p, int sig)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->hosts[i].fd >= 0)
            kill(p->hosts[i].pid, sig);
    }
}

static void read_host(struct host_process *host)
{
    struct replay_snapshot snapshot;
    ssize_t n = read(host->fd, &snapshot, sizeof(snapshot));
    if (n == (ssize_t)sizeof(snapshot)) {
        host->last = snapshot;
    } else if (n >= 0 || errno != EINTR) {
        close(host->fd);
        host->fd = -1;
    }
}

static void add_snapshot(const struct parent *p, struct replay_snapshot *total)
{
    *total = (struct replay_snapshot){.done = 1};
    for (size_t i = 0; i < p->n; i++) {
        const struct replay_snapshot *s = &p->hosts[i].last;
        for (size_t g = 0; g < p->replay->n_groups; g++)
            replay_count_add(&total->group[g], &s->group[g]);
        total->late_ms = s->late_ms > total->late_ms ? s->late_ms : total->late_ms;
        if (s->most_late_ms > total->most_late_ms)
            total->most_late_ms = s->most_late_ms;
        total->done &= s->done;
        if (s->error[0] && !total->error[0])
            memcpy(total->error, s->error, sizeof(total->error));
    }
}

/* ---- Progress ---- */

static void print_progress(struct parent *p, int64_t now_ms, bool last)
{
    struct replay_snapshot total;
    struct progress_line line = {.n = 0};
    add_snapshot(p, &total);
    struct replay_count sum = replay_sum(p->replay, &total);
    int64_t span_ms = now_ms - p->last_line_ms;
    uint64_t rate = span_ms > 0 ? (sum.tokens - p->last_tokens) * 1000 / (uint64_t)span_ms : 0;
    int64_t elapsed_ms = now_ms - p->replay->start_ms;
    progress_add(&line, "%5.1f s  arrivals %s  granted %s  denied %s  429s %s  %s tokens/s",
                 (double)(elapsed_ms < 0 ? 0 : elapsed_ms) / 1000,
                 as_count((int64_t)sum.arrivals).s, as_count((int64_t)sum.granted).s,
                 as_count((int64_t)sum.denied).s, as_count((int64_t)sum.status_429).s,
                 as_count((int64_t)rate).s);
    if (sum.errors)
        progress_add(&line, "  errors %llu", (unsigned long long)sum.errors);
    if (total.late_ms >= 1000)
        progress_add(&line, "  %.1f s behind the trace: more --threads",
                     (double)total.late_ms / 1000);
    progress_show(&line, last);
    p->last_tokens = sum.tokens;
    p->last_line_ms = now_ms;
    p->next_line_ms = now_ms + progress_interval_ms();
}

static void take_signal(struct parent *p)
{
    struct signalfd_siginfo info;
    if (read(p->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    p->stops++;
    if (p->stops == 1) {
        fprintf(stderr,
                "\nration: stopping; calls in flight are finished (a second signal kills them)\n");
        signal_hosts(p, SIGTERM);
    } else {
        signal_hosts(p, SIGKILL);
    }
}

/* Until every host has closed its pipe. */
static void watch(struct parent *p)
{
    for (;;) {
        struct pollfd fds[REPLAY_MAX_HOSTS + 1];
        size_t open = 0;
        for (size_t i = 0; i < p->n; i++) {
            fds[i] =
                (struct pollfd){.fd = p->hosts[i].fd, .events = POLLIN}; /* poll() passes over -1 */
            open += p->hosts[i].fd >= 0;
        }
        if (open == 0)
            break;
        fds[p->n] = (struct pollfd){.fd = p->signal_fd, .events = POLLIN};
        int64_t now_ms = clock_ms();
        if (now_ms >= p->next_line_ms)
            print_progress(p, now_ms, false);
        int64_t left = p->next_line_ms - now_ms;
        if (poll(fds, p->n + 1, left > 0 ? (int)left : 0) <= 0)
            continue;
        for (size_t i = 0; i < p->n; i++) {
            if (p->hosts[i].fd >= 0 && fds[i].revents)
                read_host(&p->hosts[i]);
        }
        if (fds[p->n].revents)
            take_signal(p);
    }
    print_progress(p, clock_ms(), true);
}

/* ---- The whole ---- */

static int verdict(const struct replay *replay, const struct replay_snapshot *total,
                   const struct replay_upstream *before, const struct replay_upstream *after,
                   bool written)
{
    struct replay_count sum = replay_sum(replay, total);
    if (!total->done || sum.errors > 0 || !written)
        return EXIT_WRONG;
    bool seen = after->known && after->status_429 != before->status_429;
    return sum.status_429 > 0 || seen ? EXIT_DENIED : EXIT_GRANTED;
}

static int replay_all(struct replay *replay)
{
    static struct parent parent;
    struct replay_upstream before;
    struct replay_upstream after;
    struct replay_snapshot total;
    sigset_t signals;
    replay_ask_upstream(replay->url, &before);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    replay->start_ms = clock_ms() + START_IN_MS;
    replay->start_wall_ms = clock_wall_ms() + START_IN_MS;
    parent.replay = replay;
    parent.last_line_ms = replay->start_ms;
    bool started = true;
    while (started && parent.n < (size_t)replay->hosts)
        started = start_host(&parent, &signals);
    parent.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!started || parent.signal_fd < 0) {
        say("the hosts could not be started: %s", strerror(errno));
        signal_hosts(&parent, SIGKILL);
    }
    watch(&parent);
    for (size_t i = 0; i < parent.n; i++)
        waitpid(parent.hosts[i].pid, NULL, 0);
    if (parent.signal_fd >= 0)
        close(parent.signal_fd);
    int64_t elapsed_ms = clock_ms() - replay->start_ms;
    add_snapshot(&parent, &total);
    replay_ask_upstream(replay->url, &after);
    bool written = replay_report(replay, &total, &before, &after, elapsed_ms);
    int code = started ? verdict(replay, &total, &before, &after, written) : EXIT_WRONG;
    replay_upstream_close(&before);
    replay_upstream_close(&after);
    return code;
}

static bool check(struct replay *replay)
{
    replay->key = replay->key_variable ? provider_key(replay->key_variable) : "replayed-traffic";
    if (!replay->key)
        return false;
    if (replay->speed <= 0 || replay->warm_up_speed < 0)
        return say("--speed and --warm-up-speed must be above 0");
    if (replay->warm_up_speed == 0)
        replay->warm_up_speed = replay->speed;
    return true;
}

static struct replay args = {.url = "http://127.0.0.1:8080",
                             .pool = "openai/gpt-4o",
                             .tenants_text = "acme:pro,globex:enterprise,initech:free",
                             .hosts = 4,
                             .threads = 16,
                             .output_cap = 1000000,
                             .call_timeout_ms = 30000,
                             .speed = 1};

static int run(struct session *session)
{
    int code = EXIT_WRONG;
    args.session = session;
    bool ready = check(&args) && replay_read_tenants(&args) &&
                 replay_read_trace(args.trace_file, &args.trace) &&
                 (args.without_ration || session_probe(session, args.pool, args.tenants[0].name));
    session_close(session); /* the hosts have handles of their own */
    if (ready)
        code = replay_all(&args);
    free(args.trace.rows);
    return code;
}

static const struct option_row options[] = {
    TEXT("trace", trace_file, "FILE", "the traffic; required"),
    TEXT("url", url, "URL", "the provider; default http://127.0.0.1:8080"),
    TEXT("pool", pool, "POOL", "default openai/gpt-4o"),
    TEXT("tenants", tenants_text, "NAME:LABEL,...",
         "who asks; labels group the table; default acme:pro,globex:enterprise,initech:free"),
    WHOLE("hosts", hosts, 1, REPLAY_MAX_HOSTS, "N", "processes; default 4"),
    WHOLE("threads", threads, 1, REPLAY_MAX_THREADS, "N", "of each host; default 16"),
    DECIMAL("speed", speed, 0, 100000, "FACTOR", "compress the trace's time; default 1"),
    DECIMAL("duration", duration_s, 0, 86400, "SECONDS", "stop after this long; default: its end"),
    WHOLE("output-cap", output_cap, 1, 10000000, "N", "cut longer answers to this many tokens"),
    DECIMAL("wait-max", wait_max_s, 0, 3600, "SECONDS", "sit out denials for up to this long"),
    WHOLE("call-timeout", call_timeout_ms, 1, 3600000, "MS", "of a call; default 30000"),
    DECIMAL("warm-up", warm_up_s, 0, 86400, "SECONDS", "begin at another speed, for this long"),
    DECIMAL("warm-up-speed", warm_up_speed, 0, 100000, "FACTOR", "that speed; default --speed"),
    FLAG("without-ration", without_ration,
         "to compare: ask nobody, retry a 429 by exponential backoff with jitter"),
    TEXT("key-variable", key_variable, "NAME",
         "environment variable with the provider's key; default: a made-up key"),
    TEXT("json", json_file, "FILE", "also write the result as JSON"),
    {0},
};

const struct command command_replay = {
    .name = "replay",
    .summary = "replay recorded traffic against a provider through Ration",
    .synopsis = "--trace FILE [options]",
    .about = "Replays recorded traffic against an OpenAI-compatible provider: each request of the "
             "trace asks Ration first, is sent when it is granted, and reports what it used. "
             "Several processes stand for hosts that share the one quota. Ends with what each tier "
             "met, and what the provider saw.\n\n"
             "The trace is CSV: TIMESTAMP,ContextTokens,GeneratedTokens. Hosts begin at different "
             "--server addresses and move on when one goes away. Ctrl-C stops early and still "
             "prints the tables.",
    .exits = "0 no error and no 429, 1 there were 429s, 2 an error",
    .options = options,
    .arguments = {{&args.trace_file, "--trace"}},
    .run = run,
};
