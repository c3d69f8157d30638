/*
 * One easy handle in one multi handle. How it fails: an exchange that cannot be set up is
 * RATION_ENOMEM; a multi handle that fails while the exchange runs ends it with what has come so
 * far, as a connection that broke would.
 */
#include "call/exchange.h"

#include <stdlib.h>

#define LONGEST_POLL_MS 60000

struct drive {
    CURLM *multi; /* has the connections */
    struct upstream *upstream;
};

struct drive *drive_new(void)
{
    struct drive *drive = calloc(1, sizeof(*drive));
    if (!drive)
        return NULL;
    drive->upstream = upstream_new(); /* first: it sets libcurl up */
    if (drive->upstream)
        drive->multi = curl_multi_init();
    if (!drive->multi) {
        drive_free(drive);
        return NULL;
    }
    return drive;
}

void drive_free(struct drive *drive)
{
    if (!drive)
        return;
    upstream_free(drive->upstream);
    if (drive->multi)
        curl_multi_cleanup(drive->multi);
    free(drive);
}

/* True when the exchange has ended, and how. */
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

static CURLcode run(CURLM *multi, drive_tick_fn tick, void *arg)
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

int drive_exchange(struct drive *drive, const struct upstream_request *request, drive_tick_fn tick,
                   void *arg, struct upstream_answer *answer)
{
    struct upstream_quiet quiet;
    CURL *easy = upstream_easy(drive->upstream);
    int err = upstream_begin(drive->upstream, request);
    if (err < 0)
        return err;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    upstream_quiet_begin(&quiet);
    if (curl_multi_add_handle(drive->multi, easy) == CURLM_OK) {
        code = run(drive->multi, tick, arg);
        curl_multi_remove_handle(drive->multi, easy);
    }
    upstream_quiet_end(&quiet);
    upstream_end(drive->upstream, code, answer);
    return 0;
}
