/* The request parser, fed every split of its input, and the reply writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/resp.h"

#define LOG_BYTES 4096

/* What parsing some bytes produced: "[ACQUIRE|pool|tenant]" is a request, "!text" an error, then
 * how much was used. */
struct seen {
    char log[LOG_BYTES];
    size_t n;
    enum resp_result last;
};

static void note(struct seen *seen, const char *bytes, size_t n)
{
    assert_true(seen->n + n < LOG_BYTES);
    memcpy(seen->log + seen->n, bytes, n);
    seen->n += n;
    seen->log[seen->n] = '\0';
}

static void note_request(struct seen *seen, const struct resp_parser *parser, const char *data)
{
    struct arg args[RATION_MAX_ARGS];
    size_t n = resp_args(parser, data, args);
    note(seen, "[", 1);
    for (size_t i = 0; i < n; i++) {
        note(seen, "|", i > 0);
        note(seen, args[i].p, args[i].n);
    }
    note(seen, "]", 1);
}

/*
 * A miniature connection: pieces arrive one at a time, ending at ends[i]. Before each call the
 * unparsed bytes move to new memory of exactly their size, so that the sanitizer reports a read
 * beyond them and a pointer kept from the last call.
 */
static void feed(const char *bytes, const size_t *ends, size_t n_ends, struct seen *seen)
{
    struct resp_parser parser;
    size_t from = 0;
    memset(seen, 0, sizeof *seen);
    resp_parser_reset(&parser);
    char *kept = NULL;
    size_t n_kept = 0;
    for (size_t i = 0; i < n_ends && seen->last != RESP_BROKEN; i++) {
        size_t n = n_kept + ends[i] - from;
        char *data = malloc(n + (n == 0));
        if (n_kept > 0)
            memcpy(data, kept, n_kept);
        memcpy(data + n_kept, bytes + from, ends[i] - from);
        from = ends[i];
        size_t used = 0;
        for (;;) {
            const char *error = NULL;
            size_t one = 0;
            seen->last = resp_parse(&parser, data + used, n - used, &one, &error);
            if (seen->last == RESP_MORE)
                break;
            if (seen->last != RESP_REQUEST) {
                note(seen, "!", 1);
                note(seen, error, strlen(error));
            }
            if (seen->last == RESP_BROKEN)
                break;
            if (seen->last == RESP_REQUEST)
                note_request(seen, &parser, data + used);
            resp_parser_reset(&parser);
            assert_true(one > 0 && used + one <= n);
            used += one;
        }
        free(kept);
        n_kept = n - used;
        kept = malloc(n_kept + (n_kept == 0));
        memcpy(kept, data + used, n_kept);
        free(data);
    }
    free(kept);
}

static void feed_whole(const char *bytes, size_t n, struct seen *seen)
{
    feed(bytes, &n, 1, seen);
}

static void expect(const char *bytes, const char *log)
{
    struct seen seen;
    feed_whole(bytes, strlen(bytes), &seen);
    assert_string_equal(seen.log, log);
}

static const char pipeline[] = "*1\r\n$4\r\nPING\r\n"
                               "PING \"a b\" 'c\\'d'\r\n"
                               "*3\r\n$7\r\nACQUIRE\r\n$13\r\nopenai/gpt-4o\r\n$4\r\nacme\r\n"
                               "\r\n"
                               "*0\r\n"
                               "*-1\r\n"
                               "echo \"\\x41\\n\\\"\"\n"
                               "*2\r\n$4\r\nECHO\r\n$12\r\n\r\n$3\r\nbin\0\r\n\r\n"
                               "*2\r\n$4\r\necho\r\n$0\r\n\r\n"
                               "bad \"quote\n"
                               "QUIT\r\n";

static const char pipeline_log[] =
    "[PING][PING|a b|c'd][ACQUIRE|openai/gpt-4o|acme][][][][echo|A\n\"][ECHO|\r\n$3\r\nbin";

static void test_pipeline(void **state)
{
    struct seen seen;
    (void)state;
    feed_whole(pipeline, sizeof pipeline - 1, &seen);
    assert_memory_equal(seen.log, pipeline_log, sizeof pipeline_log - 1);
    assert_non_null(memmem(seen.log, seen.n, "[echo|]!ERR unbalanced", 22));
    assert_memory_equal(seen.log + seen.n - 6, "[QUIT]", 6);
    assert_int_equal(seen.last, RESP_MORE);
}

