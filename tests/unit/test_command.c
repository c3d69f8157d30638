/* Commands: each valid use reaches the store as intended, each invalid one is answered with what
 * was expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "clock.h"
#include "command/command.h"
#include "front_fixture.h"
#include "log.h"

static const char config[] =
    "{\"listen\": {\"resp\": \"127.0.0.1:0\"},"
    " \"pools\": {\"openai/gpt-4o\": {\"limits\": [{\"unit\": \"tokens\", \"amount\": 30000, "
    "\"per\": "
    "\"minute\"}]}},"
    " \"tiers\": {\"pro\": {\"priority\": 1, \"limits\": [{\"unit\": \"requests\", \"amount\": 5, "
    "\"per\": \"minute\"}]}},"
    " \"tenants\": {\"acme\": {\"tier\": \"pro\"}, \"globex\": {\"tier\": \"pro\"}},"
    " \"default_tier\": null}";

#define POOL_TENANT "openai/gpt-4o acme"
#define ID          "r1.abc.0123456789abcdef.0.acme@openai/gpt-4o"

static struct fixture fixture;
static int client;

static int start(void **state)
{
    (void)state;
    fixture_start(&fixture, config);
    client = client_open(&fixture);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    close(client);
    fixture_stop(&fixture);
    return 0;
}

static void expect(const char *line, const char *part)
{
    const char *reply = ask(&fixture, client, line);
    if (strstr(reply, part) == NULL)
        fail_msg("%s\nanswered: %s\nwithout: %s", line, reply, part);
}

/* What reaches the batcher; the caller answers it. */
static const struct op *submitted(const char *line)
{
    client_send(&fixture, client, line, strlen(line));
    client_send(&fixture, client, "\r\n", 2);
    uint64_t deadline = clock_ms() + 2000;
    while (n_waiting == 0 && clock_ms() < deadline)
        turn(&fixture);
    if (n_waiting != 1)
        fail_msg("%s\nanswered: %s", line, ask(&fixture, client, ""));
    return waiting[0];
}

static void answer(enum op_outcome outcome, const char *part)
{
    static char reply[8192];
    fixture_answer(0, outcome);
    const char *rest = ask(&fixture, client, "PING");
    strcpy(reply, rest);
    if (strstr(reply, part) == NULL)
        fail_msg("answered: %s\nwithout: %s", reply, part);
}

static void test_acquire(void **state)
{
    (void)state;
    const struct op *op = submitted("acquire " POOL_TENANT " Tokens 500 ttl 5000 USD 7 priority 2");
    assert_int_equal(op->kind, OP_ACQUIRE);
    assert_int_equal(op->amounts[RATION_UNIT_TOKENS], 500);
    assert_int_equal(op->amounts[RATION_UNIT_USD], 7);
    assert_int_equal(op->amounts[RATION_UNIT_REQUESTS], 1);
    assert_int_equal(op->amounts[RATION_UNIT_CONCURRENT], 1);
    assert_int_equal(op->ttl_ms, 5000);
    assert_int_equal(op->priority, 2);
    assert_int_equal(op->policy.n, 2);
    assert_false(op->own_id);
    answer(OP_GRANTED, "*10\r\n$6\r\nstatus\r\n$7\r\ngranted\r\n$2\r\nid\r\n");

    op = submitted("ACQUIRE " POOL_TENANT " ID " ID " DRYRUN WAIT 0");
    assert_true(op->own_id);
    assert_true(op->dry_run);
    assert_int_equal(op->priority, 1);
    answer(OP_DENIED, "$6\r\ndenied\r\n$2\r\nid\r\n$0\r\n\r\n$14\r\nretry_after_ms\r\n:1500\r\n"
                      "$10\r\nlimited_by\r\n$32\r\npool:openai/gpt-4o tokens/minute\r\n");

    op = submitted("ACQUIRE " POOL_TENANT " ID order-7 input_tokens 3 output_tokens 4");
    assert_true(op->id.free_form);
    assert_memory_equal(op->id.tenant, "acme", 4);
    assert_int_equal(op->amounts[RATION_UNIT_TOKENS], 7);
    assert_false(op->learned);
    answer(OP_FOREIGN, "-ERR id order-7 was used for another request");
    static const char *const learned[] = {"input_tokens 3", "output_tokens 4 tokens 9",
                                          "input_tokens 3 output_tokens 4"};
    for (size_t i = 0; i < sizeof learned / sizeof learned[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "ACQUIRE " POOL_TENANT " LEARNED %s", learned[i]);
        op = submitted(line);
        assert_true(op->learned);
        answer(OP_GRANTED, "granted");
    }
}

