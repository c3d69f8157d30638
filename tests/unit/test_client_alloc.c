/*
 * Memory that runs out: each operation is run again and again, with the first of its allocations
 * failing, then the second, and so on until it needs no more. Each time it must give RATION_ENOMEM
 * or do without, leave the handle usable, and lose nothing (which the leak sanitizer sees).
 *
 * The linker's --wrap leads every allocation of the library's own code here; libcrypto, which
 * hashes for it, is asked to allocate here too. Only those of the thread that runs the operation
 * count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include <ration/ration.h>

#include "profile/sigv4.h"
#include "test_client_peer.h"
#include "test_client_replies.h"

static _Thread_local bool armed;
static _Thread_local unsigned left; /* allocations until the one that fails */
static _Thread_local bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static bool fails(void)
{
    if (!armed || failed)
        return false;
    failed = left-- == 0;
    return failed;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

static unsigned hashing; /* allocations of libcrypto while an operation ran */

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    hashing += armed;
    return __wrap_malloc(size);
}

static void *crypto_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    hashing += armed;
    return __wrap_realloc(p, size);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* ---- The operations ---- */

static struct peer *peer;
static char servers[32];
static char url[64];

static int open_handle(ration **out)
{
    struct ration_options options;
    ration_options_init(&options);
    options.servers = servers;
    options.secret = "s";
    return ration_open(&options, out);
}

static int do_acquire(ration *r)
{
    struct ration_grant grant;
    return ration_acquire(r, "p", "t", NULL, NULL, &grant);
}

static int do_renew(ration *r)
{
    struct ration_grant grant;
    const struct ration_amounts more = {.tokens = 1};
    return ration_renew(r, "x", 0, &more, &grant);
}

static int do_report(ration *r)
{
    return ration_report(r, "x", NULL, NULL, NULL);
}

static int do_cancel(ration *r)
{
    return ration_cancel(r, "x", NULL);
}

static int do_peek(ration *r)
{
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    int err = ration_peek(r, "p", "t", &rows, &n);
    ration_rows_free(rows);
    return err;
}

static int do_audit(ration *r)
{
    struct ration_audit_row *rows = NULL;
    size_t n = 0;
    int err = ration_audit(r, NULL, &rows, &n);
    ration_audit_free(rows);
    return err;
}

static int do_call(ration *r)
{
    struct ration_call_options options;
    struct ration_response answer;
    ration_call_options_init(&options);
    options.url = url;
    options.body = "{\"messages\":[{\"content\":\"Hi\"}]}";
    int err = ration_call(r, "p", "t", &options, &answer);
    ration_response_free(&answer);
    return err;
}

/* A call that is signed for an account. */
static int do_signed(ration *r)
{
    struct ration_call_options options;
    struct ration_response answer;
    ration_call_options_init(&options);
    options.provider = "bedrock";
    options.model = "amazon.nova-lite-v1:0";
    options.url = url;
    options.body = "{\"messages\":[{\"content\":[{\"text\":\"Hi\"}]}]}";
    peer_answer(peer, "POST", HTTP_CONVERSE);
    int err = ration_call(r, "p", "t", &options, &answer);
    ration_response_free(&answer);
    peer_answer(peer, "POST", HTTP_ANSWER);
    return err;
}

/* A stream, and before it an error that is retried, so that each kind of settlement is left
 * unacknowledged once. */
static int on_event(void *arg, const char *name, const char *data, size_t bytes, const char *text)
{
    (void)arg;
    (void)name;
    (void)data;
    (void)bytes;
    (void)text;
    return 0;
}

static int do_stream(ration *r)
{
    struct ration_call_options options;
    struct ration_response answer;
    ration_call_options_init(&options);
    options.url = url;
    options.body = "{\"stream\":true,\"messages\":[{\"content\":\"Hi\"}]}";
    options.stream = on_event;
    options.retry.min_ms = options.retry.max_ms = 1;
    options.retry.unreached_ms = 1;
    peer_answer(peer, "POST", HTTP_EVENTS);
    peer_answer_once(peer, "POST", HTTP_529);
    int err = ration_call(r, "p", "t", &options, &answer);
    ration_response_free(&answer);
    peer_answer(peer, "POST", HTTP_ANSWER);
    return err;
}

static int do_resolve(ration *r)
{
    (void)r;
    struct ration_options options;
    ration *other = NULL;
    char name[48];
    snprintf(name, sizeof(name), "localhost:%u", peer_port(peer));
    ration_options_init(&options);
    options.servers = name;
    int err = ration_open(&options, &other);
    if (err == RATION_OK)
        err = ration_cancel(other, "x", NULL);
    ration_close(other);
    return err;
}

