/*
 * window.c and peak.c: edge cases by hand, and random traffic against a model that keeps every call
 * ever made and counts each span afresh.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "peak.h"
#include "window.h"

#define SPAN ((int64_t)1000)

static uint64_t must_admit(struct window *w, int64_t now, int64_t tokens)
{
    uint64_t ticket = 0;
    assert_int_equal(window_admit(w, now, tokens, &ticket), WINDOW_ADMITTED);
    assert_true(ticket > 0);
    return ticket;
}

static enum window_answer try_admit(struct window *w, int64_t now, int64_t tokens)
{
    uint64_t ticket;
    return window_admit(w, now, tokens, &ticket);
}

static void requests_are_limited_in_any_span(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 2, 100, SPAN);
    must_admit(&w, 0, 1);
    must_admit(&w, 600, 1);
    assert_int_equal(try_admit(&w, 999, 1), WINDOW_FULL_REQUESTS);
    must_admit(&w, 1000, 1); /* the first has just left */
    assert_int_equal(try_admit(&w, 1000, 1), WINDOW_FULL_REQUESTS);
    assert_int_equal(try_admit(&w, 1599, 1), WINDOW_FULL_REQUESTS);
    must_admit(&w, 1600, 1);
    window_close(&w);
}

static void tokens_are_limited_to_the_token(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 100, 10, SPAN);
    must_admit(&w, 0, 4);
    assert_int_equal(try_admit(&w, 1, 7), WINDOW_FULL_TOKENS);
    must_admit(&w, 1, 6);
    assert_int_equal(try_admit(&w, 1, 1), WINDOW_FULL_TOKENS);
    must_admit(&w, 1, 0);
    assert_int_equal(try_admit(&w, 1, 11), WINDOW_TOO_LARGE);
    must_admit(&w, 1000, 4);
    window_close(&w);
}

static void settling_gives_back_at_the_old_time(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 100, 10, SPAN);
    uint64_t first = must_admit(&w, 0, 10);
    assert_int_equal(window_settle(&w, 500, first, 3), 7);
    assert_int_equal(window_settle(&w, 500, first, 9), 0); /* never upwards */
    must_admit(&w, 500, 7);
    assert_int_equal(try_admit(&w, 999, 1), WINDOW_FULL_TOKENS);
    must_admit(&w, 1000, 3);
    assert_int_equal(window_settle(&w, 1000, first, 0), 0); /* has left */
    assert_int_equal(try_admit(&w, 1000, 1), WINDOW_FULL_TOKENS);
    window_close(&w);
}

static void refused_requests_count_where_asked(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 3, 10, SPAN);
    must_admit(&w, 0, 1);
    for (int64_t t = 1; t <= 50; t++) {
        assert_int_equal(window_count_refused(&w, t), WINDOW_ADMITTED);
    }
    /* The newest three came at 48, 49 and 50. */
    assert_int_equal(window_wait_us(&w, 50, 1), 998);
    assert_int_equal(try_admit(&w, 1047, 1), WINDOW_FULL_REQUESTS);
    must_admit(&w, 1048, 1);
    window_close(&w);
}

static void clear_voids_tickets(void **state)
{
    struct window w;
    struct window_view view;
    (void)state;
    window_init(&w, 3, 10, SPAN);
    uint64_t before = must_admit(&w, 0, 10);
    window_clear(&w);
    uint64_t after = must_admit(&w, 1, 10);
    assert_int_not_equal(before, after);
    assert_int_equal(window_settle(&w, 2, before, 0), 0);
    window_look(&w, 2, &view);
    assert_int_equal(view.tokens_left, 0);
    assert_int_equal(view.requests_left, 2);
    assert_int_equal(view.tokens_reset_us, 999);
    window_close(&w);
}

static void time_that_steps_back_changes_nothing(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 1, 10, SPAN);
    must_admit(&w, 5000, 1);
    assert_int_equal(try_admit(&w, 10, 1), WINDOW_FULL_REQUESTS);
    assert_int_equal(window_wait_us(&w, 10, 1), SPAN);
    must_admit(&w, 6000, 1);
    window_close(&w);
}