static void test_acquire_refused(void **state)
{
    (void)state;
    expect("ACQUIRE", "-ERR usage: ACQUIRE pool tenant [unit n]");
    expect("ACQUIRE nopool acme",
           "-NOPOOL no pool 'nopool' is configured; add it to \"pools\", or use one "
           "of: openai/gpt-4o");
    expect("ACQUIRE openai/gpt-4o who", "-NOTENANT no tenant 'who'");
    expect("ACQUIRE openai/gpt-4o who", "one of: acme, globex");
    expect("ACQUIRE openai/gpt-4o \"a b\"", "'a b' is not a valid tenant");
    static const char *const numbers[] = {"-1",
                                          "+1",
                                          "1.0",
                                          "1e3",
                                          "NaN",
                                          "0x10",
                                          "\"\"",
                                          "1000000000001",
                                          "99999999999999999999999",
                                          "1 000",
                                          "inf"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char line[256] = "ACQUIRE " POOL_TENANT " tokens ";
        expect(strcat(line, numbers[i]), "-ERR usage: ");
    }
    expect("ACQUIRE " POOL_TENANT " tokens 1e3",
           "tokens needs a whole number from 0 to 1000000000000, not '1e3'");
    expect("ACQUIRE " POOL_TENANT " tokens", "tokens needs a value after it");
    expect("ACQUIRE " POOL_TENANT " tokens 1 TOKENS 1", "tokens is given twice");
    expect("ACQUIRE " POOL_TENANT " tokns 1", "'tokns' is neither an option nor a unit");
    expect("ACQUIRE " POOL_TENANT " PRIORITY 0", "-ERR PRIORITY 0 is above tier pro's 1");
    expect("ACQUIRE " POOL_TENANT " PRIORITY 3", "PRIORITY needs a whole number from 0 to 2");
    expect("ACQUIRE " POOL_TENANT " WAIT 10", "-ERR WAIT is not supported by this version");
    expect("ACQUIRE " POOL_TENANT " TTL 99", "TTL needs a whole number from 100 to 3600000 ms");
    expect("ACQUIRE " POOL_TENANT " TTL 100 TTL 100", "TTL is given twice");
    expect("ACQUIRE " POOL_TENANT " STATUS 200", "'STATUS' is neither");
    expect("ACQUIRE openai/gpt-4o globex ID " ID, "ID: that id names another tenant or pool");
    expect("ACQUIRE " POOL_TENANT " ID r1.abc.0123456789abcdef.1.acme@openai/gpt-4o",
           "its fourth part must be 0");
    expect("ACQUIRE " POOL_TENANT " ID r1.x", "ID: ");
    expect("ACQUIRE " POOL_TENANT " input_tokens 1000000000000 output_tokens 1", "together");
    expect("ACQUIRE " POOL_TENANT " tokens 5 LEARNED",
           "LEARNED needs input_tokens (your estimate), output_tokens (the most that");
    assert_int_equal(n_submitted, 0);
}

static void test_what_a_report_teaches(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool learned;
    } teaching[] = {{"input_tokens 3", true},
                    {"tokens 9 input_tokens 3", true},
                    {"tokens 9", false},
                    {"input_tokens 3 PARTIAL", false},
                    {"input_tokens 3 STATUS 400", false},
                    {"input_tokens 3 FAILED", false}};
    for (size_t i = 0; i < sizeof teaching / sizeof teaching[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "REPORT " ID " %s", teaching[i].words);
        assert_int_equal(submitted(line)->learned, teaching[i].learned);
        answer(OP_SETTLED, "settled");
    }
}

