/*
 * From a configuration to a running server, and back down.
 *
 * Up:    signals > embedded store (if configured) > workers, each with its sockets, store and
 *        batcher. Clients may connect at once; until the store is ready for the first time, their
 *        commands wait in the batch, and are answered by its deadline.
 * Down:  SIGTERM or SIGINT drains the workers: what was asked is answered, within 5 s. Then
 *        everything is freed, beginning with the store, so that each operation still under way is
 *        answered exactly once before its connection goes.
 *
 * Each step that fails logs one line with the remedy, undoes the steps before it, and ends with
 * status 1.
 *
 * The store borrows the settings of the configuration that the server was started with, so that one
 * is kept until the end, whatever is loaded meanwhile.
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

#include "clock.h"
#include "config/config.h"
#include "store/embedded.h"
#include "version.h"
#include "workers.h"

#define SPARE_FILES  64 /* file descriptors other than the clients' */
#define ERRMSG_BYTES 512

enum { ON_TERM, ON_INT, ON_HUP, N_SIGNALS };

struct server {
    struct event_base *base; /* of the main thread */
    struct workers workers;
    const char *config_path;    /* borrowed; NULL: the built-in example */
    struct config *boot_config; /* whose store settings are borrowed; one reference */
    /* boot_config's, or the embedded store's socket; strings are borrowed */
    struct config_store store_settings;
    struct embedded *embedded; /* NULL: the store is not ours */
    struct event *signals[N_SIGNALS];
    bool stopping; /* a first signal has come */
};

/* ---- Signals --------------------------------------------------------------------------------- */

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
            "remedy=\"this version treats it as deny while the store is away; set deny or allow\"");
    if (config->listen.http_host != NULL)
        log_info("http is not served", "reason=\"listen.http is not supported by this version\"");
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
    struct config_problems problems = {0, NULL};
    struct config *config;
    (void)signal;
    (void)what;
    if (server->config_path == NULL) {
        log_warn("nothing to reload", "reason=\"the built-in example is served\" "
                                      "remedy=\"start with --config FILE\"");
        return;
    }
    if (config_load_file(server->config_path, &config, &problems) != 0) {
        log_problems("configuration refused", &problems);
        log_error("configuration not reloaded", "file=%s reason=\"the old one stays in force\"",
                  server->config_path);
        return;
    }
    const char *restart = config_restart_needed(server->boot_config, config);
    if (restart != NULL)
        log_warn("restart needed", "setting=%s reason=\"it takes effect only at the next start\"",
                 restart);
    say_what_differs(config);
    raise_file_limit(config->max_connections);
    workers_reload(&server->workers, config);
    log_info("configuration reloaded", "file=%s pools=%zu tenants=%zu", server->config_path,
             config_pool_count(config), config_tenant_count(config));
    config_unref(config);
}

static void on_stop(evutil_socket_t signal, short what, void *arg)
{
    struct server *server = arg;
    (void)what;
    const char *name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
    if (server->stopping)
        log_warn("stopping at once", "signal=%s", name);
    else
        log_info("stopping", "signal=%s connections=%zu", name,
                 worker_connections(server->workers.list));
    workers_drain(&server->workers, server->stopping);
    server->stopping = true;
}

static int set_up_signals(struct server *server)
{
    static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < N_SIGNALS; i++) {
        event_callback_fn on_signal = i == ON_HUP ? on_reload : on_stop;
        server->signals[i] =
            event_new(server->base, numbers[i], EV_SIGNAL | EV_PERSIST, on_signal, server);
        if (server->signals[i] == NULL || event_add(server->signals[i], NULL) != 0)
            return -1;
    }
    return 0;
}

/* ---- Up -------------------------------------------------------------------------------------- */

/* Makes the directory and its parents. */
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
                  "remedy=\"give --state DIR with a writable directory\"",
                  state, strerror(errno));
    else if ((err = embedded_start(server->base, state, &server->embedded, errmsg,
                                   sizeof errmsg)) != 0)
        log_error("cannot start the embedded store", "reason=\"%s\"", errmsg);
    free(state);
    if (err != 0)
        return -1;
    server->store_settings.kind = STORE_UNIX;
    server->store_settings.path = (char *)embedded_socket(server->embedded);
    return 0;
}

static int start(struct server *server, const struct options *options)
{
    char errmsg[ERRMSG_BYTES];
    if ((server->base = worker_base_new()) == NULL || set_up_signals(server) != 0) {
        log_error("cannot start", "reason=\"no event loop\"");
        return -1;
    }
    server->store_settings = server->boot_config->store;
    if (server->store_settings.kind == STORE_EMBEDDED && start_embedded(server, options) != 0)
        return -1;
    raise_file_limit(server->boot_config->max_connections);
    struct workers_setup setup = {.base = server->base,
                                  .config = server->boot_config,
                                  .store = &server->store_settings,
                                  .config_path = server->config_path,
                                  .started_ms = clock_ms()};
    if (workers_open(&server->workers, &setup, errmsg, sizeof errmsg) == 0)
        return 0;
    log_error("cannot start", "reason=\"%s\"", errmsg);
    return -1;
}

/* ---- Down ------------------------------------------------------------------------------------ */

static void stop(struct server *server)
{
    if (!server->stopping) /* else they are draining already */
        workers_drain(&server->workers, true);
    workers_close(&server->workers);
    embedded_stop(server->embedded);
    /* Another signal must not end the process in the middle of this: event_free() restores the
     * default action. */
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    for (int i = 0; i < N_SIGNALS; i++)
        if (server->signals[i] != NULL)
            event_free(server->signals[i]);
    if (server->base != NULL)
        event_base_free(server->base);
    config_unref(server->boot_config);
    libevent_global_shutdown();
}

int server_run(const struct options *options, struct config *config)
{
    struct server server;
    memset(&server, 0, sizeof server);
    server.config_path = options->config;
    server.boot_config = config;
    log_info("starting", "version=%s config=%s", RATION_VERSION,
             options->config != NULL ? options->config : "built-in");
    if (options->config == NULL)
        log_info("serving the built-in example",
                 "remedy=\"rationd --print-default-config shows it; "
                 "save it, change it, and start with --config\"");
    say_what_differs(config);
    int status = 1;
    if (start(&server, options) == 0) {
        event_base_dispatch(server.base);
        status = 0;
    }
    stop(&server);
    if (status == 0)
        log_info("stopped", "status=0");
    return status;
}