/* ---- The model ------------------------------------------------------------------------------- */

struct past_call {
    int64_t at, tokens;
    bool granted; /* else refused, but counted as a request */
    uint64_t ticket, number;
};

struct model {
    int64_t rpm, tpm;
    struct past_call *calls;
    size_t count;
    int64_t max_requests, max_tokens;
};

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void model_sums(const struct model *m, int64_t now, int64_t *requests, int64_t *granted,
                       int64_t *tokens)
{
    *requests = *granted = *tokens = 0;
    for (size_t i = m->count; i > 0; i--) {
        const struct past_call *call = &m->calls[i - 1];
        if (call->at + SPAN <= now) {
            break;
        }
        *requests += 1;
        *granted += call->granted;
        *tokens += call->granted ? call->tokens : 0;
    }
}

static enum window_answer model_answer(const struct model *m, int64_t now, int64_t cost)
{
    int64_t requests, granted, tokens;
    model_sums(m, now, &requests, &granted, &tokens);
    if (cost > m->tpm) {
        return WINDOW_TOO_LARGE;
    }
    if (requests >= m->rpm) {
        return WINDOW_FULL_REQUESTS;
    }
    return tokens + cost > m->tpm ? WINDOW_FULL_TOKENS : WINDOW_ADMITTED;
}

/* The first instant at which the model would admit, checking each instant when something leaves. */
static int64_t model_wait(const struct model *m, int64_t now, int64_t cost)
{
    if (cost > m->tpm) {
        return -1;
    }
    int64_t best = 0;
    if (model_answer(m, now, cost) == WINDOW_ADMITTED) {
        return 0;
    }
    for (size_t i = m->count; i > 0 && m->calls[i - 1].at + SPAN > now; i--) {
        int64_t leaves = m->calls[i - 1].at + SPAN;
        if (model_answer(m, leaves, cost) == WINDOW_ADMITTED) {
            best = leaves - now;
        }
    }
    return best;
}

static void note(struct model *m, int64_t now, int64_t tokens, uint64_t ticket, uint64_t number)
{
    int64_t requests, granted, sum;
    m->calls[m->count++] = (struct past_call){now, tokens, ticket > 0, ticket, number};
    model_sums(m, now, &requests, &granted, &sum);
    m->max_requests = granted > m->max_requests ? granted : m->max_requests;
    m->max_tokens = sum > m->max_tokens ? sum : m->max_tokens;
}

static void compare(struct model *m, struct window *w, int64_t now)
{
    struct window_view view;
    int64_t requests, granted, tokens;
    int64_t cost = (int64_t)draw((uint64_t)m->tpm + 3);
    model_sums(m, now, &requests, &granted, &tokens);
    window_look(w, now, &view);
    assert_int_equal(view.tokens_left, m->tpm - tokens);
    assert_int_equal(view.requests_left, m->rpm - (requests < m->rpm ? requests : m->rpm));
    assert_true(w->grant_room <= (size_t)m->rpm && w->request_room <= (size_t)m->rpm);
    assert_int_equal(window_wait_us(w, now, cost), model_wait(m, now, cost));
}

static void settle_one(struct model *m, struct window *w, struct peak *p, int64_t now)
{
    struct past_call *call = &m->calls[m->count - 1 - draw(m->count < 40 ? m->count : 40)];
    int64_t actual = (int64_t)draw((uint64_t)call->tokens + 1);
    if (!call->granted) {
        return;
    }
    int64_t back = call->at + SPAN > now ? call->tokens - actual : 0;
    assert_int_equal(window_settle(w, now, call->ticket, actual), back);
    if (back > 0) {
        peak_settle(p, call->number, actual);
        call->tokens = actual;
    }
}

