/*
 * INFO [section]...
 *
 * Text in the form of Redis' INFO: "# Section", then "name:value" lines. Counters are sums over all
 * workers since the start; the lists in worker.h and batch.h say what each counts.
 */
#include <inttypes.h>
#include <unistd.h>

#include "batch/batch.h"
#include "clock.h"
#include "command/arguments.h"
#include "command/command.h"
#include "config/config.h"
#include "store/store.h"
#include "version.h"
#include "worker.h"

#define INFO_MAX_BYTES 16384

static void write_server(struct buf *text, const struct worker *worker)
{
    buf_printf(text, "ration_version:%s\r\n", RATION_VERSION);
    buf_printf(text, "process_id:%ld\r\n", (long)getpid());
    buf_printf(text, "tcp_port:%u\r\n", worker->all->port);
    buf_printf(text, "uptime_in_seconds:%" PRIu64 "\r\n",
               (clock_ms() - worker->all->started_ms) / 1000);
    buf_printf(text, "config:%.900s\r\n",
               worker->all->config_path != NULL ? worker->all->config_path : "built-in example");
    buf_printf(text, "threads:%zu\r\n", worker->all->n);
    buf_printf(text, "draining:%d\r\n", worker->draining);
}

static void write_clients(struct buf *text, const struct worker *worker)
{
    buf_printf(text, "connected_clients:%zu\r\n", worker_connections(worker));
    buf_printf(text, "max_connections:%u\r\n", worker->config->max_connections);
}

/* After a failover one worker may get the store back some milliseconds before another. */
static bool ready_for_all(const struct workers *all)
{
    for (size_t i = 0; i < all->n; i++)
        if (!atomic_load(&all->list[i].store_ready))
            return false;
    return true;
}

static void write_store(struct buf *text, const struct worker *worker)
{
    buf_printf(text, "store_url:%.900s\r\n", worker->config->store.url);
    buf_printf(text, "store_state:%s\r\n", ready_for_all(worker->all) ? "ready" : "away");
    buf_printf(text, "store_trouble:%.900s\r\n", store_trouble(worker->store));
    buf_printf(text, "store_warning:%.900s\r\n", store_warning(worker->store));
}

/* Sums a number over all workers; each is read separately, while the others continue counting. */
#define SUM(worker, expression)                                                                    \
    __extension__({                                                                                \
        uint64_t sum_ = 0;                                                                         \
        for (size_t i_ = 0; i_ < (worker)->all->n; i_++) {                                         \
            const struct worker *each = &(worker)->all->list[i_];                                  \
            sum_ += (expression);                                                                  \
        }                                                                                          \
        sum_;                                                                                      \
    })

static void write_batches(struct buf *text, const struct worker *worker)
{
#define WRITE_BATCHES(name, field)                                                                 \
    buf_printf(text, name ":%" PRIu64 "\r\n", SUM(worker, batch_counters(each->batcher)->field))
    WRITE_BATCHES("batches", batches);
    WRITE_BATCHES("operations", operations);
    WRITE_BATCHES("operations_resent", resent);
    WRITE_BATCHES("operations_unavailable", unavailable);
    WRITE_BATCHES("operations_refused", refused);
    WRITE_BATCHES("batches_halved", halved);
    WRITE_BATCHES("buckets_ahead", ahead);
#undef WRITE_BATCHES
    buf_printf(text, "operations_waiting:%" PRIu64 "\r\n", SUM(worker, batch_load(each->batcher)));
}

static void write_stats(struct buf *text, const struct worker *worker)
{
#define WRITE_COUNTER(name, help)                                                                  \
    buf_printf(text, #name ":%" PRIu64 "\r\n", SUM(worker, each->counters.name));
    WORKER_COUNTERS(WRITE_COUNTER)
#undef WRITE_COUNTER
}

static const struct section {
    const char *name;
    void (*write)(struct buf *text, const struct worker *worker);
} sections[] = {{"Server", write_server},
                {"Clients", write_clients},
                {"Store", write_store},
                {"Batches", write_batches},
                {"Stats", write_stats}};

static bool is_wanted(const char *section, const struct arg *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (argument_is(&names[i], section) || argument_is(&names[i], "all") ||
            argument_is(&names[i], "default") || argument_is(&names[i], "everything"))
            return true;
    return n == 0;
}

void cmd_info(struct request *r, const struct arg *args, size_t n)
{
    struct buf text;
    buf_init(&text, INFO_MAX_BYTES, NULL);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!is_wanted(sections[i].name, args + 1, n - 1))
            continue;
        buf_printf(&text, "%s# %s\r\n", buf_size(&text) > 0 ? "\r\n" : "", sections[i].name);
        sections[i].write(&text, r->worker);
    }
    if (text.failed)
        request_error(r, RATION_ERR_BUSY, "out of memory");
    else if (buf_size(&text) == 0)
        resp_text(request_out(r), "");
    else
        resp_bulk(request_out(r), buf_bytes(&text), buf_size(&text));
    buf_close(&text);
}
