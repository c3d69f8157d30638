/* Server-sent events: each rule of the format, in pieces of every size, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "call/sse.h"

/* Events written down as "name=data;", with LF as '/'. */
struct log {
    char text[1024];
    size_t events;
    int answer; /* what the callback gives */
};

static int on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct log *log = arg;
    size_t used = strlen(log->text);
    assert_int_equal(data[n], '\0');
    snprintf(log->text + used, sizeof(log->text) - used, "%s=%.*s;", name, n < 100 ? (int)n : 100,
             data);
    for (char *s = log->text; *s; s++)
        if (*s == '\n')
            *s = '/';
    log->events++;
    return log->answer;
}

/* Each piece is memory of its own, so that reading past it shows. */
static int feed_piece(struct sse *sse, const char *bytes, size_t n)
{
    char *piece = malloc(n ? n : 1);
    assert_non_null(piece);
    memcpy(piece, bytes, n);
    int err = sse_feed(sse, piece, n);
    free(piece);
    return err;
}

static void expect_events(const char *stream, const char *wanted)
{
    size_t n = strlen(stream);
    for (size_t piece = 1; piece <= n; piece++) {
        struct log log = {0};
        struct sse sse;
        sse_init(&sse, on_event, &log);
        for (size_t from = 0; from < n; from += piece)
            assert_int_equal(feed_piece(&sse, stream + from, n - from < piece ? n - from : piece),
                             0);
        if (strcmp(log.text, wanted) != 0)
            fail_msg("in pieces of %zu, %s gave %s", piece, stream, log.text);
        sse_close(&sse);
    }
}

static void reads_events(void **state)
{
    (void)state;
    expect_events("data: {\"a\":1}\n\n", "={\"a\":1};");
    expect_events("event: message_start\ndata: 1\n\nevent:ping\ndata:2\n\ndata: 3\n\n",
                  "message_start=1;ping=2;=3;");
    expect_events("data: [DONE]\n\n", "=[DONE];");
    expect_events("data: one\ndata: two\ndata\ndata:\n\n", "=one/two//;");
    expect_events("data\n\n", "=;");
    expect_events("data:  two blanks\n\n", "= two blanks;");
    expect_events("data: a:b: c\n\n", "=a:b: c;");
}

static void takes_each_end_of_line(void **state)
{
    (void)state;
    expect_events("data: 1\r\n\r\ndata: 2\r\n\r\n", "=1;=2;");
    expect_events("data: 1\r\rdata: 2\r\r", "=1;=2;");
    expect_events("data: 1\n\r\ndata: 2\r\n\n", "=1;=2;");
    expect_events("data: 1\r\ndata: 2\rdata: 3\n\r", "=1/2/3;");
    expect_events("\n\n\r\n\rdata: 1\n\n", "=1;");
}

static void skips_what_is_no_event(void **state)
{
    (void)state;
    expect_events(": keep-alive\n\n:\n\ndata: 1\n:in between\n\n", "=1;");
    expect_events("event: nothing\n\ndata: 1\n\n",
                  "=1;"); /* no data, no event, and no name for the next */
    expect_events("Data: 1\ndatas: 2\nfoo\nfoo: bar\n data: 3\n\ndata: 4\n\n", "=4;");
    expect_events("data: cut short\n", "");
    expect_events("data: 1\n\ndata: cut", "=1;");
    expect_events("", "");
}

static void skips_a_byte_order_mark(void **state)
{
    (void)state;
    expect_events("\xef\xbb\xbf"
                  "data: 1\n\n",
                  "=1;");
    expect_events("\xef\xbb\xbf\n\ndata: 1\n\n", "=1;");
    expect_events("\xef\xbb"
                  "data: 1\ndata: 2\n\n",
                  "=2;");
    expect_events("\xef\xbb\xbf\xef\xbb\xbf"
                  "data: 1\ndata: 2\n\n",
                  "=2;"); /* once only */
    expect_events("data: \xef\xbb\xbf\n\n", "=\xef\xbb\xbf;");
}

/* id and retry are for clients that connect again. */
static void skips_other_fields(void **state)
{
    (void)state;
    expect_events("id: 7\nretry: 1500\nretry: soon\ndata: x\n\nid\nother: 1\ndata: y\n\n",
                  "=x;=y;");
}

static void cuts_long_names(void **state)
{
    (void)state;
    char stream[512];
    char name[300];
    struct log log = {0};
    struct sse sse;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    int n = snprintf(stream, sizeof(stream), "event: %s\ndata: 1\n\n", name);
    sse_init(&sse, on_event, &log);
    assert_int_equal(sse_feed(&sse, stream, (size_t)n), 0);
    assert_int_equal(log.events, 1);
    assert_int_equal(strcspn(log.text, "="), SSE_MAX_NAME_BYTES - 1);
    sse_close(&sse);
}

static void keeps_its_bounds(void **state)
{
    (void)state;
    const size_t whole = SSE_MAX_EVENT_BYTES - 5; /* with "data:", as much as a line can hold */
    char *filler = malloc(whole);
    assert_non_null(filler);
    memset(filler, 'x', whole);
    struct log log = {0};
    struct sse sse;
    sse_init(&sse, on_event, &log);
    assert_int_equal(sse_feed(&sse, "data:", 5), 0);
    assert_int_equal(sse_feed(&sse, filler, whole), 0);
    assert_int_equal(sse_feed(&sse, "\n\n", 2), 0);
    assert_int_equal(log.events, 1);
    /* a line that does not end */
    assert_int_equal(sse_feed(&sse, "data:", 5), 0);
    assert_int_equal(sse_feed(&sse, filler, whole), 0);
    assert_int_equal(sse_feed(&sse, "x", 1), RATION_EPROTOCOL);
    assert_int_equal(sse_feed(&sse, "\n\n", 2), RATION_EPROTOCOL); /* it stays so */
    assert_int_equal(log.events, 1);
    sse_close(&sse);
    sse_close(&sse);
    /* many lines of one event */
    sse_init(&sse, on_event, &log);
    int err = 0;
    size_t lines = 0;
    for (; err == 0 && lines < 100; lines++) {
        err = sse_feed(&sse, "data:", 5);
        err = err ? err : sse_feed(&sse, filler, (size_t)64 * 65536);
        err = err ? err : sse_feed(&sse, "\n", 1);
    }
    assert_int_equal(err, RATION_EPROTOCOL);
    assert_int_equal(lines, 16);
    sse_close(&sse);
    free(filler);
}

static void stops_when_told(void **state)
{
    (void)state;
    struct log log = {.answer = RATION_EDENIED};
    struct sse sse;
    sse_init(&sse, on_event, &log);
    assert_int_equal(sse_feed(&sse, "data: 1\n\ndata: 2\n\n", 18), RATION_EDENIED);
    assert_int_equal(sse_feed(&sse, "data: 3\n\n", 9), RATION_EDENIED);
    assert_int_equal(log.events, 1);
    sse_close(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_events),           cmocka_unit_test(takes_each_end_of_line),
        cmocka_unit_test(skips_what_is_no_event), cmocka_unit_test(skips_a_byte_order_mark),
        cmocka_unit_test(skips_other_fields),     cmocka_unit_test(cuts_long_names),
        cmocka_unit_test(keeps_its_bounds),       cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
