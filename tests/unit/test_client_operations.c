/*
 * The library's operations against a peer: what goes over the wire, what comes back, and what
 * happens when servers break off, say nothing, or are not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "test_client_peer.h"
#include "test_client_replies.h"

static struct peer *one;
static struct peer *two;
static char last[4096];

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int set_up(void **state)
{
    (void)state;
    one = peer_start();
    two = peer_start();
    struct peer *both[] = {one, two};
    for (int i = 0; i < 2; i++) {
        peer_answer(both[i], "ACQUIRE", REPLY_GRANTED);
        peer_answer(both[i], "RENEW", REPLY_GRANTED);
        peer_answer(both[i], "REPORT", REPLY_SETTLED);
        peer_answer(both[i], "CANCEL", REPLY_SETTLED);
        peer_answer(both[i], "PEEK", REPLY_PEEK);
        peer_answer(both[i], "AUDIT", REPLY_AUDIT);
        peer_answer(both[i], "AUTH", "+OK\r\n");
        peer_answer(both[i], "POST", HTTP_ANSWER);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peer_stop(one);
    peer_stop(two);
    return 0;
}

/* A handle to the first peer, or to both. */
static ration *open_to(int n, uint32_t timeout_ms)
{
    char servers[64];
    struct ration_options options;
    ration *r = NULL;
    snprintf(servers, sizeof(servers), n == 1 ? "127.0.0.1:%u" : "127.0.0.1:%u,127.0.0.1:%u",
             peer_port(one), peer_port(two));
    ration_options_init(&options);
    options.servers = servers;
    options.timeout_ms = timeout_ms;
    assert_int_equal(ration_open(&options, &r), RATION_OK);
    return r;
}

static const char *last_of(struct peer *peer, const char *verb)
{
    peer_last(peer, verb, last, sizeof(last));
    return last;
}

/* ---- What goes over the wire ---- */

static void acquire_sends_what_is_stated(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_grant grant;
    struct ration_acquire_options options;
    ration_acquire_options_init(&options);
    options.priority = 2;
    options.ttl_ms = 5000;
    options.wait_ms = 10;
    options.id = "order-1";
    options.dry_run = 1;
    options.learned = 1;
    const struct ration_amounts estimate = {
        .tokens = 500, .output_tokens = RATION_ZERO, .concurrent = 1};
    assert_int_equal(ration_acquire(r, "p", "t", &estimate, &options, &grant), RATION_OK);
    assert_string_equal(last_of(one, "ACQUIRE"),
                        "ACQUIRE p t tokens 500 output_tokens 0 concurrent 1 PRIORITY 2 WAIT 10 "
                        "TTL 5000 ID order-1 DRYRUN LEARNED");
    assert_int_equal(grant.granted, 1);
    assert_string_equal(grant.id, "me");
    assert_string_equal(grant.mode, "exact");
    assert_string_equal(ration_errmsg(r), "");

    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_int_equal(strncmp(last_of(one, "ACQUIRE"), "ACQUIRE p t ID r1.", 18), 0);

    peer_answer(one, "ACQUIRE", REPLY_DENIED);
    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_int_equal(grant.granted, 0);
    assert_int_equal(grant.retry_after_ms, 30);
    assert_string_equal(grant.limited_by, "pool:p tokens/minute");
    ration_close(r);
}

