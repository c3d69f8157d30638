/*
 * What comes in over HTTP.
 *
 *     POST /v1/chat/completions   the API
 *     GET  /report                what was seen so far
 *     POST /reset                 forget it, and everything counted
 *     GET  /healthz               {"status":"ok"}
 */
#ifndef UPSTREAM_HTTP_H
#define UPSTREAM_HTTP_H

struct evconnlistener;
struct evhttp;
struct provider;

/* An HTTP server on the provider's base that takes the listener. NULL without memory: the listener is the caller's. */
struct evhttp *http_new(struct provider *p, struct evconnlistener *listener);

#endif
