/*
 * The forms of streams beside server-sent events: JSON values one after another, and AWS' binary
 * messages. The two messages below are as a decoder of AWS' own, botocore.eventstream, reads them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "call/aws_events.h"
#include "profile/jvalues.h"

static const unsigned char delta[] = {
    0x00, 0x00, 0x00, 0x94, 0x00, 0x00, 0x00, 0x57, 0xb4, 0xab, 0x9a, 0xee, 0x0b, 0x3a, 0x65,
    0x76, 0x65, 0x6e, 0x74, 0x2d, 0x74, 0x79, 0x70, 0x65, 0x07, 0x00, 0x11, 0x63, 0x6f, 0x6e,
    0x74, 0x65, 0x6e, 0x74, 0x42, 0x6c, 0x6f, 0x63, 0x6b, 0x44, 0x65, 0x6c, 0x74, 0x61, 0x0d,
    0x3a, 0x63, 0x6f, 0x6e, 0x74, 0x65, 0x6e, 0x74, 0x2d, 0x74, 0x79, 0x70, 0x65, 0x07, 0x00,
    0x10, 0x61, 0x70, 0x70, 0x6c, 0x69, 0x63, 0x61, 0x74, 0x69, 0x6f, 0x6e, 0x2f, 0x6a, 0x73,
    0x6f, 0x6e, 0x0d, 0x3a, 0x6d, 0x65, 0x73, 0x73, 0x61, 0x67, 0x65, 0x2d, 0x74, 0x79, 0x70,
    0x65, 0x07, 0x00, 0x05, 0x65, 0x76, 0x65, 0x6e, 0x74, 0x7b, 0x22, 0x63, 0x6f, 0x6e, 0x74,
    0x65, 0x6e, 0x74, 0x42, 0x6c, 0x6f, 0x63, 0x6b, 0x49, 0x6e, 0x64, 0x65, 0x78, 0x22, 0x3a,
    0x30, 0x2c, 0x22, 0x64, 0x65, 0x6c, 0x74, 0x61, 0x22, 0x3a, 0x7b, 0x22, 0x74, 0x65, 0x78,
    0x74, 0x22, 0x3a, 0x22, 0x48, 0x69, 0x22, 0x7d, 0x7d, 0x1f, 0x94, 0x46, 0x57};
static const unsigned char exception[] = {
    0x00, 0x00, 0x00, 0x88, 0x00, 0x00, 0x00, 0x61, 0xde, 0x01, 0x75, 0xf4, 0x0f, 0x3a, 0x65, 0x78,
    0x63, 0x65, 0x70, 0x74, 0x69, 0x6f, 0x6e, 0x2d, 0x74, 0x79, 0x70, 0x65, 0x07, 0x00, 0x13, 0x74,
    0x68, 0x72, 0x6f, 0x74, 0x74, 0x6c, 0x69, 0x6e, 0x67, 0x45, 0x78, 0x63, 0x65, 0x70, 0x74, 0x69,
    0x6f, 0x6e, 0x0d, 0x3a, 0x63, 0x6f, 0x6e, 0x74, 0x65, 0x6e, 0x74, 0x2d, 0x74, 0x79, 0x70, 0x65,
    0x07, 0x00, 0x10, 0x61, 0x70, 0x70, 0x6c, 0x69, 0x63, 0x61, 0x74, 0x69, 0x6f, 0x6e, 0x2f, 0x6a,
    0x73, 0x6f, 0x6e, 0x0d, 0x3a, 0x6d, 0x65, 0x73, 0x73, 0x61, 0x67, 0x65, 0x2d, 0x74, 0x79, 0x70,
    0x65, 0x07, 0x00, 0x09, 0x65, 0x78, 0x63, 0x65, 0x70, 0x74, 0x69, 0x6f, 0x6e, 0x7b, 0x22, 0x6d,
    0x65, 0x73, 0x73, 0x61, 0x67, 0x65, 0x22, 0x3a, 0x22, 0x73, 0x6c, 0x6f, 0x77, 0x20, 0x64, 0x6f,
    0x77, 0x6e, 0x22, 0x7d, 0x83, 0x2e, 0xe0, 0x72};

struct log {
    char text[512];
    int answer;
};

static int on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct log *log = arg;
    assert_int_equal(strlen(data), n);
    size_t used = strlen(log->text);
    snprintf(log->text + used, sizeof(log->text) - used, "%s=%s|", name, data);
    return log->answer;
}

static int on_value(void *arg, const char *data, size_t n)
{
    return on_event(arg, "", data, n);
}

/* In pieces of a copy each, so that reading past one is seen. */
static int feed_aws(struct log *log, const unsigned char *bytes, size_t n, size_t piece)
{
    struct aws_events events;
    int err = 0;
    aws_events_init(&events, on_event, log);
    for (size_t at = 0; at < n && err == 0; at += piece) {
        size_t more = n - at < piece ? n - at : piece;
        char *copy = malloc(more);
        assert_non_null(copy);
        memcpy(copy, bytes + at, more);
        err = aws_events_feed(&events, copy, more);
        free(copy);
    }
    aws_events_close(&events);
    aws_events_close(&events);
    return err;
}