static void the_others_send_what_is_stated(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_grant grant;
    enum ration_settled settled = RATION_LATE;
    const struct ration_amounts amounts = {.tokens = 5, .concurrent = 3};
    const struct ration_report_options report = {
        .http_status = 429, .retry_after_ms = 1500, .partial = 1};
    assert_int_equal(ration_report(r, "x", &amounts, &report, &settled), RATION_OK);
    assert_string_equal(last_of(one, "REPORT"),
                        "REPORT x tokens 5 STATUS 429 RETRY_AFTER 1500 PARTIAL");
    assert_int_equal(settled, RATION_SETTLED);
    assert_int_equal(ration_report(r, "x", NULL, NULL, NULL), RATION_OK);
    assert_string_equal(last_of(one, "REPORT"), "REPORT x");
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    assert_string_equal(last_of(one, "CANCEL"), "CANCEL x");
    assert_int_equal(ration_renew(r, "x", 0, NULL, &grant), RATION_OK);
    assert_string_equal(last_of(one, "RENEW"), "RENEW x");
    assert_int_equal(ration_renew(r, "x", 700, &amounts, &grant), RATION_OK);
    assert_int_equal(strncmp(last_of(one, "RENEW"), "RENEW x TTL 700 tokens 5 ID ", 28), 0);
    assert_int_equal(strlen(last), 28 + 16);
    ration_close(r);
}

/* Says what comes next: a part of the rows after the first sign of life, then the rest. */
static void on_progress(void *arg, int percent)
{
    int *times = arg;
    assert_int_equal(percent, *times ? 100 : 50);
    if ((*times)++ == 0)
        peer_answer_once(one, "AUDIT", REPLY_AUDIT_PART);
}

static void on_progress_forget(void *arg, int percent)
{
    ++*(int *)arg;
    assert_int_equal(percent, 50);
    peer_answer_once(one, "AUDIT", "-NOSUCH no audit of that id\r\n");
}

static void an_audit_comes_in_parts(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_audit_row *ledger = NULL;
    size_t n = 0;
    int times = 0;
    peer_answer_once(one, "AUDIT", REPLY_AUDIT_HALF);
    assert_int_equal(ration_audit_watch(r, "p", on_progress, &times, &ledger, &n), RATION_OK);
    assert_int_equal(times, 2);
    assert_int_equal(n, 2);
    assert_string_equal(ledger[1].pool, "p");
    assert_string_equal(last_of(one, "AUDIT"), "AUDIT CONTINUE a1 WAIT 500");
    ration_audit_free(ledger);

    /* An id that the server does not know any more: the audit is begun anew. */
    times = 0;
    peer_answer_once(one, "AUDIT", REPLY_AUDIT_HALF);
    assert_int_equal(ration_audit_watch(r, "p", on_progress_forget, &times, &ledger, &n),
                     RATION_OK);
    assert_string_equal(last_of(one, "AUDIT"), "AUDIT p WAIT 500");
    assert_int_equal(times, 1);
    assert_int_equal(n, 1);
    ration_audit_free(ledger);

    /* Not for ever, and not where it had not begun. */
    peer_answer(one, "AUDIT", REPLY_AUDIT_HALF);
    assert_int_equal(ration_audit_watch(r, "p", on_progress_forget, &times, &ledger, &n),
                     RATION_ENOSUCH);
    peer_answer(one, "AUDIT", "-NOSUCH what\r\n");
    assert_int_equal(ration_audit(r, "p", &ledger, &n), RATION_ENOSUCH);
    peer_answer(one, "AUDIT",
                "*6\r\n$5\r\naudit\r\n$0\r\n\r\n$7\r\npercent\r\n:100\r\n$4\r\nrows\r\n:3\r\n");
    assert_int_equal(ration_audit(r, "p", &ledger, &n), RATION_EPROTOCOL);
    ration_close(r);
}

