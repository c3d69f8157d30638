/*
 * Makes the call for a request of the trace: by ration_call(), or without Ration by alone_call().
 * Both send the same body and count alike, so that they can be compared.
 */
#include "tool/replay/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES 512

struct replay_caller {
    const struct replay *replay;
    ration *r;           /* one of the two */
    struct alone *alone; /* is NULL */
};

struct replay_caller *replay_caller_new(const struct replay *replay, const char *servers,
                                        size_t number)
{
    struct replay_caller *caller = calloc(1, sizeof(*caller));
    if (!caller)
        return NULL;
    caller->replay = replay;
    bool ready = false;
    if (replay->without_ration) {
        caller->alone = alone_new(replay, number);
        ready = caller->alone != NULL;
    } else {
        ready = session_open(replay->session, servers, &caller->r) == EXIT_GRANTED;
    }
    if (ready)
        return caller;
    free(caller);
    return NULL;
}

void replay_caller_free(struct replay_caller *caller)
{
    if (!caller)
        return;
    if (caller->r)
        ration_close(caller->r);
    alone_free(caller->alone);
    free(caller);
}

/* The max_tokens of a caller who roughly knows the answer's length: the next power of two. */
static int64_t max_tokens_for(int64_t output)
{
    int64_t cap = 16;
    while (cap < output)
        cap *= 2;
    return cap;
}

/* The model of the pool "openai/gpt-4o" is "gpt-4o". */
static const char *model_of(const char *pool)
{
    const char *slash = strrchr(pool, '/');
    return slash && slash[1] ? slash + 1 : pool;
}

static void call_with_ration(struct replay_caller *caller, const struct trace_row *row,
                             int64_t max_tokens, const char *tenant, const char *body,
                             struct replay_outcome *out)
{
    const struct replay *replay = caller->replay;
    struct ration_call_options call;
    struct ration_response answer = {0};
    ration_call_options_init(&call);
    call.url = replay->url;
    call.body = body;
    call.api_key = replay->key;
    call.estimate.input_tokens = row->input_tokens > 0 ? row->input_tokens : RATION_ZERO;
    call.estimate.output_tokens = max_tokens;
    call.timeout_ms = (uint32_t)replay->call_timeout_ms;
    call.max_wait_ms = (uint32_t)(replay->wait_max_s * 1000);
    call.retry.tries = 1; /* the report shows what the provider refuses */
    int err = ration_call(caller->r, replay->pool, tenant, &call, &answer);
    if (err == RATION_EDENIED) {
        out->how = REPLAY_GIVEN_UP;
    } else if (err == RATION_OK || answer.http_status == 429) {
        out->how = REPLAY_ANSWERED;
        out->tries = answer.tries;
        out->status_429 = answer.http_status == 429;
        if (answer.used_known && answer.used.tokens > 0)
            out->tokens = answer.used.tokens;
    } else {
        const char *why = ration_errmsg(caller->r);
        out->how = REPLAY_FAILED;
        out->tries = answer.tries;
        snprintf(out->why, sizeof(out->why), "%s", why[0] ? why : ration_strerror(err));
    }
    ration_response_free(&answer);
}

void replay_make_call(struct replay_caller *caller, size_t n, struct replay_outcome *out)
{
    const struct replay *replay = caller->replay;
    const struct trace_row *row = &replay->trace.rows[n];
    int64_t output =
        row->output_tokens < replay->output_cap ? row->output_tokens : replay->output_cap;
    int64_t max_tokens = max_tokens_for(output);
    char body[BODY_BYTES];
    snprintf(body, sizeof(body),
             "{\"model\":\"%s\",\"max_tokens\":%" PRId64
             ",\"messages\":[{\"role\":\"user\",\"content\":\"replayed request "
             "%zu\"}],\"metadata\":{\"input_tokens\":\"%" PRId32 "\",\"output_tokens\":\"%" PRId64
             "\"}}",
             model_of(replay->pool), max_tokens, n, row->input_tokens, output);
    *out = (struct replay_outcome){.how = REPLAY_FAILED};
    if (replay->without_ration)
        alone_call(caller->alone, body, out);
    else
        call_with_ration(caller, row, max_tokens, replay->tenants[replay_tenant_of(replay, n)].name,
                         body, out);
}