static void test_report(void **state)
{
    (void)state;
    const struct op *op = submitted("REPORT " ID " tokens 5 STATUS 429 RETRY_AFTER 20 PARTIAL");
    assert_int_equal(op->kind, OP_REPORT);
    assert_true(op->partial);
    assert_int_equal(op->stated, 1 << RATION_UNIT_TOKENS);
    assert_int_equal(op->policy.n, 2);
    answer(OP_SETTLED, "*2\r\n$6\r\nstatus\r\n$7\r\nsettled\r\n");
    op = submitted("REPORT order-7 input_tokens 2 output_tokens 3");
    assert_null(op->policy.pool);
    assert_int_equal(op->amounts[RATION_UNIT_TOKENS], 5);
    assert_true(op->stated & 1 << RATION_UNIT_TOKENS);
    answer(OP_LATE, "$4\r\nlate\r\n");
    op =
        submitted("REPORT " ID " input_tokens 2 output_tokens 3 STATUS 529 RETRY_AFTER 5 EXHAUSTED "
                  "no_money REMAINING requests 7 remaining tokens 8 per 60000 limit 9");
    assert_true(op->feedback.failed);
    assert_false(op->learned);
    assert_int_equal(op->feedback.pause_ms, 5);
    assert_string_equal(op->reason, "no_money");
    assert_int_equal(op->feedback.n_headers, 2);
    assert_int_equal(op->feedback.headers[1].unit, RATION_UNIT_TOKENS);
    assert_int_equal(op->feedback.headers[1].per_ms, 60000);
    assert_int_equal(op->feedback.headers[1].limit, 9);
    assert_int_equal(op->feedback.headers[1].remaining, 8);
    answer(OP_SETTLED, "settled");
    op = submitted("REPORT " ID " output_tokens 3 STATUS 429");
    assert_int_equal(op->feedback.pause_ms, 1000);
    assert_false(op->feedback.failed);
    answer(OP_SETTLED, "settled");
    op = submitted("REPORT " ID " output_tokens 3 STATUS 503");
    assert_int_equal(op->feedback.pause_ms, 0);
    answer(OP_SETTLED, "settled");
    op = submitted("REPORT " ID " output_tokens 3 STATUS 200 RETRY_AFTER 5");
    assert_int_equal(op->feedback.pause_ms, 0);
    assert_true(op->learned);
    answer(OP_SETTLED, "settled");
    op = submitted("CANCEL " ID " FAILED");
    assert_true(op->feedback.failed);
    answer(OP_SETTLED, "settled");
    submitted("CANCEL " ID);
    answer(OP_DUPLICATE, "$9\r\nduplicate\r\n");
    submitted("CANCEL " ID);
    answer(OP_NOSUCH, "-NOSUCH ");
    submitted("CANCEL order-7");
    answer(OP_NOPOOL, "-NOPOOL ");
    /* Its tenant has left the configuration: only the pool's bucket remains. */
    op = submitted("REPORT r1.abc.0123456789abcdef.0.gone@openai/gpt-4o");
    assert_int_equal(op->policy.n, 1);
    answer(OP_REFUSED, "-UNAVAILABLE the store refused: OOM it??is full\r\n");
    n_submitted = 0;
    expect("REPORT r1.abc.0123456789abcdef.0.acme@nopool", "-NOPOOL ");
    expect("REPORT " ID " concurrent 1", "concurrent cannot be given here");
    expect("REPORT " ID " STATUS 600", "STATUS needs a whole number from 100 to 599");
    expect("REPORT \"a b\"", "printable ASCII without spaces");
    expect("CANCEL a b", "'b' is neither an option nor a unit");
    expect("CANCEL a FAILED FAILED", "FAILED is given twice");
    expect("REPORT " ID " EXHAUSTED", "EXHAUSTED needs a value after it");
    expect("REPORT " ID " EXHAUSTED 'no money'", "printable ASCII without space");
    expect("REPORT " ID " REMAINING tokens", "REMAINING needs a unit");
    expect("REPORT " ID " REMAINING concurrent 1", "REMAINING needs a unit");
    expect("REPORT " ID " LIMIT 5", "'LIMIT' is neither an option nor a unit");
    expect("REPORT " ID " REMAINING tokens 5 PER", "PER of REMAINING needs one whole number");
    expect("REPORT " ID " REMAINING tokens 5 LIMIT 6 LIMIT 6", "LIMIT of REMAINING needs one");
    assert_int_equal(n_submitted, 0);
}

