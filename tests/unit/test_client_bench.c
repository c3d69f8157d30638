/* `ration bench`: percentiles against sorted values, draws against theory, requests and replies as
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "tool/bench/draw.h"
#include "tool/bench/hist.h"
#include "tool/bench/wire.h"

#define VALUES 20000

/* ---- Histogram ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Never less than the true value, and never 1 % more. */
static void assert_close(uint64_t got, int64_t want)
{
    assert_true(got >= (uint64_t)want);
    assert_true((double)got <= (double)want * 1.01);
}

static void check_percentiles(double spread, uint64_t seed)
{
    static const double percents[] = {0.01, 10, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
    struct bench_hist *hist = calloc(1, sizeof(*hist));
    int64_t *values = calloc(VALUES, sizeof(*values));
    struct bench_draw draw;
    bench_draw_init(&draw, seed, 1, 0);
    assert_non_null(hist);
    assert_non_null(values);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = (int64_t)exp(bench_draw_gap(&draw) * spread);
        bench_hist_add(hist, values[i]);
    }
    qsort(values, VALUES, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        size_t rank = (size_t)ceil(VALUES * percents[i] / 100.0);
        assert_close(bench_hist_percentile(hist, percents[i]), values[rank - 1]);
    }
    assert_int_equal(hist->max, values[VALUES - 1]);
    assert_int_equal(hist->min, values[0]);
    assert_int_equal(bench_hist_percentile(hist, 100), values[VALUES - 1]);
    assert_int_equal(bench_hist_between(hist, 0, UINT64_MAX), VALUES);
    free(values);
    free(hist);
}

static void percentiles_are_those_of_the_sorted_values(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        check_percentiles(0.5, seed); /* some microseconds */
        check_percentiles(2.0, seed);
        check_percentiles(1.2, seed + 100);
    }
}

/* Each power of two and its neighbours: where a bucket's number would go wrong. */
static void every_size_of_value_has_its_bucket(void **state)
{
    (void)state;
    for (int bit = 0; bit < BENCH_HIST_MAX_BITS; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            int64_t value = (INT64_C(1) << bit) + off;
            struct bench_hist hist = {0};
            bench_hist_add(&hist, value);
            bench_hist_add(&hist, INT64_C(1) << 45);
            assert_close(bench_hist_percentile(&hist, 50), value);
            assert_int_equal(hist.max, (UINT64_C(1) << BENCH_HIST_MAX_BITS) - 1);
            assert_int_equal(bench_hist_between(&hist, 0, UINT64_MAX), 2);
        }
    }
    struct bench_hist hist = {0};
    assert_int_equal(bench_hist_percentile(&hist, 50), 0);
    bench_hist_add(&hist, -5);
    assert_int_equal(bench_hist_percentile(&hist, 50), 0);
    assert_int_equal(hist.total, 1);
}

/* ---- Draws ---- */

/* Chi-square over the first ranks and, in groups of equal ratio, the others: its mean is the
 * degrees of freedom and its standard deviation sqrt(2 * that), so that five of them above is
 * beyond chance for a seed that was not chosen. */
static void check_zipf(uint32_t n, double exponent)
{
    enum { DRAWS = 400000, GROUPS = 64 };
    double expected[GROUPS] = {0};
    double seen[GROUPS] = {0};
    uint8_t *group_of = calloc(n, 1);
    struct bench_draw draw;
    double sum = 0;
    assert_non_null(group_of);
    for (uint32_t k = 0; k < n; k++) {
        group_of[k] = (uint8_t)(k < 16 ? k : 12 + (uint32_t)log2(k) * 2 - 4);
        double weight = pow(k + 1.0, -exponent);
        expected[group_of[k]] += weight;
        sum += weight;
    }
    bench_draw_init(&draw, 42, n, exponent);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t k = bench_draw_tenant(&draw);
        assert_true(k < n);
        seen[group_of[k]]++;
    }
    double chi = 0;
    int freedom = -1;
    for (int g = 0; g < GROUPS; g++) {
        double want = expected[g] / sum * DRAWS;
        if (want < 5)
            continue;
        chi += (seen[g] - want) * (seen[g] - want) / want;
        freedom++;
    }
    if (chi > freedom + 5 * sqrt(2.0 * freedom))
        fail_msg("n %u exponent %g: chi-square %.1f with %d degrees of freedom", n, exponent, chi,
                 freedom);
    free(group_of);
}

