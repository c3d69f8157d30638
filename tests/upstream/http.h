/*
 * What comes in over HTTP.
 *
 *     POST the paths of shape.h   the APIs
 *     GET  /report                what was seen so far
 *     POST /reset                 forget it, and everything counted, and the faults put up
 *     POST /faults                a fault for the next calls; DELETE: none for them
 *     GET  /healthz               {"status":"ok"}
 */
#ifndef UPSTREAM_HTTP_H
#define UPSTREAM_HTTP_H

struct evconnlistener;
struct evhttp;
struct provider;

/* An HTTP server on the provider's base that takes the listener. NULL without memory: the listener
 * is the caller's. */
struct evhttp *http_new(struct provider *p, struct evconnlistener *listener);

#endif