static void reads_messages_in_any_pieces(void **state)
{
    (void)state;
    unsigned char both[sizeof(delta) + sizeof(exception)];
    memcpy(both, delta, sizeof(delta));
    memcpy(both + sizeof(delta), exception, sizeof(exception));
    for (size_t piece = 1; piece <= sizeof(both); piece++) {
        struct log log = {.answer = 0};
        assert_int_equal(feed_aws(&log, both, sizeof(both), piece), 0);
        assert_string_equal(
            log.text, "contentBlockDelta={\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"}}|"
                      "throttlingException={\"message\":\"slow down\"}|");
    }
}

/* Each single bit that is wrong is found by a checksum, and nothing of the message is given. */
static void believes_no_message_with_a_wrong_bit(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < sizeof(delta) * 8; bit++) {
        unsigned char wrong[sizeof(delta)];
        struct log log = {.answer = 0};
        memcpy(wrong, delta, sizeof(delta));
        wrong[bit / 8] ^= (unsigned char)(1u << bit % 8);
        int err = feed_aws(&log, wrong, sizeof(wrong), sizeof(wrong));
        assert_string_equal(log.text, "");
        assert_int_equal(err, RATION_EPROTOCOL);
    }
}

static void stops_when_told(void **state)
{
    (void)state;
    struct log log = {.answer = RATION_EABORTED};
    assert_int_equal(feed_aws(&log, delta, sizeof(delta), 7), RATION_EABORTED);
    struct jvalues values;
    jvalues_init(&values, on_value, &log);
    assert_int_equal(jvalues_feed(&values, "{}{}", 4), RATION_EABORTED);
    assert_int_equal(jvalues_feed(&values, "{}", 2), RATION_EABORTED);
    jvalues_close(&values);
}

static void reads_values_in_any_pieces(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1}\r\n {\n \"b\": \"}\\\"{\\\\\"\n}[{}]{\"never\":";
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        struct log log = {.answer = 0};
        struct jvalues values;
        jvalues_init(&values, on_value, &log);
        for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
            size_t left = sizeof(text) - 1 - at;
            assert_int_equal(jvalues_feed(&values, text + at, left < piece ? left : piece), 0);
        }
        assert_string_equal(log.text, "={\"a\":1}|={\n \"b\": \"}\\\"{\\\\\"\n}|=[{}]|");
        jvalues_close(&values);
        jvalues_close(&values);
    }
}

static void refuses_what_is_no_value(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x", "data: {}\n", "{}x", "}", "]", "7", "\"a\""};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct log log = {.answer = 0};
        struct jvalues values;
        jvalues_init(&values, on_value, &log);
        assert_int_equal(jvalues_feed(&values, wrong[i], strlen(wrong[i])), RATION_EPROTOCOL);
        jvalues_close(&values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_messages_in_any_pieces),
        cmocka_unit_test(believes_no_message_with_a_wrong_bit),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(reads_values_in_any_pieces),
        cmocka_unit_test(refuses_what_is_no_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
