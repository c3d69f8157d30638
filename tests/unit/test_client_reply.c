/* Replies: decoding in whatever pieces they come, named fields, and peers that are hostile or
 * another program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "wire/command.h"
#include "wire/reply.h"

/* Feeds `text` in pieces of `step` bytes. Gives the error, or 0 and the reply (NULL:
 * incomplete). */
static int decode(const char *text, size_t len, size_t step, struct reply **out)
{
    struct reply_reader *reader = reply_reader_new();
    assert_non_null(reader);
    int err = 0;
    *out = NULL;
    for (size_t i = 0; i < len && err == 0 && !*out; i += step) {
        err = reply_reader_feed(reader, text + i, len - i < step ? len - i : step);
        if (err == 0)
            err = reply_reader_next(reader, out);
    }
    reply_reader_free(reader);
    return err;
}

static struct reply *decode_whole(const char *text, size_t step)
{
    struct reply *reply = NULL;
    assert_int_equal(decode(text, strlen(text), step, &reply), 0);
    assert_non_null(reply);
    return reply;
}

static const char grant[] =
    "*12\r\n$6\r\nstatus\r\n$7\r\ngranted\r\n$2\r\nid\r\n$3\r\nabc\r\n$6\r\nfuture\r\n*2\r\n:1\r\n$"
    "-1\r\n"
    "$14\r\nretry_after_ms\r\n:-1\r\n$4\r\nmode\r\n+exact\r\n$6\r\nstatus\r\n$5\r\nother\r\n";

static void decodes_in_any_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof(grant); step++) {
        char text[32];
        int64_t n = 0;
        struct reply *reply = decode_whole(grant, step);
        assert_int_equal(reply_field_string(reply, "status", text, sizeof(text)), 0);
        assert_string_equal(text, "granted"); /* the first of a name counts */
        assert_int_equal(reply_field_string(reply, "mode", text, sizeof(text)), 0);
        assert_string_equal(text, "exact");
        assert_int_equal(reply_field_integer(reply, "retry_after_ms", &n), 0);
        assert_int_equal(n, -1);
        reply_free(reply);
    }
}

static void checks_types_and_bounds(void **state)
{
    (void)state;
    char text[4] = "old";
    int64_t n = 42;
    struct reply *reply = decode_whole("*9\r\n$1\r\na\r\n:5\r\n$1\r\nb\r\n$4\r\nlong\r\n$"
                                       "1\r\nc\r\n$3\r\nx\x01y\r\n:7\r\n$1\r\nv\r\n$4\r\nlast\r\n",
                                       64);
    assert_int_equal(reply_field_string(reply, "a", text, sizeof(text)),
                     RATION_EPROTOCOL);                                      /* a number */
    assert_int_equal(reply_field_integer(reply, "b", &n), RATION_EPROTOCOL); /* a text */
    assert_int_equal(reply_field_string(reply, "b", text, sizeof(text)),
                     RATION_EPROTOCOL); /* too long */
    assert_int_equal(reply_field_string(reply, "c", text, sizeof(text)),
                     RATION_EPROTOCOL);                                         /* not printable */
    assert_int_equal(reply_field_integer(reply, "none", &n), RATION_EPROTOCOL); /* missing */
    assert_int_equal(reply_field_integer(reply, "last", &n),
                     RATION_EPROTOCOL); /* without a value */
    assert_string_equal(text, "old");
    assert_int_equal(n, 42);
    reply_free(reply);

    reply = decode_whole(":1\r\n", 64);
    assert_null(reply_field(reply, "a"));
    reply_free(reply);
    assert_null(reply_field(NULL, "a"));
}

static void refuses_what_is_not_a_reply(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "*1073741824\r\n",
        "*2147483647\r\n",
        "*9223372036854775807\r\n",
        "*262145\r\n",
        "*-2\r\n",
        "$-2\r\n",
        ":12a\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct reply *reply = NULL;
        int err = decode(wrong[i], strlen(wrong[i]), 7, &reply);
        if (err != RATION_EPROTOCOL)
            fail_msg("'%s' gave %d", wrong[i], err);
        assert_null(reply);
    }
}

static void bounds_nested_items_together(void **state)
{
    (void)state;
    struct reply *reply = NULL;
    char text[256] = "";
    for (int i = 0; i < 5; i++)
        strcat(text, "*200000\r\n");
    assert_int_equal(decode(text, strlen(text), 256, &reply), RATION_EPROTOCOL);
}

