/*
 * From a configuration to a running server, and back down.
 *
 * Up:    signals > embedded store (if configured) > batcher and store > front. Clients are listened to at once; until
 *        the store is ready for the first time, their commands wait in the batch, and are answered as its deadline says.
 * Down:  SIGTERM or SIGINT drains the front: what was asked is answered, for 5 s at the most. Then everything is freed
 *        from the store's side, so that each operation still under way is answered exactly once before its connection
 *        goes.
 *
 * Each step that fails logs one line with the remedy, undoes the steps before it, and ends with status 1.
 *
 * The store keeps borrowing the settings of the configuration that the server was started with, so that one is kept
 * until the end, whatever is loaded meanwhile.
 */
#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "batch/batch.h"
#include "clock.h"
#include "command/command.h"
#include "config/config.h"
#include "workers.h"
#include "store/embedded.h"
#include "net/front.h"
#include "store/store.h"
#include "version.h"
#include "worker.h"

#define DRAIN_SECONDS 5
#define SPARE_FILES   64 /* file descriptors beside the clients' */
#define ERRMSG_BYTES  512

enum { ON_TERM, ON_INT, ON_HUP, N_SIGNALS };

struct server {
    struct worker worker;       /* the main thread's */
    struct crew crew;           /* with the others */
    struct config *boot_config; /* whose store settings are borrowed; one reference */
    struct config_store
        store_settings; /* boot_config's, or the embedded store's socket; strings are borrowed */
    struct embedded *embedded; /* NULL: the store is somebody else's */
    struct event *signals[N_SIGNALS];
    struct event *drain_timer;
};

/* ---- Signals -------------------------------------------------------------------------------------------------- */

static void log_problems(const char *event, struct config_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++)
        log_error(event, "problem=\"%s\"", problems->lines[i]);
    config_problems_free(problems);
}

static void say_what_differs(const struct config *config)
{
    if (config->on_outage == OUTAGE_LOCAL)
        log_warn(
            "on_outage is local",
            "remedy=\"this version answers as deny while the store is away; say deny or allow\"");
    if (config->listen.http_host != NULL)
        log_info("http is not served", "reason=\"listen.http is for a later version\"");
}

/* Each client is a file descriptor; the usual soft limit is 1024. */
static void raise_file_limit(unsigned max_connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)max_connections + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    rlim_t most = limit.rlim_max;
    limit.rlim_cur = most == RLIM_INFINITY || most >= wanted ? wanted : most;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warn(
            "too few open files allowed",
            "files=%llu max_connections=%u remedy=\"raise ulimit -n, or lower max_connections\"",
            (unsigned long long)limit.rlim_cur, max_connections);
}

static void on_reload(evutil_socket_t signal, short what, void *arg)
{
    struct server *server = arg;
    struct worker *worker = &server->worker;
    struct config_problems problems = {0, NULL};
    struct config *config;
    (void)signal;
    (void)what;
    if (worker->config_path == NULL) {
        log_warn("nothing to reload", "reason=\"the built-in example is served\" "
                                      "remedy=\"start with --config FILE\"");
        return;
    }
    if (config_load_file(worker->config_path, &config, &problems) != 0) {
        log_problems("configuration refused", &problems);
        log_error("configuration not reloaded", "file=%s reason=\"the old one stays in force\"",
                  worker->config_path);
        return;
    }
    const char *restart = config_restart_needed(server->boot_config, config);
    if (restart != NULL)
        log_warn("restart needed", "setting=%s reason=\"it takes effect at the next start only\"",
                 restart);
    say_what_differs(config);
    raise_file_limit(config->max_connections);
    worker_config_set(worker, config);
    crew_reload(&server->crew, config);
    log_info("configuration reloaded", "file=%s pools=%zu tenants=%zu", worker->config_path,
             config_pool_count(config), config_tenant_count(config));
}

static void on_drained(void *arg)
{
    struct server *server = arg;
    event_base_loopbreak(server->worker.base);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    (void)fd;
    (void)what;
    log_warn("clients are cut off", "connections=%zu reason=\"they did not finish in %d s\"",
             front_connections(server->worker.front), DRAIN_SECONDS);
    event_base_loopbreak(server->worker.base);
}

static void on_stop(evutil_socket_t signal, short what, void *arg)
{
    static const struct timeval patience = {DRAIN_SECONDS, 0};
    struct server *server = arg;
    struct worker *worker = &server->worker;
    (void)what;
    const char *name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
    if (worker->draining) {
        log_warn("stopping at once", "signal=%s", name);
        crew_drain(&server->crew, true);
        event_base_loopbreak(worker->base);
        return;
    }
    log_info("stopping", "signal=%s connections=%zu", name, crew_connections(worker));
    worker->draining = true;
    event_add(server->drain_timer, &patience);
    crew_drain(&server->crew, false);
    front_drain(worker->front, on_drained, server);
}

static int set_up_signals(struct server *server)
{
    static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    struct event_base *base = server->worker.base;
    signal(SIGPIPE, SIG_IGN);
    server->drain_timer = event_new(base, -1, 0, on_drain_timeout, server);
    if (server->drain_timer == NULL)
        return -1;
    for (int i = 0; i < N_SIGNALS; i++) {
        event_callback_fn on_signal = i == ON_HUP ? on_reload : on_stop;
        server->signals[i] = event_new(base, numbers[i], EV_SIGNAL | EV_PERSIST, on_signal, server);
        if (server->signals[i] == NULL || event_add(server->signals[i], NULL) != 0)
            return -1;
    }
    return 0;
}

