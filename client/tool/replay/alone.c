/*
 * A call as programs without Ration make it: send it, and if the provider answers 429 (or 5xx),
 * wait and send it again, each wait drawn at random from a span that doubles with every try ("full
 * jitter"). `ration replay --without-ration` measures Ration against this: backoff alone, so
 * Retry-After is not read; connections are kept, and the patience is that of the calls with Ration.
 *
 * How it ends: answered, given up (the next try would begin after the patience is over), or an
 * error that no retry helps.
 */
#include "tool/provider.h"
#include "tool/replay/replay.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MOST_MS  60000
#define MAX_ANSWER_BYTES 65536
#define MAX_URL_BYTES    2048

struct alone {
    const struct replay *replay;
    CURL *easy;
    struct curl_slist *headers;
    unsigned short seed[3]; /* of erand48() */
    struct grow answer;
};

static bool add_header(struct alone *alone, const char *line)
{
    struct curl_slist *longer = curl_slist_append(alone->headers, line);
    if (longer)
        alone->headers = longer;
    return longer != NULL;
}

static bool set_up(struct alone *alone)
{
    const struct replay *replay = alone->replay;
    char url[MAX_URL_BYTES];
    char header[1024];
    int n = snprintf(url, sizeof(url), "%.*s/v1/chat/completions",
                     (int)provider_base_bytes(replay->url), replay->url);
    int m = snprintf(header, sizeof(header), "Authorization: Bearer %s", replay->key);
    if (n >= (int)sizeof(url) || m >= (int)sizeof(header) || !add_header(alone, header) ||
        !add_header(alone, "Content-Type: application/json"))
        return false;
    alone->easy = provider_easy(alone->headers, replay->call_timeout_ms, &alone->answer);
    return alone->easy && curl_easy_setopt(alone->easy, CURLOPT_URL, url) == CURLE_OK;
}

struct alone *alone_new(const struct replay *replay, size_t number)
{
    struct alone *alone = calloc(1, sizeof(*alone));
    if (!alone)
        return NULL;
    alone->replay = replay;
    alone->seed[0] = (unsigned short)number;
    alone->seed[1] = (unsigned short)(number >> 16);
    grow_init(&alone->answer, MAX_ANSWER_BYTES);
    if (set_up(alone))
        return alone;
    alone_free(alone);
    return NULL;
}

void alone_free(struct alone *alone)
{
    if (!alone)
        return;
    grow_close(&alone->answer);
    curl_easy_cleanup(alone->easy);
    curl_slist_free_all(alone->headers);
    free(alone);
}

static int64_t tokens_of(const struct alone *alone)
{
    json_object *answer = alone->answer.n > 0 ? json_tokener_parse(alone->answer.bytes) : NULL;
    json_object *usage = NULL;
    json_object *total = NULL;
    int64_t tokens = 0;
    if (json_object_object_get_ex(answer, "usage", &usage) &&
        json_object_object_get_ex(usage, "total_tokens", &total))
        tokens = json_object_get_int64(total);
    json_object_put(answer);
    return tokens;
}

/* The status; 0: none, and out->why says what happened. */
static long send_once(struct alone *alone, const char *body, struct replay_outcome *out)
{
    long status = 0;
    alone->answer.n = 0;
    curl_easy_setopt(alone->easy, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(alone->easy);
    if (code != CURLE_OK) {
        snprintf(out->why, sizeof(out->why), "%s", curl_easy_strerror(code));
        return 0;
    }
    curl_easy_getinfo(alone->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int64_t next_wait_ms(struct alone *alone, unsigned tries)
{
    int64_t most = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < tries && most < BACKOFF_MOST_MS; i++)
        most *= 2;
    most = most < BACKOFF_MOST_MS ? most : BACKOFF_MOST_MS;
    return 1 + (int64_t)(erand48(alone->seed) * (double)most);
}

void alone_call(struct alone *alone, const char *body, struct replay_outcome *out)
{
    int64_t give_up_ms = clock_ms() + (int64_t)(alone->replay->wait_max_s * 1000);
    for (unsigned tries = 1;; tries++) {
        long status = send_once(alone, body, out);
        out->tries++;
        if (status / 100 == 2) {
            out->how = REPLAY_ANSWERED;
            out->tokens = tokens_of(alone);
            return;
        }
        out->status_429 += status == 429;
        if (status != 429 && status / 100 != 5) {
            out->how = REPLAY_FAILED;
            if (status)
                snprintf(out->why, sizeof(out->why), "the provider answered with status %ld",
                         status);
            return;
        }
        int64_t next_ms = clock_ms() + next_wait_ms(alone, tries);
        if (next_ms > give_up_ms) {
            out->how = REPLAY_GIVEN_UP;
            return;
        }
        clock_wait_until(next_ms);
    }
}