static void tables_are_read(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_limit_row *limits = NULL;
    struct ration_audit_row *ledger = NULL;
    size_t n = 0;
    assert_int_equal(ration_peek(r, "p", "t", &limits, &n), RATION_OK);
    assert_int_equal(n, 1);
    assert_string_equal(limits[0].scope, "pool:p");
    assert_string_equal(limits[0].per, "minute");
    assert_int_equal(limits[0].remaining, -7);
    ration_rows_free(limits);
    assert_int_equal(ration_audit(r, NULL, &ledger, &n), RATION_OK);
    assert_string_equal(last_of(one, "AUDIT"), "AUDIT WAIT 500");
    assert_int_equal(n, 1);
    assert_int_equal(ledger[0].granted, 10);
    assert_int_equal(ledger[0].scanned, -1);
    assert_int_equal(ledger[0].balanced, 1);
    ration_audit_free(ledger);

    n = 99;
    peer_answer(one, "PEEK", "*1\r\n*2\r\n$5\r\nscope\r\n:1\r\n");
    assert_int_equal(ration_peek(r, "p", "t", &limits, &n), RATION_EPROTOCOL);
    peer_answer(one, "PEEK", "*1\r\n:1\r\n");
    assert_int_equal(ration_peek(r, "p", "t", &limits, &n), RATION_EPROTOCOL);
    peer_answer(one, "PEEK", "+OK\r\n");
    assert_int_equal(ration_peek(r, "p", "t", &limits, &n), RATION_EPROTOCOL);
    assert_int_equal(n, 99);
    peer_answer(one, "PEEK", "*0\r\n");
    assert_int_equal(ration_peek(r, "p", "t", &limits, &n), RATION_OK);
    assert_int_equal(n, 0);
    ration_rows_free(limits);
    ration_close(r);
}

static void arguments_are_checked_before_anything_is_sent(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_grant grant;
    struct ration_acquire_options options;
    const struct ration_amounts wrong = {.tokens = -5};
    const struct ration_report_options report = {.http_status = 99};
    ration_acquire_options_init(&options);
    assert_int_equal(ration_acquire(r, "p@q", "t", NULL, NULL, &grant), RATION_EINVALID);
    assert_int_equal(ration_acquire(r, "p", "", NULL, NULL, &grant), RATION_EINVALID);
    assert_int_equal(ration_acquire(r, NULL, "t", NULL, NULL, &grant), RATION_EINVALID);
    assert_int_equal(ration_acquire(r, "p", "t", &wrong, NULL, &grant), RATION_EINVALID);
    options.priority = 3;
    assert_int_equal(ration_acquire(r, "p", "t", NULL, &options, &grant), RATION_EINVALID);
    ration_acquire_options_init(&options);
    options.ttl_ms = 99;
    assert_int_equal(ration_acquire(r, "p", "t", NULL, &options, &grant), RATION_EINVALID);
    ration_acquire_options_init(&options);
    options.id = "two words";
    assert_int_equal(ration_acquire(r, "p", "t", NULL, &options, &grant), RATION_EINVALID);
    assert_int_equal(ration_report(r, "x", NULL, &report, NULL), RATION_EINVALID);
    assert_int_equal(ration_report(r, "x y", NULL, NULL, NULL), RATION_EINVALID);
    assert_int_equal(ration_renew(r, "x", 1, NULL, &grant), RATION_EINVALID);
    assert_string_not_equal(ration_errmsg(r), "");
    assert_int_equal(peer_count(one, NULL), 0);
    ration_close(r);
}

/* ---- Errors and nonsense ---- */

static void error_words_become_codes_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        int err;
    } words[] = {
        {"-ERR what\r\n", RATION_ESERVER},
        {"-NOPOOL no\r\n", RATION_ENOPOOL},
        {"-NOTENANT no\r\n", RATION_ENOTENANT},
        {"-NOSUCH no\r\n", RATION_ENOSUCH},
        {"-NOAUTH no\r\n", RATION_ENOAUTH},
        {"-NOPERM no\r\n", RATION_ENOPERM},
        {"-UNAVAILABLE no\r\n", RATION_EUNAVAILABLE},
        {"-BUSY no\r\n", RATION_EBUSY},
        {"-BUSY\r\n", RATION_EBUSY},
        {"-LOADING data\r\n", RATION_ESERVER},
    };
    ration *r = open_to(2, 2000);
    struct ration_grant grant;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        peer_answer(one, "ACQUIRE", words[i].reply);
        assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), words[i].err);
        assert_int_equal(peer_count(one, "ACQUIRE"), i + 1);
    }
    assert_int_equal(peer_count(two, NULL), 0);
    assert_non_null(strstr(ration_errmsg(r), "LOADING data"));
    ration_close(r);
}