/* ---- Up ------------------------------------------------------------------------------------------------------- */

/* The directory and those above it. */
static int make_directory(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0700);
        *slash = '/';
        if (made != 0 && errno != EEXIST)
            return -1;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int start_embedded(struct server *server, const struct options *options)
{
    char errmsg[ERRMSG_BYTES];
    char *state = options_state_dir(options, errmsg, sizeof errmsg);
    if (state == NULL) {
        log_error("cannot start", "reason=\"%s\"", errmsg);
        return -1;
    }
    int err = make_directory(state);
    if (err != 0)
        log_error("cannot start",
                  "reason=\"cannot make the state directory %s: %s\" "
                  "remedy=\"say --state DIR with one that can be written\"",
                  state, strerror(errno));
    else if ((err = embedded_start(server->worker.base, state, &server->embedded, errmsg,
                                   sizeof errmsg)) != 0)
        log_error("cannot start the embedded store", "reason=\"%s\"", errmsg);
    free(state);
    if (err != 0)
        return -1;
    server->store_settings.kind = STORE_UNIX;
    server->store_settings.path = (char *)embedded_socket(server->embedded);
    return 0;
}

static const char *address(const struct config *config, uint16_t port, char *to, size_t cap)
{
    const char *host = config->listen.resp_host;
    snprintf(to, cap, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    return to;
}

static void on_store_changed(void *arg, bool ready)
{
    crew_store_changed(arg, ready);
}

/* By whichever worker was the last. */
static void on_all_ready(void *arg)
{
    struct server *server = arg;
    char where[256];
    log_info("ration ready", "resp=%s store=%s",
             address(server->boot_config, front_port(server->worker.front), where, sizeof where),
             server->store_settings.url);
}

static int start(struct server *server, const struct options *options)
{
    struct worker *worker = &server->worker;
    char errmsg[ERRMSG_BYTES], where[256];
    if ((worker->base = crew_base_new()) == NULL || set_up_signals(server) != 0) {
        log_error("cannot start", "reason=\"no event loop\"");
        return -1;
    }
    server->store_settings = server->boot_config->store;
    if (server->store_settings.kind == STORE_EMBEDDED && start_embedded(server, options) != 0)
        return -1;
    worker->store = store_new(worker->base, &server->store_settings, on_store_changed, worker);
    if (worker->store != NULL)
        worker->batcher =
            batcher_new(worker->base, worker->store, server->store_settings.timeout_ms);
    if (worker->batcher == NULL) {
        log_error("cannot start", "reason=\"out of memory\"");
        return -1;
    }
    if (front_new(worker, &worker->front, errmsg, sizeof errmsg) != 0) {
        log_error("cannot start", "reason=\"%s\"", errmsg);
        return -1;
    }
    raise_file_limit(worker->config->max_connections);
    struct crew_plan plan = {.n = server->crew.n,
                             .store = &server->store_settings,
                             .config_path = worker->config_path,
                             .started_ms = worker->started_ms};
    if (crew_start(&server->crew, worker, &plan, errmsg, sizeof errmsg) != 0) {
        log_error("cannot start", "reason=\"%s\"", errmsg);
        return -1;
    }
    log_info("listening", "resp=%s",
             address(worker->config, front_port(worker->front), where, sizeof where));
    if (worker->config->listen.unix_path != NULL)
        log_info("listening", "unix=%s", worker->config->listen.unix_path);
    return 0;
}

/* ---- Down ----------------------------------------------------------------------------------------------------- */

static void stop(struct server *server)
{
    struct worker *worker = &server->worker;
    crew_drain(&server->crew, !worker->draining); /* those that drain have their time for it */
    crew_stop(&server->crew);
    store_free(worker->store);
    worker->store = NULL;
    batcher_free(worker->batcher);
    cmd_audit_end(worker);
    front_free(worker->front);
    embedded_stop(server->embedded);
    /* A further signal must not end the process in the middle of this: event_free() puts the default action back. */
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    for (int i = 0; i < N_SIGNALS; i++)
        if (server->signals[i] != NULL)
            event_free(server->signals[i]);
    if (server->drain_timer != NULL)
        event_free(server->drain_timer);
    if (worker->base != NULL)
        event_base_free(worker->base);
    worker_config_set(worker, NULL);
    config_unref(server->boot_config);
    libevent_global_shutdown();
}

int server_run(const struct options *options, struct config *config)
{
    struct server server;
    memset(&server, 0, sizeof server);
    server.worker.config = config;
    server.worker.config_path = options->config;
    server.worker.started_ms = clock_ms();
    server.boot_config = config_ref(config);
    server.worker.crew = &server.crew;
    server.crew.n = crew_size(config);
    server.crew.workers[0] = &server.worker;
    server.crew.on_ready = on_all_ready;
    server.crew.on_ready_arg = &server;
    log_info("starting", "version=%s config=%s", RATION_VERSION,
             options->config != NULL ? options->config : "built-in");
    if (options->config == NULL)
        log_info("serving the built-in example",
                 "remedy=\"rationd --print-default-config shows it; "
                 "save it, change it, and start with --config\"");
    say_what_differs(config);
    int status = 1;
    if (start(&server, options) == 0) {
        event_base_dispatch(server.worker.base);
        status = 0;
    }
    stop(&server);
    if (status == 0)
        log_info("stopped", "status=0");
    return status;
}