static void tenants_are_drawn_as_zipf_says(void **state)
{
    (void)state;
    static const double exponents[] = {0, 0.3, 0.8, 0.99, 1, 1.000001, 1.2, 2, 4};
    static const uint32_t sizes[] = {2, 3, 100, 10000, 1000000};
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
            check_zipf(sizes[j], exponents[i]);
    }
}

static void one_tenant_and_the_same_seed(void **state)
{
    (void)state;
    struct bench_draw a;
    struct bench_draw b;
    bench_draw_init(&a, 7, 1, 1.1);
    assert_int_equal(bench_draw_tenant(&a), 0);
    bench_draw_init(&a, 7, 1000, 1.1);
    bench_draw_init(&b, 7, 1000, 1.1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bench_draw_tenant(&a), bench_draw_tenant(&b));
}

/* Mean and variance of an exponential distribution with mean 1 are 1. */
static void gaps_are_exponential(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    struct bench_draw draw;
    double sum = 0;
    double squares = 0;
    bench_draw_init(&draw, 3, 1, 0);
    for (int i = 0; i < DRAWS; i++) {
        double gap = bench_draw_gap(&draw);
        assert_true(gap >= 0 && gap < 40);
        sum += gap;
        squares += gap * gap;
    }
    double mean = sum / DRAWS;
    assert_true(fabs(mean - 1) < 0.015);
    assert_true(fabs(squares / DRAWS - mean * mean - 1) < 0.05);
}

/* ---- Requests ---- */

static void assert_bytes(const char *got, size_t n, const char *want)
{
    assert_int_equal(n, strlen(want));
    assert_memory_equal(got, want, n);
}

static void requests_are_written(void **state)
{
    (void)state;
    static struct bench_forms forms;
    char out[BENCH_REQUEST_BYTES];
    assert_true(bench_forms_init(&forms, "openai/gpt-4o", "acme", 500, 400, 0));
    size_t n = bench_write_acquire(&forms, 0, out);
    assert_bytes(
        out, n,
        "*5\r\n$7\r\nACQUIRE\r\n$13\r\nopenai/gpt-4o\r\n$4\r\nacme\r\n$6\r\ntokens\r\n$3\r\n"
        "500\r\n");
    n = bench_write_report(&forms, "r1.a.b", 6, out);
    assert_bytes(out, n, "*4\r\n$6\r\nREPORT\r\n$6\r\nr1.a.b\r\n$6\r\ntokens\r\n$3\r\n400\r\n");
    assert_true(bench_forms_init(&forms, "p", NULL, 0, 0, 60000));
    n = bench_write_acquire(&forms, 1234567, out);
    assert_bytes(
        out, n,
        "*7\r\n$7\r\nACQUIRE\r\n$1\r\np\r\n$8\r\nt1234567\r\n$6\r\ntokens\r\n$1\r\n0\r\n$3\r\n"
        "TTL\r\n$5\r\n60000\r\n");
    n = bench_write_acquire(&forms, 42, out);
    assert_non_null(memmem(out, n, "$8\r\nt0000042\r\n", 14));
    n = bench_write_auth("acme", "s3cret", out);
    assert_bytes(out, n, "*3\r\n$4\r\nAUTH\r\n$4\r\nacme\r\n$6\r\ns3cret\r\n");
    n = bench_write_auth(NULL, "s3cret", out);
    assert_bytes(out, n, "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n");
}

/* The largest of everything fits into what is promised. */
static void the_largest_requests_fit(void **state)
{
    (void)state;
    static struct bench_forms forms;
    char out[BENCH_REQUEST_BYTES];
    char name[RATION_MAX_TENANT_BYTES + 2];
    char id[RATION_MAX_ID_BYTES];
    memset(name, 'x', sizeof(name));
    memset(id, 'i', sizeof(id));
    name[RATION_MAX_TENANT_BYTES + 1] = '\0';
    assert_false(bench_forms_init(&forms, name, "a", 1, 1, 0));
    assert_false(bench_forms_init(&forms, "a", name, 1, 1, 0));
    assert_false(bench_forms_init(&forms, "", "a", 1, 1, 0));
    assert_false(bench_forms_init(&forms, "a", "", 1, 1, 0));
    name[RATION_MAX_TENANT_BYTES] = '\0';
    assert_true(
        bench_forms_init(&forms, name, name, RATION_MAX_COST, RATION_MAX_COST, RATION_MAX_TTL_MS));
    assert_true(bench_write_acquire(&forms, 0, out) <= sizeof(out));
    size_t n = bench_write_report(&forms, id, sizeof(id) - 1, out);
    assert_true(n <= sizeof(out));
    assert_non_null(memmem(out, n, "\r\n$383\r\n", 8));
    assert_non_null(memmem(out, n, "$13\r\n1000000000000\r\n", 20));
}

