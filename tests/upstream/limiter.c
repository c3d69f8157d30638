/*
 * Each question goes to the counters of the mode. All modes check in the same order: what could
 * never fit, then requests, then tokens. So a refusal names the same limit in each.
 */
#include "limiter.h"

#include <string.h>

void limiter_init(struct limiter *l, const struct limiter_config *config)
{
    memset(l, 0, sizeof(*l));
    l->config = *config;
    window_init(&l->window, config->max_requests, config->max_tokens, config->span_us);
    /* The number of calls that end in one span is not bounded by the number that start in one. */
    window_init(&l->ends, WINDOW_MAX_REQUESTS, config->max_tokens, config->span_us);
    bucket_init(&l->request_bucket, config->max_requests, config->span_us);
    bucket_init(&l->token_bucket, config->max_tokens, config->span_us);
    minute_init(&l->request_minute, config->max_requests, config->span_us, config->epoch_offset_us);
    minute_init(&l->token_minute, config->max_tokens, config->span_us, config->epoch_offset_us);
}

void limiter_close(struct limiter *l)
{
    window_close(&l->window);
    window_close(&l->ends);
}

void limiter_clear(struct limiter *l)
{
    window_clear(&l->window);
    window_clear(&l->ends);
    bucket_clear(&l->request_bucket);
    bucket_clear(&l->token_bucket);
    minute_clear(&l->request_minute);
    minute_clear(&l->token_minute);
}

static void look_rolling(struct limiter *l, int64_t now_us, struct window_view *view)
{
    window_look(&l->window, now_us, view);
    if (l->config.at_end) {
        struct window_view ends;
        window_look(&l->ends, now_us, &ends);
        view->tokens_left = ends.tokens_left;
        view->tokens_reset_us = ends.tokens_reset_us;
    }
}

static int64_t minute_reset_us(struct minute *m, int64_t now_us)
{
    return minute_left(m, now_us) < m->limit ? minute_ends_us(m, now_us) : 0;
}

void limiter_look(struct limiter *l, int64_t now_us, struct window_view *view)
{
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        look_rolling(l, now_us, view);
        break;
    case LIMITER_BUCKET:
        view->requests_left = bucket_left(&l->request_bucket, now_us);
        view->tokens_left = bucket_left(&l->token_bucket, now_us);
        view->requests_reset_us =
            bucket_wait_us(&l->request_bucket, now_us, l->config.max_requests);
        view->tokens_reset_us = bucket_wait_us(&l->token_bucket, now_us, l->config.max_tokens);
        break;
    case LIMITER_MINUTE:
        view->requests_left = minute_left(&l->request_minute, now_us);
        view->tokens_left = minute_left(&l->token_minute, now_us);
        view->requests_reset_us = minute_reset_us(&l->request_minute, now_us);
        view->tokens_reset_us = minute_reset_us(&l->token_minute, now_us);
        break;
    }
}

/* Counts a call that has been found to fit. */
static enum window_answer take(struct limiter *l, int64_t now_us, int64_t tokens, uint64_t *ticket)
{
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        return window_admit(&l->window, now_us, tokens, ticket);
    case LIMITER_BUCKET:
        bucket_take(&l->request_bucket, now_us, 1);
        bucket_take(&l->token_bucket, now_us, tokens);
        *ticket = 1;
        break;
    case LIMITER_MINUTE:
        minute_take(&l->request_minute, now_us, 1);
        *ticket = (uint64_t)minute_take(&l->token_minute, now_us, tokens);
        break;
    }
    return WINDOW_ADMITTED;
}

enum window_answer limiter_admit(struct limiter *l, int64_t now_us, int64_t estimate,
                                 uint64_t *ticket)
{
    struct window_view view;
    int64_t needed = l->config.at_end ? 1 : estimate;
    if (needed > l->config.max_tokens) {
        return WINDOW_TOO_LARGE;
    }
    limiter_look(l, now_us, &view);
    if (view.requests_left < 1) {
        return WINDOW_FULL_REQUESTS;
    }
    if (view.tokens_left < needed) {
        return WINDOW_FULL_TOKENS;
    }
    return take(l, now_us, l->config.at_end ? 0 : estimate, ticket);
}

int64_t limiter_settle(struct limiter *l, int64_t now_us, uint64_t ticket, int64_t estimate,
                       int64_t actual)
{
    if (l->config.at_end || actual >= estimate) {
        return 0;
    }
    int64_t back = estimate - actual;
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        return window_settle(&l->window, now_us, ticket, actual);
    case LIMITER_BUCKET:
        bucket_put(&l->token_bucket, now_us, back);
        return back;
    case LIMITER_MINUTE:
        return minute_put(&l->token_minute, now_us, (int64_t)ticket, back);
    }
    return 0;
}

enum window_answer limiter_end(struct limiter *l, int64_t now_us, int64_t actual)
{
    struct window_view view;
    uint64_t ticket;
    if (actual > l->config.max_tokens) {
        return WINDOW_TOO_LARGE;
    }
    limiter_look(l, now_us, &view);
    if (actual > view.tokens_left) {
        return WINDOW_FULL_TOKENS;
    }
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        return window_admit(&l->ends, now_us, actual, &ticket);
    case LIMITER_BUCKET:
        bucket_take(&l->token_bucket, now_us, actual);
        break;
    case LIMITER_MINUTE:
        minute_take(&l->token_minute, now_us, actual);
        break;
    }
    return WINDOW_ADMITTED;
}

void limiter_count_refused(struct limiter *l, int64_t now_us)
{
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        window_count_refused(&l->window, now_us);
        break;
    case LIMITER_BUCKET:
        bucket_take(&l->request_bucket, now_us, 1);
        break;
    case LIMITER_MINUTE:
        minute_take(&l->request_minute, now_us, 1);
        break;
    }
}

/* The longer of two waits; never, if either is never. */
static int64_t later(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) {
        return -1;
    }
    return a > b ? a : b;
}

int64_t limiter_wait_us(struct limiter *l, int64_t now_us, int64_t tokens)
{
    switch (l->config.mode) {
    case LIMITER_ROLLING:
        if (l->config.at_end) {
            return later(window_wait_us(&l->window, now_us, 0),
                         window_wait_us(&l->ends, now_us, tokens));
        }
        return window_wait_us(&l->window, now_us, tokens);
    case LIMITER_BUCKET:
        return later(bucket_wait_us(&l->request_bucket, now_us, 1),
                     bucket_wait_us(&l->token_bucket, now_us, tokens));
    case LIMITER_MINUTE:
        return later(minute_wait_us(&l->request_minute, now_us, 1),
                     minute_wait_us(&l->token_minute, now_us, tokens));
    }
    return -1;
}