static void bounds_the_bytes(void **state)
{
    (void)state;
    struct reply_reader *reader = reply_reader_new();
    struct reply *reply = NULL;
    static char block[65536];
    int err = reply_reader_feed(reader, "$100000000\r\n", 12);
    memset(block, 'x', sizeof(block));
    size_t fed = 0;
    while (err == 0 && fed < 2 * (size_t)REPLY_MAX_BYTES) {
        err = reply_reader_feed(reader, block, sizeof(block));
        if (err == 0)
            err = reply_reader_next(reader, &reply);
        fed += sizeof(block);
    }
    assert_int_equal(err, RATION_EPROTOCOL);
    assert_true(fed <= REPLY_MAX_BYTES + sizeof(block));
    reply_reader_free(reader);
}

static void sees_what_nobody_asked_for(void **state)
{
    (void)state;
    struct reply_reader *reader = reply_reader_new();
    struct reply *reply = NULL;
    assert_int_equal(reply_reader_feed(reader, ":1\r\n:2", 6), 0);
    assert_int_equal(reply_reader_next(reader, &reply), 0);
    assert_int_equal(reply->integer, 1);
    assert_true(reply_reader_has_rest(reader));
    reply_free(reply);
    reply_reader_free(reader);

    reader = reply_reader_new();
    assert_int_equal(reply_reader_feed(reader, ":1\r\n", 4), 0);
    assert_int_equal(reply_reader_next(reader, &reply), 0);
    assert_false(reply_reader_has_rest(reader));
    reply_free(reply);
    reply_reader_free(reader);
}

static void makes_text_fit_to_print(void **state)
{
    (void)state;
    char text[12];
    struct reply *reply = decode_whole("-ERR \x1b[31m is long enough to be cut\r\n", 64);
    assert_int_equal(reply->type, REPLY_ERROR);
    reply_text(reply, text, sizeof(text));
    assert_string_equal(text, "ERR ?[31m i");
    reply_free(reply);
}

/* ---- The other direction ---- */

static void writes_commands(void **state)
{
    (void)state;
    static struct command cmd;
    const struct ration_amounts a = {
        .requests = RATION_ZERO, .tokens = 5, .usd_millionths = RATION_MAX_COST, .concurrent = 2};
    static const char expected[] =
        "*9\r\n$1\r\nX\r\n$8\r\nrequests\r\n$1\r\n0\r\n$6\r\ntokens\r\n$1\r\n5\r\n"
        "$3\r\nusd\r\n$13\r\n1000000000000\r\n$10\r\nconcurrent\r\n$1\r\n2\r\n";
    command_init(&cmd, "X");
    assert_int_equal(command_amounts(&cmd, &a, true), 0);
    assert_int_equal(command_finish(&cmd), 0);
    assert_int_equal(cmd.len - cmd.start, sizeof(expected) - 1);
    assert_memory_equal(cmd.buf + cmd.start, expected, sizeof(expected) - 1);

    command_init(&cmd, "X");
    const struct ration_amounts wrong[] = {
        {.tokens = -2}, {.tokens = RATION_MAX_COST + 1}, {.requests = INT64_MIN}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(command_amounts(&cmd, &wrong[i], true), RATION_EINVALID);
}

static void keeps_commands_in_bounds(void **state)
{
    (void)state;
    static struct command cmd;
    static char text[RATION_MAX_REQUEST_BYTES + 1];
    memset(text, 'x', sizeof(text) - 1);
    command_init(&cmd, "X");
    command_arg(&cmd, text);
    command_arg(&cmd, "y");
    assert_int_equal(command_finish(&cmd), RATION_EINVALID);

    command_init(&cmd, "X");
    for (int i = 1; i < RATION_MAX_ARGS; i++)
        command_arg(&cmd, "y");
    assert_int_equal(command_finish(&cmd), 0);
    command_arg(&cmd, "y");
    assert_int_equal(command_finish(&cmd), RATION_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_in_any_pieces),
        cmocka_unit_test(checks_types_and_bounds),
        cmocka_unit_test(refuses_what_is_not_a_reply),
        cmocka_unit_test(bounds_nested_items_together),
        cmocka_unit_test(bounds_the_bytes),
        cmocka_unit_test(sees_what_nobody_asked_for),
        cmocka_unit_test(makes_text_fit_to_print),
        cmocka_unit_test(writes_commands),
        cmocka_unit_test(keeps_commands_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