/* ---- Replies ---- */

#define DECISION(status, id)                                                                       \
    "*10\r\n$6\r\nstatus\r\n" status "$2\r\nid\r\n" id                                             \
    "$14\r\nretry_after_ms\r\n:0\r\n$10\r\nlimited_by\r\n$0\r\n\r\n$4\r\nmode\r\n$5\r\nexact\r\n"

static const char granted[] = DECISION("$7\r\ngranted\r\n", "$6\r\nr1.a.b\r\n");

static void replies_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum bench_answer answer;
    } cases[] = {
        {granted, BENCH_GRANTED},
        {DECISION("$6\r\ndenied\r\n", "$0\r\n\r\n"), BENCH_DENIED},
        {"*2\r\n$6\r\nstatus\r\n$7\r\nsettled\r\n", BENCH_SETTLED},
        {"*2\r\n$6\r\nstatus\r\n$4\r\nlate\r\n", BENCH_SETTLED},
        {"*2\r\n$6\r\nstatus\r\n$9\r\nduplicate\r\n", BENCH_STRANGE},
        {"-NOPOOL there is none\r\n", BENCH_ERROR},
        {"+OK\r\n", BENCH_OK},
        {"+PONG\r\n", BENCH_STRANGE},
        {":5\r\n", BENCH_STRANGE},
        {"$-1\r\n", BENCH_STRANGE},
        {"*0\r\n", BENCH_STRANGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = strlen(cases[i].bytes);
        struct bench_reply reply;
        /* Cut short anywhere it is incomplete; in memory of just that size, so that reading on
         * would be seen. */
        for (size_t part = 0; part <= n; part++) {
            char *copy = malloc(part + 1);
            assert_non_null(copy);
            memcpy(copy, cases[i].bytes, part);
            int used = bench_scan_reply(copy, part, &reply);
            assert_int_equal(used, part == n ? (int)n : 0);
            free(copy);
        }
        assert_int_equal(bench_scan_reply(cases[i].bytes, n, &reply), n);
        assert_int_equal(reply.answer, cases[i].answer);
    }
    struct bench_reply reply;
    bench_scan_reply(granted, strlen(granted), &reply);
    assert_bytes(reply.text, reply.n_text, "r1.a.b");
    bench_scan_reply(cases[5].bytes, strlen(cases[5].bytes), &reply);
    assert_bytes(reply.text, reply.n_text, "NOPOOL there is none");
}

static void what_is_no_reply_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n",
        "*2\r\n*0\r\n*0\r\n",
        "*-1\r\n",
        "*100000\r\n",
        "$99999\r\n",
        "$5x\r\n",
        "*\r\n",
        ":12345678901234567890\r\n",
        DECISION("$7\r\ngranted\r\n", "$0\r\n\r\n"),
        DECISION("$7\r\ngranted\r\n", "$-1\r\n"),
    };
    struct bench_reply reply;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(bench_scan_reply(wrong[i], strlen(wrong[i]), &reply), -1);
    char endless[BENCH_REPLY_BYTES];
    memset(endless, '-', sizeof(endless));
    assert_int_equal(bench_scan_reply(endless, sizeof(endless) - 1, &reply), 0);
    assert_int_equal(bench_scan_reply(endless, sizeof(endless), &reply), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(every_size_of_value_has_its_bucket),
        cmocka_unit_test(tenants_are_drawn_as_zipf_says),
        cmocka_unit_test(one_tenant_and_the_same_seed),
        cmocka_unit_test(gaps_are_exponential),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(the_largest_requests_fit),
        cmocka_unit_test(replies_are_understood),
        cmocka_unit_test(what_is_no_reply_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
