/*
 * The HTTP interface:
 *
 *     POST the paths of shape.h   the APIs
 *     GET  /report                what was seen so far
 *     POST /reset                 forgets that, everything counted, and the queued faults
 *     POST /faults                queues a fault for the next calls; DELETE empties the queue
 *     GET  /healthz               {"status":"ok"}
 */
#ifndef UPSTREAM_HTTP_H
#define UPSTREAM_HTTP_H

struct evconnlistener;
struct evhttp;
struct provider;

/* An HTTP server on the provider's base; takes the listener. NULL without memory: the listener is
 * still the caller's. */
struct evhttp *http_new(struct provider *p, struct evconnlistener *listener);

#endif