/* A decision with that status and wait, and as many fields as are counted. */
#define DECISION(fields, status, wait)                                                             \
    "*" fields "\r\n$6\r\nstatus\r\n" status                                                       \
    "\r\n$2\r\nid\r\n$2\r\nme\r\n$14\r\nretry_after_ms\r\n" wait                                   \
    "\r\n$10\r\nlimited_by\r\n$0\r\n\r\n"

#define MODE "$4\r\nmode\r\n$5\r\nexact\r\n"

static void nonsense_is_told_and_leaves_the_grant_alone(void **state)
{
    (void)state;
    static const char long_mode[] = REPLY_LONG_MODE;
    static const char *const nonsense[] = {
        ":1\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*2\r\n$6\r\nstatus\r\n$7\r\ngranted\r\n",
        DECISION("8", "$7\r\ngranted", ":0"),
        DECISION("10", "$5\r\nmaybe", ":0") MODE,
        DECISION("10", "$7\r\ngranted", "$1\r\n0") MODE,
        DECISION("10", "$6\r\ndenied", ":-2") MODE,
        long_mode,
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    };
    ration *r = open_to(2, 2000);
    struct ration_grant grant = {.retry_after_ms = 4711};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        peer_answer(one, "ACQUIRE", nonsense[i]);
        int err = ration_acquire(r, "p", "t", NULL, NULL, &grant);
        if (err != RATION_EPROTOCOL)
            fail_msg("'%s' gave %d: %s", nonsense[i], err, ration_errmsg(r));
        assert_int_equal(grant.retry_after_ms, 4711);
    }
    assert_int_equal(peer_count(two, NULL), 0);
    peer_answer(one, "ACQUIRE", REPLY_GRANTED);
    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    ration_close(r);
}

/* ---- Servers that go away ---- */

static void a_lost_reply_is_asked_for_again_under_the_same_id(void **state)
{
    (void)state;
    ration *r = open_to(2, 2000);
    struct ration_grant grant;
    const struct ration_amounts more = {.tokens = 1};
    char first[sizeof(last)];
    peer_answer_once(one, "ACQUIRE", PEER_CLOSE);
    assert_int_equal(ration_acquire(r, "p", "t", &more, NULL, &grant), RATION_OK);
    strcpy(first, last_of(one, "ACQUIRE"));
    assert_string_equal(first, last_of(two, "ACQUIRE"));
    assert_int_equal(peer_count(one, "ACQUIRE"), 1);
    assert_int_equal(peer_count(two, "ACQUIRE"), 1);

    peer_answer_once(two, "RENEW", PEER_CLOSE);
    assert_int_equal(ration_renew(r, "x", 0, &more, &grant), RATION_OK);
    strcpy(first, last_of(two, "RENEW"));
    assert_string_equal(first, last_of(one, "RENEW"));
    ration_close(r);
}

static void half_a_reply_counts_as_none(void **state)
{
    (void)state;
    ration *r = open_to(2, 2000);
    enum ration_settled settled = RATION_LATE;
    peer_close_after(one, 1);
    peer_answer_once(one, "REPORT", "*2\r\n$6\r\nstatus\r\n$7\r\nset");
    assert_int_equal(ration_report(r, "x", NULL, NULL, &settled), RATION_OK);
    assert_int_equal(settled, RATION_SETTLED);
    assert_int_equal(peer_count(two, "REPORT"), 1);
    ration_close(r);
}

