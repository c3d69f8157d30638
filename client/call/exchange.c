/*
 * One easy handle in one multi handle. How it fails: an exchange that cannot be set up is
 * RATION_ENOMEM; if the multi handle fails while the exchange runs, the exchange ends with what has
 * come so far, as if its connection had broken.
 */
#include "call/exchange.h"

#include <stdlib.h>

#define LONGEST_POLL_MS 60000

struct exchange {
    CURLM *multi; /* has the connections */
    struct upstream *upstream;
};

struct exchange *exchange_new(void)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return NULL;
    exchange->upstream = upstream_new(); /* first: it sets libcurl up */
    if (exchange->upstream)
        exchange->multi = curl_multi_init();
    if (!exchange->multi) {
        exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    upstream_free(exchange->upstream);
    if (exchange->multi)
        curl_multi_cleanup(exchange->multi);
    free(exchange);
}

/* True when the exchange has ended; *code says how. */
static bool is_done(CURLM *multi, CURLcode *code)
{
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            *code = message->data.result;
            return true;
        }
    }
    return false;
}

static CURLcode run(CURLM *multi, exchange_tick_fn tick, void *arg)
{
    CURLcode code = CURLE_OK;
    for (;;) {
        int running = 0;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        if (is_done(multi, &code))
            return code;
        int64_t wait_ms = tick(arg);
        if (wait_ms > LONGEST_POLL_MS)
            wait_ms = LONGEST_POLL_MS;
        if (curl_multi_poll(multi, NULL, 0, wait_ms > 0 ? (int)wait_ms : 0, NULL) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
    }
}

int exchange_run(struct exchange *exchange, const struct upstream_request *request,
                 exchange_tick_fn tick, void *arg, struct upstream_answer *answer)
{
    struct upstream_quiet quiet;
    CURL *easy = upstream_easy(exchange->upstream);
    int err = upstream_begin(exchange->upstream, request);
    if (err < 0)
        return err;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    upstream_quiet_begin(&quiet);
    if (curl_multi_add_handle(exchange->multi, easy) == CURLM_OK) {
        code = run(exchange->multi, tick, arg);
        curl_multi_remove_handle(exchange->multi, easy);
    }
    upstream_quiet_end(&quiet);
    upstream_end(exchange->upstream, code, answer);
    return 0;
}
