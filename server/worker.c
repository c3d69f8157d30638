/*
 * A worker's references to its configurations.
 *
 * Each operation holds one, so that what its policy points to survives a reload under way. The
 * configuration's own count is shared by all workers: counting each operation there would pass a
 * cache line between the cores for every request. So a worker has one reference to each
 * configuration that it knows, and counts for itself how many of its operations hold it. A replaced
 * configuration goes with its last holder.
 */
#include "worker.h"

#include <assert.h>
#include <stdlib.h>

struct known_config {
    struct config *config; /* one reference */
    size_t holders;        /* operations */
    struct known_config *older;
};

size_t worker_connections(const struct worker *worker)
{
    size_t sum = 0;
    for (size_t i = 0; i < worker->all->n; i++)
        sum += atomic_load_explicit(&worker->all->list[i].connections, memory_order_relaxed);
    return sum;
}

struct config *worker_config_ref(struct worker *worker)
{
    assert(worker->config != NULL);
    worker->known->holders++;
    return worker->config;
}

static void release_if_unused(struct known_config **at)
{
    struct known_config *known = *at;
    if (known->holders > 0)
        return;
    *at = known->older;
    config_unref(known->config);
    free(known);
}

void worker_config_unref(struct worker *worker, struct config *config)
{
    struct known_config **at = &worker->known;
    if (config == NULL)
        return;
    while ((*at)->config != config)
        at = &(*at)->older;
    assert((*at)->holders > 0);
    (*at)->holders--;
    if (config != worker->config)
        release_if_unused(at);
}

bool worker_config_set(struct worker *worker, struct config *config)
{
    struct known_config *known = NULL;
    if (config != NULL && (known = calloc(1, sizeof *known)) == NULL) {
        config_unref(config);
        return false;
    }
    if (worker->config != NULL)
        release_if_unused(&worker->known);
    worker->config = config;
    if (config == NULL) {
        assert(worker->known == NULL);
        return true;
    }
    *known = (struct known_config){.config = config, .older = worker->known};
    worker->known = known;
    return true;
}