/* However the bytes are split, the requests are the same. */
static void test_every_split(void **state)
{
    struct seen whole, split;
    size_t n = sizeof pipeline - 1;
    (void)state;
    feed_whole(pipeline, n, &whole);
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = i; j <= n; j++) {
            size_t ends[] = {i, j, n};
            feed(pipeline, ends, 3, &split);
            assert_int_equal(split.n, whole.n);
            assert_memory_equal(split.log, whole.log, whole.n);
        }
    }
    size_t *ends = malloc(n * sizeof *ends);
    for (size_t i = 0; i < n; i++)
        ends[i] = i + 1;
    feed(pipeline, ends, n, &split);
    assert_memory_equal(split.log, whole.log, whole.n);
    free(ends);
}

static void test_rubbish(void **state)
{
    static const char *const rubbish[] = {
        "*x\r\n",
        "*1\n$4\r\n",
        "*1\r\r",
        "*\r\n",
        "*--1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$\r\n",
        "*1\r\n:5\r\n",
        "*1\r\n+OK\r\n",
        "*1\r\n$4\r\nPINGxx",
        "*1\r\n$3\r\nPING\r\n",
        "*111111111111111111111111111\r\n",
        "\x16\x03\x01\x02",
        "\x7f",
        "PING\x01\r\n",
        "GET / HTTP/1.1\r\n",
        "POST /v1/acquire HTTP/1.1\r\n",
        "Host: localhost\r\n",
    };
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
        feed_whole(rubbish[i], strlen(rubbish[i]), &seen);
        if (seen.last != RESP_BROKEN)
            print_error("not refused: %s\n", rubbish[i]);
        assert_int_equal(seen.last, RESP_BROKEN);
        assert_memory_equal(seen.log, "!ERR ", 5);
        assert_null(strpbrk(seen.log, "\r\n"));
    }
    feed_whole("\0", 1, &seen);
    assert_int_equal(seen.last, RESP_BROKEN);
}

/* A request of one argument, `total` bytes long as a whole. */
static char *request_of(size_t total)
{
    char *bytes = malloc(total + 1);
    size_t body = total - strlen("*1\r\n$12345\r\n\r\n");
    int n = sprintf(bytes, "*1\r\n$%05zu\r\n", body);
    memset(bytes + n, 'a', body);
    memcpy(bytes + total - 2, "\r\n", 3);
    return bytes;
}

static void test_size_limits(void **state)
{
    struct seen seen;
    struct resp_parser parser;
    const char *error = NULL;
    size_t used = 0;
    char text[64];
    (void)state;
    char *bytes = request_of(RATION_MAX_REQUEST_BYTES);
    resp_parser_reset(&parser);
    assert_int_equal(resp_parse(&parser, bytes, RATION_MAX_REQUEST_BYTES, &used, &error),
                     RESP_REQUEST);
    assert_int_equal(used, RATION_MAX_REQUEST_BYTES);
    free(bytes);

    /* Refused because of its header, long before its bytes come. */
    snprintf(text, sizeof text, "*1\r\n$%d\r\n", RATION_MAX_REQUEST_BYTES - 13);
    feed_whole(text, strlen(text), &seen);
    assert_int_equal(seen.last, RESP_BROKEN);
    assert_non_null(strstr(seen.log, "16384"));
    expect("*1\r\n$999999999999\r\n", "!ERR request is longer than 16384 bytes");
    expect("*65\r\n", "!ERR request has more than 64 arguments");
    expect("*999999999999\r\n", "!ERR request has more than 64 arguments");
    feed_whole("*64\r\n", 5, &seen);
    assert_int_equal(seen.last, RESP_MORE);
}

static void test_inline_limits(void **state)
{
    static char line[RATION_MAX_INLINE_BYTES + 1];
    struct seen seen;
    (void)state;
    memset(line, 'a', sizeof line);
    line[RATION_MAX_INLINE_BYTES - 1] = '\n';
    struct resp_parser parser;
    const char *error = NULL;
    size_t used = 0;
    resp_parser_reset(&parser);
    assert_int_equal(resp_parse(&parser, line, sizeof line, &used, &error), RESP_REQUEST);
    line[RATION_MAX_INLINE_BYTES - 1] = 'a';
    feed_whole(line, RATION_MAX_INLINE_BYTES - 1, &seen);
    assert_int_equal(seen.last, RESP_MORE);
    feed_whole(line, RATION_MAX_INLINE_BYTES, &seen);
    assert_int_equal(seen.last, RESP_BROKEN);
    assert_non_null(strstr(seen.log, "4096"));

    for (size_t i = 0; i < 130; i++)
        line[i] = i % 2 == 0 ? 'x' : ' ';
    line[127] = '\n';
    feed_whole(line, 128, &seen);
    assert_int_equal(seen.last, RESP_MORE); /* 64 were taken, nothing is left */
    line[127] = ' ';
    line[129] = '\n';
    feed_whole(line, 130, &seen);
    assert_int_equal(seen.last, RESP_BROKEN);
    assert_non_null(strstr(seen.log, "64 arguments"));
}