static void one_run(int64_t rpm, int64_t tpm, size_t steps, uint64_t max_gap, bool count_failed)
{
    struct window w;
    struct peak p;
    struct model m = {.rpm = rpm, .tpm = tpm};
    int64_t now = 0;
    m.calls = calloc(steps, sizeof(*m.calls));
    assert_non_null(m.calls);
    window_init(&w, rpm, tpm, SPAN);
    peak_init(&p, SPAN);
    for (size_t i = 0; i < steps; i++) {
        now += (int64_t)draw(draw(100) ? max_gap : (uint64_t)SPAN * 2);
        int64_t cost = (int64_t)draw(draw(10) ? (uint64_t)tpm / 6 + 1 : (uint64_t)tpm + 2);
        uint64_t ticket = 0;
        enum window_answer expected = model_answer(&m, now, cost);
        assert_int_equal(window_admit(&w, now, cost, &ticket), expected);
        if (expected == WINDOW_ADMITTED) {
            note(&m, now, cost, ticket, peak_admit(&p, now, cost));
        } else if (count_failed) {
            assert_int_equal(window_count_refused(&w, now), WINDOW_ADMITTED);
            note(&m, now, 0, 0, 0);
        }
        if (m.count > 0 && draw(2)) {
            settle_one(&m, &w, &p, now);
        }
        compare(&m, &w, now);
    }
    assert_int_equal(p.max_requests, m.max_requests);
    assert_int_equal(p.max_tokens, m.max_tokens);
    assert_true(p.max_requests <= rpm && p.max_tokens <= tpm);
    assert_false(p.incomplete);
    window_close(&w);
    peak_close(&p);
    free(m.calls);
}

static void random_traffic_agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15U;
        int64_t rpm = 1 + (int64_t)draw(seed % 4 ? 12 : 300);
        int64_t tpm = 1 + (int64_t)draw(seed % 3 ? 50 : 5000);
        one_run(rpm, tpm, 2000, 1 + draw(seed % 2 ? 20 : 300), seed % 5 == 0);
    }
}

static void a_steady_load_uses_all_of_it(void **state)
{
    struct window w;
    int64_t admitted = 0;
    (void)state;
    window_init(&w, 50, 1000, SPAN);
    for (int64_t now = 0; now < 20 * SPAN; now++) {
        admitted += try_admit(&w, now, 20) == WINDOW_ADMITTED;
    }
    assert_int_equal(admitted, 20 * 50);
    window_close(&w);
}

static void peaks_see_what_a_limit_let_through(void **state)
{
    struct peak p;
    (void)state;
    peak_init(&p, SPAN);
    peak_admit(&p, 0, 5);
    uint64_t second = peak_admit(&p, 999, 5);
    assert_int_equal(p.max_requests, 2);
    assert_int_equal(p.max_tokens, 10);
    peak_settle(&p, second, 1);
    peak_admit(&p, 1000, 8); /* the first has left: 1 + 8 */
    assert_int_equal(p.max_requests, 2);
    assert_int_equal(p.max_tokens, 10);
    peak_clear(&p);
    peak_settle(&p, second, 100);
    peak_admit(&p, 1000, 3);
    assert_int_equal(p.max_tokens, 3);
    for (int64_t i = 0; i < 3000; i++) {
        peak_admit(&p, 10000 + i * 10, 1);
    }
    assert_int_equal(p.max_requests, 100);
    assert_true(p.room <= 512);
    peak_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_limited_in_any_span),
        cmocka_unit_test(tokens_are_limited_to_the_token),
        cmocka_unit_test(settling_gives_back_at_the_old_time),
        cmocka_unit_test(refused_requests_count_where_asked),
        cmocka_unit_test(clear_voids_tickets),
        cmocka_unit_test(time_that_steps_back_changes_nothing),
        cmocka_unit_test(random_traffic_agrees_with_the_model),
        cmocka_unit_test(a_steady_load_uses_all_of_it),
        cmocka_unit_test(peaks_see_what_a_limit_let_through),
    };
    return cmocka_run_group_tests_name("upstream window", tests, NULL, NULL);
}
