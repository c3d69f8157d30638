/*
 * A worker's references to its configuration.
 *
 * Each operation holds one, so that what its policy points to stays when the configuration is replaced under way. The
 * configuration's own count is shared by all workers: counting each operation there would pass one cache line between
 * the cores for every request. So a worker takes many references at once and gives them out of its own stock; only what
 * outlives a replacement is given back one by one.
 */
#include "worker.h"

#define STOCK 1048576

struct config *worker_config_ref(struct worker *worker)
{
    if (worker->config_stock == 0) {
        config_ref_many(worker->config, STOCK);
        worker->config_stock = STOCK;
    }
    worker->config_stock--;
    return worker->config;
}

void worker_config_unref(struct worker *worker, struct config *config)
{
    if (config != NULL && config == worker->config)
        worker->config_stock++;
    else
        config_unref(config);
}

void worker_config_set(struct worker *worker, struct config *config)
{
    config_unref_many(worker->config, worker->config_stock + 1);
    worker->config_stock = 0;
    worker->config = config;
}
