/* See the header. */
#include "test_client_fixture.h"

#include "clock.h"
#include "handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture fx;

int fixture_set_up(void **state)
{
    (void)state;
    char servers[32];
    struct ration_options options;
    fx.server = peer_start();
    fx.provider = peer_start();
    peer_answer(fx.server, "ACQUIRE", REPLY_GRANTED);
    peer_answer(fx.server, "RENEW", REPLY_GRANTED);
    peer_answer(fx.server, "REPORT", REPLY_SETTLED);
    peer_answer(fx.server, "CANCEL", REPLY_SETTLED);
    peer_answer(fx.provider, "POST", HTTP_ANSWER);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(fx.server));
    snprintf(fx.url, sizeof(fx.url), "http://127.0.0.1:%u/v1/", peer_port(fx.provider));
    ration_options_init(&options);
    options.servers = servers;
    return ration_open(&options, &fx.r);
}

int fixture_tear_down(void **state)
{
    (void)state;
    ration_close(fx.r);
    peer_stop(fx.server);
    peer_stop(fx.provider);
    return 0;
}

void fixture_options(struct ration_call_options *options)
{
    ration_call_options_init(options);
    options->url = fx.url;
    options->api_key = "k";
    options->body = BODY;
    options->timeout_ms = 2000;
    options->retry.min_ms = 10;
    options->retry.max_ms = 40;
    options->retry.timed_out_ms = 10;
    options->retry.unreached_ms = 10;
}

int fixture_call(const struct ration_call_options *options, struct ration_response *out)
{
    int err = ration_call(fx.r, "p", "t", options, out);
    /* So that the server has the report. */
    unacknowledged_collect(&fx.r->report, &fx.r->servers, clock_ms() + 2000);
    return err;
}

const char *fixture_last(struct peer *peer, const char *verb)
{
    peer_last(peer, verb, fx.last, sizeof(fx.last));
    return fx.last;
}

void fixture_clean_environment(void)
{
    unsetenv("RATION_SECRET");
    unsetenv("RATION_TENANT");
    unsetenv("RATION_PROFILES");
    unsetenv("http_proxy");
}