static void a_connection_that_ended_meanwhile_is_made_anew(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    peer_close_after(one, 1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    ration_close(r);
}

static void bytes_that_nobody_asked_for_end_a_connection(void **state)
{
    (void)state;
    ration *r = open_to(1, 2000);
    struct ration_grant grant;
    peer_answer_once(one, "CANCEL", REPLY_SETTLED REPLY_SETTLED);
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    /* The second reply must not be taken for this one's. */
    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_string_equal(grant.id, "me");
    ration_close(r);
}

static void a_silent_server_leaves_time_for_the_next(void **state)
{
    (void)state;
    ration *r = open_to(2, 2000);
    struct ration_grant grant;
    peer_answer(one, "ACQUIRE", PEER_SILENT);
    int64_t begun = now_ms();
    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_in_range(now_ms() - begun, 900, 2000);
    begun = now_ms();
    assert_int_equal(ration_acquire(r, "p", "t", NULL, NULL, &grant), RATION_OK);
    assert_in_range(now_ms() - begun, 0, 900); /* it stays with the one that answers */
    ration_close(r);
}

static void no_call_outlives_its_deadline(void **state)
{
    (void)state;
    ration *r = open_to(1, 200);
    peer_answer(one, "CANCEL", PEER_SILENT);
    int64_t begun = now_ms();
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_ETIMEOUT);
    assert_in_range(now_ms() - begun, 195, 3000);
    peer_answer(one, "CANCEL", PEER_CLOSE);
    begun = now_ms();
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_ECONNECT);
    assert_in_range(now_ms() - begun, 0, 3000);
    ration_close(r);
}

static void nobody_there_is_told_with_the_address(void **state)
{
    (void)state;
    struct peer *gone = peer_start();
    char servers[32];
    struct ration_options options;
    ration *r = NULL;
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(gone));
    peer_stop(gone);
    ration_options_init(&options);
    options.servers = servers;
    options.timeout_ms = 150;
    assert_int_equal(ration_open(&options, &r), RATION_OK);
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_ECONNECT);
    assert_non_null(strstr(ration_errmsg(r), servers));
    ration_close(r);
}

static void credentials_go_first(void **state)
{
    (void)state;
    char servers[32];
    struct ration_options options;
    ration *r = NULL;
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(one));
    ration_options_init(&options);
    options.servers = servers;
    options.secret = "s3cret";
    assert_int_equal(ration_open(&options, &r), RATION_OK);
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    assert_string_equal(last_of(one, "AUTH"), "AUTH s3cret");
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_OK);
    assert_int_equal(peer_count(one, "AUTH"), 1);
    ration_close(r);

    options.tenant = "acme";
    assert_int_equal(ration_open(&options, &r), RATION_OK);
    peer_answer(one, "AUTH", "-WRONGPASS no\r\n");
    assert_int_equal(ration_cancel(r, "x", NULL), RATION_ENOAUTH);
    assert_string_equal(last_of(one, "AUTH"), "AUTH acme s3cret");
    assert_int_equal(peer_count(one, "CANCEL"), 2);
    ration_close(r);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct ration_options options;
    ration *r = NULL;
    ration_options_init(&options);
    options.timeout_ms = 0;
    assert_int_equal(ration_open(&options, &r), RATION_EINVALID);
    ration_options_init(&options);
    options.servers = "a b";
    assert_int_equal(ration_open(&options, &r), RATION_EINVALID);
    assert_null(r);
    ration_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(acquire_sends_what_is_stated),
        TEST(the_others_send_what_is_stated),
        TEST(tables_are_read),
        TEST(an_audit_comes_in_parts),
        TEST(arguments_are_checked_before_anything_is_sent),
        TEST(error_words_become_codes_at_once),
        TEST(nonsense_is_told_and_leaves_the_grant_alone),
        TEST(a_lost_reply_is_asked_for_again_under_the_same_id),
        TEST(half_a_reply_counts_as_none),
        TEST(a_connection_that_ended_meanwhile_is_made_anew),
        TEST(bytes_that_nobody_asked_for_end_a_connection),
        TEST(a_silent_server_leaves_time_for_the_next),
        TEST(no_call_outlives_its_deadline),
        TEST(nobody_there_is_told_with_the_address),
        TEST(credentials_go_first),
        TEST(options_are_checked),
    };
    unsetenv("RATION_SECRET");
    unsetenv("RATION_TENANT");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