static void test_renew(void **state)
{
    (void)state;
    const struct op *op = submitted("RENEW " ID " TTL 700 ID 00112233aabbCCDD");
    assert_true(op->has_token);
    assert_memory_equal(op->token, "\x00\x11\x22\x33\xaa\xbb\xcc\xdd", 8);
    assert_int_equal(op->ttl_ms, 700);
    assert_int_equal(op->amounts[RATION_UNIT_REQUESTS], 0);
    assert_int_equal(op->amounts[RATION_UNIT_CONCURRENT], 0);
    answer(OP_GRANTED, "granted");
    submitted("RENEW " ID " tokens 3");
    answer(OP_ENDED, "-NOSUCH the reservation has ended");
    submitted("RENEW " ID);
    answer(OP_UNAVAILABLE, "-UNAVAILABLE the store is not reachable (it is a fake)");
    expect("RENEW " ID " ID 00112233aabbCCDg", "token of 16 hexadecimal digits");
}

static void test_peek(void **state)
{
    (void)state;
    submitted("PEEK " POOL_TENANT);
    answer(OP_PEEKED,
           "*2\r\n*12\r\n$5\r\nscope\r\n$18\r\npool:openai/gpt-4o\r\n$4\r\nunit\r\n$6\r\ntokens\r\n"
           "$3\r\nper\r\n$6\r\nminute\r\n$5\r\nlimit\r\n:30000\r\n$9\r\nremaining\r\n:123\r\n"
           "$8\r\nreset_ms\r\n:456\r\n*12\r\n$5\r\nscope\r\n$11\r\ntenant:acme\r\n");
}

static void test_resp3(void **state)
{
    (void)state;
    expect("HELLO 3", "%7\r\n$6\r\nserver\r\n$6\r\nration\r\n");
    expect("ACQUIRE " POOL_TENANT, "%5\r\n$6\r\nstatus\r\n");
    expect("CLIENT GETNAME", "_\r\n");
    expect("PEEK " POOL_TENANT, "*2\r\n%6\r\n");
    expect("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n");
    expect("HELLO 4", "-NOPROTO ");
    expect("RESET", "+RESET");
    expect("ACQUIRE " POOL_TENANT, "*10\r\n");
}