/* ---- The walk ---- */

static unsigned walk(const char *name, int (*operation)(ration *), bool fresh)
{
    unsigned steps = 0;
    for (;; steps++) {
        ration *r = NULL;
        assert_int_equal(open_handle(&r), RATION_OK);
        if (!fresh)
            assert_int_equal(do_cancel(r), RATION_OK); /* so that it is connected */
        left = steps;
        failed = false;
        armed = true;
        int err = operation(r);
        armed = false;
        /* An answer for which there was no memory has been cut short: RATION_EUPSTREAM is its name
         * too. */
        if (err != RATION_OK && err != RATION_ENOMEM && err != RATION_EUPSTREAM)
            fail_msg("%s, allocation %u: %d, %s", name, steps, err, ration_errmsg(r));
        if (!failed)
            assert_int_equal(err, RATION_OK);
        err = operation(r); /* the handle has survived */
        if (err != RATION_OK)
            fail_msg("%s, after allocation %u: %d, %s", name, steps, err, ration_errmsg(r));
        ration_close(r);
        if (!failed)
            return steps;
        assert_true(steps < 1000);
    }
}

static void every_operation_survives(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int (*operation)(ration *);
    } operations[] = {
        {"acquire", do_acquire}, {"renew", do_renew},   {"report", do_report},
        {"cancel", do_cancel},   {"peek", do_peek},     {"audit", do_audit},
        {"call", do_call},       {"stream", do_stream}, {"signed", do_signed},
        {"resolve", do_resolve},
    };
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        unsigned fresh = walk(operations[i].name, operations[i].operation, true);
        unsigned connected = walk(operations[i].name, operations[i].operation, false);
        print_message("%s: %u allocations, %u when connected\n", operations[i].name, fresh,
                      connected);
        assert_true(fresh > 0);
    }
}

/* A hash that failed must not end in a signature: each attempt gives the right one, or none. */
static void signing_survives(void **state)
{
    (void)state;
    const struct sigv4_account account = {"AKID", "secret", "token", "eu-west-1", "bedrock"};
    struct sigv4_headers right;
    assert_int_equal(sigv4_sign(&account, url, "application/json", "{}", 2, 0, &right), 0);
    unsigned steps = 0;
    hashing = 0;
    do {
        struct sigv4_headers made = {.n = 0};
        left = steps++;
        failed = false;
        armed = true;
        int err = sigv4_sign(&account, url, "application/json", "{}", 2, 0, &made);
        armed = false;
        assert_int_equal(made.n, err == 0 ? right.n : 0);
        for (size_t i = 0; i < made.n; i++)
            assert_string_equal(made.line[i], right.line[i]);
        if (err != 0)
            assert_int_equal(err, RATION_ENOMEM);
        sigv4_free(&made);
        assert_true(steps < 1000);
    } while (failed);
    assert_true(hashing > steps);
    sigv4_free(&right);
}

static void opening_survives(void **state)
{
    (void)state;
    ration *r = NULL;
    left = 0;
    failed = false;
    armed = true;
    int err = open_handle(&r);
    armed = false;
    assert_int_equal(err, RATION_ENOMEM);
    assert_null(r);
}

static int set_up(void **state)
{
    (void)state;
    peer = peer_start();
    peer_answer(peer, "AUTH", "+OK\r\n");
    peer_answer(peer, "ACQUIRE", REPLY_GRANTED);
    peer_answer(peer, "RENEW", REPLY_GRANTED);
    peer_answer(peer, "REPORT", REPLY_SETTLED);
    peer_answer(peer, "CANCEL", REPLY_SETTLED);
    peer_answer(peer, "PEEK", REPLY_PEEK);
    peer_answer(peer, "AUDIT", REPLY_AUDIT);
    peer_answer(peer, "POST", HTTP_ANSWER);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", peer_port(peer));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", peer_port(peer));
    /* libcrypto begins once in a process; what fails in that first moment would be missing from
     * then on. */
    ration *r = NULL;
    if (open_handle(&r) != RATION_OK)
        return -1;
    int err = do_signed(r);
    ration_close(r);
    return err;
}

static int tear_down(void **state)
{
    (void)state;
    peer_stop(peer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_survives),
        cmocka_unit_test(every_operation_survives),
        cmocka_unit_test(signing_survives),
    };
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
        return 1;
    unsetenv("http_proxy");
    unsetenv("AWS_BEARER_TOKEN_BEDROCK");
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_REGION", "eu-west-1", 1);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
