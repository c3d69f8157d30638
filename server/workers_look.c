/* What a worker may ask of the crew it belongs to; a worker without one (in tests) is its own. */
#include "workers.h"

#include <event2/event.h>

#include "net/front.h"

/* Interest in a socket that comes and goes within a turn of the loop costs no system call. */
struct event_base *crew_base_new(void)
{
    struct event_config *how = event_config_new();
    if (!how)
        return NULL;
    event_config_set_flag(how, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(how);
    event_config_free(how);
    return base;
}

size_t crew_connections(const struct worker *worker)
{
    if (!worker->crew)
        return front_connections(worker->front);
    size_t sum = 0;
    for (size_t i = 0; i < worker->crew->n; i++)
        if (worker->crew->workers[i]->front)
            sum += front_connections(worker->crew->workers[i]->front);
    return sum;
}

bool crew_store_ready(const struct worker *worker)
{
    for (size_t i = 0; i < worker->crew->n; i++)
        if (!atomic_load(&worker->crew->workers[i]->store_ready))
            return false;
    return true;
}

uint16_t crew_port(const struct worker *worker)
{
    if (crew_is_first(worker))
        return worker->config->listen.resp_port;
    return front_port(worker->crew->workers[0]->front);
}

bool crew_is_first(const struct worker *worker)
{
    return !worker->crew || worker->crew->workers[0] == worker;
}