static void test_small_ones(void **state)
{
    (void)state;
    expect("PING", "+PONG\r\n");
    expect("ping hi", "$2\r\nhi\r\n");
    expect("SELECT 0", "+OK");
    expect("SELECT 1", "-ERR DB index");
    expect("CLIENT SETNAME me", "+OK");
    expect("CLIENT GETNAME", "$2\r\nme\r\n");
    expect("CLIENT SETNAME \"a b\"", "-ERR usage: CLIENT");
    expect("CLIENT SETINFO LIB-NAME x", "+OK");
    expect("CLIENT KILL", "-ERR usage: CLIENT");
    expect("INFO", "granted:");
    expect("INFO clients", "connected_clients:1");
    expect("CONFIG GET *", "max_connections");
    expect("CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    expect("CONFIG GET *e*e*", "listen.resp");
    expect("CONFIG SET ttl_ms 5", "-ERR usage: CONFIG GET");
    expect("TENANT GET acme", "$4\r\ntier\r\n$3\r\npro\r\n");
    expect("TENANT GET who", "-NOTENANT");
    expect("TENANT LIST 0", "*2\r\n$1\r\n0\r\n*2\r\n");
    expect("TENANT LIST x", "a cursor is 0");
    expect("TENANT SET acme TIER pro", "-ERR TENANT SET is not supported by this version");
    expect("COMMAND COUNT", ":19\r\n");
    expect("COMMAND INFO acquire nope", "*2\r\n*6\r\n$7\r\nacquire\r\n:-3\r\n");
    expect("COMMAND DOCS", "Asks whether a call may be made now");
    expect("AUTH x", "no credential is configured");
    expect("ACQIRE x y", "unknown command 'ACQIRE', did you mean ACQUIRE?");
    expect("repotr x", "did you mean REPORT?");
    expect("FLUSHALL", "COMMAND LIST");
    expect("\"a\\r\\nb\"", "unknown command 'a\\x0d\\x0ab'");
    expect("QUIT", "+OK\r\n");
}

static void expect_of(int fd, const char *line, const char *part)
{
    const char *reply = ask(&fixture, fd, line);
    if (strstr(reply, part) == NULL)
        fail_msg("%s\nanswered: %s\nwithout: %s", line, reply, part);
}

static void test_credentials(void **state)
{
    static const char with_secrets[] =
        "{\"listen\": {\"resp\": \"127.0.0.1:0\"},"
        " \"auth\": {\"operator\": {\"env\": \"TEST_OPERATOR_SECRET\"}},"
        " \"pools\": {\"p\": {\"limits\": [{\"unit\": \"usd\", \"amount\": 5, \"per\": "
        "\"day\"}]}}, \"tiers\": {\"pro\": {\"limits\": []}},"
        " \"tenants\": {\"acme\": {\"tier\": \"pro\", \"secret\": {\"env\": \"TEST_ACME_SECRET\"}},"
        "               \"globex\": {\"tier\": \"pro\"}}}";
    (void)state;
    setenv("TEST_OPERATOR_SECRET", "open sesame", 1);
    setenv("TEST_ACME_SECRET", "coyote", 1);
    fixture_start(&fixture, with_secrets);
    log_set_level(LOG_LEVEL_ERROR + 1); /* the failures are intended */
    int fd = client_open(&fixture);

    expect_of(fd, "PING", "-NOAUTH ");
    expect_of(fd, "NOPE", "-NOAUTH ");
    expect_of(fd, "HELLO 2", "server");
    static const char *const wrong[] = {"AUTH x",
                                        "AUTH \"\"",
                                        "AUTH \"open sesam\"",
                                        "AUTH coyote",
                                        "AUTH acme coyot",
                                        "AUTH acme coyotecoyote",
                                        "AUTH globex \"\"",
                                        "AUTH nobody x",
                                        "AUTH globex \"no secret has this value\"",
                                        "HELLO 3 AUTH acme x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_of(fd, wrong[i], "-NOPERM invalid name or secret");
        expect_of(fd, "PING", "-NOAUTH ");
    }

    expect_of(fd, "AUTH acme coyote", "+OK");
    expect_of(fd, "ACQUIRE p acme", "granted");
    expect_of(fd, "TENANT GET acme", "pro");
    static const char *const denied[] = {"ACQUIRE p globex",
                                         "PEEK p globex",
                                         "TENANT GET globex",
                                         "TENANT LIST 0",
                                         "AUDIT",
                                         "CONFIG GET save",
                                         "REPORT r1.a.0123456789abcdef.0.globex@p",
                                         "RENEW r1.a.0123456789abcdef.0.globex@p",
                                         "CANCEL r1.a.0123456789abcdef.0.globex@p"};
    n_submitted = 0;
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++)
        expect_of(fd, denied[i], "-NOPERM ");
    assert_int_equal(n_submitted, 0);
    expect_of(fd, "REPORT order-7 TENANT globex", "-NOPERM ");
    expect_of(fd, "CANCEL r1.a.0123456789abcdef.0.acme@p TENANT globex", "-ERR ");
    assert_int_equal(n_submitted, 0);
    /* A free-form id is the connection's tenant's, even after the connection has gone on. */
    client_send(&fixture, fd, "CANCEL order-7\r\nRESET\r\n", 23);
    uint64_t deadline = clock_ms() + 2000;
    while (n_waiting == 0 && clock_ms() < deadline)
        turn(&fixture);
    assert_int_equal(n_waiting, 1);
    assert_int_equal(waiting[0]->id.tenant_bytes, 4);
    assert_memory_equal(waiting[0]->id.tenant, "acme", 4);
    fixture_answer(0, OP_NOSUCH);
    expect_of(fd, "PING", "-NOAUTH ");

    expect_of(fd, "HELLO 3 AUTH default \"open sesame\" SETNAME me", "%7");
    expect_of(fd, "CLIENT GETNAME", "me");
    expect_of(fd, "TENANT LIST 0", "globex");
    close(fd);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_acquire, start, stop),
        cmocka_unit_test_setup_teardown(test_acquire_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_report, start, stop),
        cmocka_unit_test_setup_teardown(test_what_a_report_teaches, start, stop),
        cmocka_unit_test_setup_teardown(test_renew, start, stop),
        cmocka_unit_test_setup_teardown(test_peek, start, stop),
        cmocka_unit_test_setup_teardown(test_resp3, start, stop),
        cmocka_unit_test_setup_teardown(test_small_ones, start, stop),
        cmocka_unit_test(test_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