static void test_inline_words(void **state)
{
    (void)state;
    expect("PING\n", "[PING]");
    expect("  PING\t x  \r\n", "[PING|x]");
    expect("a \"\" ''\n", "[a||]");
    expect("a \"b\\x41\\x4\\z\\\\\"\n", "[a|bAx4z\\]");
    expect("a 'b\\n\\''\n", "[a|b\\n']");
    expect("ab\"c d\"\n", "[abc d]");
    expect("a \"b\"c\n",
           "!ERR unbalanced quotes in the line; close each quote and put a space after it");
    expect("a 'b\nPING\n",
           "!ERR unbalanced quotes in the line; close each quote and put a space after "
           "it[PING]");
    expect("a b\\c\n", "[a|b\\c]");
    expect("\n \r\nPING\n", "[][][PING]");
}

/* A request that comes byte by byte must not cost the square of its length: each call looks at only
 * a few bytes. */
static void test_no_second_look(void **state)
{
    struct resp_parser parser;
    const char *error = NULL;
    size_t used = 0, n = 4000;
    char *bytes = malloc(n);
    (void)state;
    memset(bytes, 'a', n);
    resp_parser_reset(&parser);
    assert_int_equal(resp_parse(&parser, bytes, n - 1, &used, &error), RESP_MORE);
    memset(bytes, '\n', n - 1); /* would end the line if the parser looked there again */
    bytes[n - 1] = 'a';
    assert_int_equal(resp_parse(&parser, bytes, n, &used, &error), RESP_MORE);
    free(bytes);
}

static void expect_written(struct buf *buf, const char *bytes)
{
    assert_int_equal(buf_size(buf), strlen(bytes));
    assert_memory_equal(buf_bytes(buf), bytes, strlen(bytes));
    buf_clear(buf);
}

static void test_writer(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1000, NULL);
    resp_simple(&buf, "OK");
    expect_written(&buf, "+OK\r\n");
    resp_error(&buf, "ERR what\r\n+is\n\x7f this");
    expect_written(&buf, "-ERR what??+is?? this\r\n");
    resp_integer(&buf, 0);
    resp_integer(&buf, -1);
    resp_integer(&buf, INT64_MAX);
    resp_integer(&buf, INT64_MIN);
    expect_written(&buf, ":0\r\n:-1\r\n:9223372036854775807\r\n:-9223372036854775808\r\n");
    resp_bulk(&buf, "a\r\nb", 4);
    resp_text(&buf, "");
    expect_written(&buf, "$4\r\na\r\nb\r\n$0\r\n\r\n");
    resp_array(&buf, 3);
    resp_map(&buf, 2, 5);
    resp_map(&buf, 3, 5);
    expect_written(&buf, "*3\r\n*10\r\n%5\r\n");
    resp_null(&buf, 2);
    resp_null(&buf, 3);
    expect_written(&buf, "$-1\r\n_\r\n");
    buf_close(&buf);
}

static void test_show(void **state)
{
    char shown[RESP_SHOW_BYTES], bytes[100];
    (void)state;
    assert_string_equal(resp_show(shown, "a\r\n\0\xff z", 7), "a\\x0d\\x0a\\x00\\xff z");
    assert_string_equal(resp_show(shown, "", 0), "");
    memset(bytes, 1, sizeof bytes);
    resp_show(shown, bytes, sizeof bytes);
    assert_int_equal(strlen(shown), 64 * 4 + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipeline),       cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_rubbish),        cmocka_unit_test(test_size_limits),
        cmocka_unit_test(test_inline_limits),  cmocka_unit_test(test_inline_words),
        cmocka_unit_test(test_no_second_look), cmocka_unit_test(test_writer),
        cmocka_unit_test(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
