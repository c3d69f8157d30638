/* `ration batch`: its input, a journal cut after every byte, results as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/batch/input.h"
#include "tool/batch/journal.h"
#include "tool/batch/result.h"

#define RESULTS 4

static char folder[] = "/tmp/ration-test-batch-XXXXXX";
static char input_path[256];
static char output_path[256];
static char journal_path[256];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(input_path, sizeof(input_path), "%s/in", folder);
    snprintf(output_path, sizeof(output_path), "%s/out", folder);
    snprintf(journal_path, sizeof(journal_path), "%s/out.journal", folder);
    /* Messages about files that are damaged on purpose are of no use here. */
    return freopen("/dev/null", "w", stderr) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(input_path);
    unlink(output_path);
    unlink(journal_path);
    return rmdir(folder);
}

static void write_file(const char *path, const char *data, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path, size_t *n)
{
    struct stat st;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    char *data = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(data);
    *n = fread(data, 1, (size_t)st.st_size, file);
    assert_int_equal(*n, st.st_size);
    fclose(file);
    return data;
}

static bool all_well(void *arg, const struct batch_request *request, char *why)
{
    (void)arg;
    (void)request;
    (void)why;
    return true;
}

static bool open_text(struct batch_input *input, const char *text)
{
    write_file(input_path, text, strlen(text));
    return batch_input_open(input, input_path, true, all_well, NULL);
}

static void open_requests(struct batch_input *input)
{
    assert_true(open_text(input, "{\"custom_id\":\"a\",\"body\":{\"n\":0}}\n"
                                 "{\"custom_id\":\"b\",\"body\":{\"n\":1}}\r\n"
                                 "\n"
                                 "{\"custom_id\":\"c\",\"body\":{\"n\":2}}\n"
                                 "{\"custom_id\":\"d\",\"body\":{\"n\":3}}"));
    assert_int_equal(input->n, RESULTS);
}

/* ---- Input ---- */

static void test_input_is_an_index(void **state)
{
    (void)state;
    static const uint32_t numbers[RESULTS] = {1, 2, 4, 5};
    struct batch_input input;
    open_requests(&input);
    assert_int_equal(input.format, BATCH_OPENAI);
    for (size_t i = RESULTS; i-- > 0;) {
        struct batch_request request;
        char *line = NULL;
        assert_int_equal(input.lines[i].number, numbers[i]);
        assert_true(batch_input_read(&input, i, &request, &line));
        assert_int_equal(json_object_get_int(json_object_object_get(request.body, "n")), (int)i);
        assert_int_equal(request.custom_id[0], "abcd"[i]);
        assert_null(strchr(line, '\n'));
        json_object_put(request.root);
        free(line);
    }
    batch_input_close(&input);
}

static void test_input_has_one_form(void **state)
{
    (void)state;
    struct batch_input input;
    assert_true(open_text(&input, "{\"model\":\"m\"}\n{\"messages\":[]}\n"));
    assert_int_equal(input.format, BATCH_PLAIN);
    assert_int_equal(input.n, 2);
    batch_input_close(&input);
    assert_false(open_text(&input, "{\"model\":\"m\"}\n{\"custom_id\":\"a\",\"body\":{}}\n"));
    assert_false(
        open_text(&input, "{\"custom_id\":\"a\",\"body\":{}}\n{\"custom_id\":\"a\",\"body\":{}}"));
    assert_false(open_text(&input, "{\"a\":1}{\"b\":2}\n"));
    assert_false(open_text(&input, "{'a':1}\n"));
    assert_false(open_text(&input, "{\"a\":NaN}\n"));
    assert_false(open_text(&input, "{\"a\":1.}\n"));
    assert_false(open_text(&input, "{\"a\":\"\t\"}\n"));
    assert_false(open_text(&input, "\n \n"));
}

static void test_input_hash_follows_every_byte(void **state)
{
    (void)state;
    struct batch_input input;
    uint64_t hash = 0;
    char text[] = "{\"model\":\"m\"}\n";
    for (int c = 'a'; c <= 'z'; c++) {
        text[10] = (char)c;
        assert_true(open_text(&input, text));
        assert_int_not_equal(input.hash, hash);
        hash = input.hash;
        batch_input_close(&input);
    }
}

static void check_forms(const char *text, enum batch_format format, const char *id,
                        const char *body)
{
    struct batch_input input;
    struct batch_request request;
    assert_true(open_text(&input, text));
    assert_int_equal(input.format, format);
    assert_int_equal(input.n, 1);
    assert_true(batch_input_read(&input, 0, &request, NULL));
    if (id)
        assert_string_equal(request.custom_id, id);
    else
        assert_null(request.custom_id);
    assert_string_equal(json_object_to_json_string_ext(request.body, 0), body);
    json_object_put(request.root);
    batch_input_close(&input);
}

static void test_input_of_each_form(void **state)
{
    (void)state;
    struct batch_input input;
    check_forms("{\"custom_id\":\"a\",\"body\":{\"n\":1}}", BATCH_OPENAI, "a", "{\"n\":1}");
    check_forms("{\"custom_id\":\"a\",\"params\":{\"n\":1}}", BATCH_ANTHROPIC, "a", "{\"n\":1}");
    check_forms("{\"key\":\"a\",\"request\":{\"n\":1}}", BATCH_GEMINI, "a", "{\"n\":1}");
    check_forms("{\"key\":\"a\",\"n\":1}", BATCH_PLAIN, NULL, "{\"key\":\"a\",\"n\":1}");
    check_forms("{\"params\":{},\"n\":1}", BATCH_PLAIN, NULL, "{\"params\":{},\"n\":1}");
    check_forms("\xef\xbb\xbf{\"n\":1}", BATCH_PLAIN, NULL, "{\"n\":1}");
    static const char *const bad[] = {
        "{\"params\":{}}",
        "{\"request\":{}}",
        "{\"body\":{}}",
        "{\"custom_id\":\"\",\"params\":{}}",
        "{\"custom_id\":7,\"params\":{}}",
        "{\"key\":7,\"request\":{}}",
        "{\"custom_id\":\"a\",\"params\":[]}",
        "{\"key\":\"a\",\"request\":null}",
        "{\"custom_id\":\"a\",\"params\":{\"stream\":true}}",
        "{\"custom_id\":\"a\",\"params\":{}}\n{\"custom_id\":\"a\",\"params\":{}}",
        "{\"key\":\"a\",\"request\":{}}\n{\"key\":\"a\",\"request\":{}}",
        "{\"custom_id\":\"a\",\"params\":{}}\n{\"key\":\"b\",\"request\":{}}",
        "{\"n\":1}\n\xef\xbb\xbf{\"n\":1}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(open_text(&input, bad[i]));
}

/* ---- Journal ---- */

static void add(struct batch_journal *journal, size_t i, enum batch_class class, const char *mark)
{
    char json[64];
    struct batch_done done = {
        .index = i, .class = class, .tries = 1, .input_tokens = 10, .output_tokens = 1};
    int n = snprintf(json, sizeof(json), "{\"r\":%zu,\"mark\":\"%s\"}", i, mark);
    assert_true(batch_journal_add(journal, &done, json, (size_t)n));
}

/* How many lines after the first are whole in the first n bytes. */
static size_t whole_lines(const char *data, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += data[i] == '\n';
    return lines > 0 ? lines - 1 : 0;
}

/* Resumes from what is left of it and expects a whole output in order. */
static void go_on(const struct batch_input *input, size_t want_done)
{
    struct batch_journal journal;
    size_t n = 0;
    assert_true(batch_journal_open(&journal, output_path, input, false, true));
    assert_int_equal(journal.done, want_done);
    assert_int_equal(journal.found, want_done);
    for (size_t i = RESULTS; i-- > 0;) {
        if (journal.entries[i].bytes == 0)
            add(&journal, i, BATCH_ANSWERED, "x");
    }
    assert_true(batch_journal_sync(&journal));
    assert_int_equal(journal.done, RESULTS);
    assert_true(batch_journal_render(&journal));
    batch_journal_close(&journal, true);
    assert_int_equal(access(journal_path, F_OK), -1);
    char *out = read_file(output_path, &n);
    assert_string_equal(out, "{\"r\":0,\"mark\":\"x\"}\n{\"r\":1,\"mark\":\"x\"}\n"
                             "{\"r\":2,\"mark\":\"x\"}\n{\"r\":3,\"mark\":\"x\"}\n");
    free(out);
}

static void test_journal_cut_after_every_byte(void **state)
{
    (void)state;
    static const size_t order[] = {2, 0, 3};
    struct batch_input input;
    struct batch_journal journal;
    size_t n = 0;
    open_requests(&input);
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    for (size_t i = 0; i < 3; i++)
        add(&journal, order[i], BATCH_ANSWERED, "x");
    batch_journal_close(&journal, false);
    char *data = read_file(journal_path, &n);
    for (size_t cut = 0; cut <= n; cut++) {
        write_file(journal_path, data, cut);
        go_on(&input, whole_lines(data, cut));
    }
    free(data);
    batch_input_close(&input);
}

static void test_journal_with_every_byte_changed(void **state)
{
    (void)state;
    struct batch_input input;
    struct batch_journal journal;
    size_t n = 0;
    open_requests(&input);
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    for (size_t i = 0; i < 3; i++)
        add(&journal, i, BATCH_ANSWERED, "x");
    batch_journal_close(&journal, false);
    char *data = read_file(journal_path, &n);
    size_t head = (size_t)(strchr(data, '\n') - data) + 1;
    for (size_t at = 0; at < n; at++) {
        char kept = data[at];
        data[at] = kept == 'Z' ? 'Y' : 'Z';
        write_file(journal_path, data, n);
        if (at < head) /* its input is unknown */
            assert_false(batch_journal_open(&journal, output_path, &input, false, true));
        else /* a lost line end costs the next line too, except at the end */
            go_on(&input, kept == '\n' && at + 1 < n ? 1 : 2);
        data[at] = kept;
    }
    unlink(journal_path);
    free(data);
    batch_input_close(&input);
}

static void test_the_later_result_counts(void **state)
{
    (void)state;
    struct batch_input input;
    struct batch_journal journal;
    open_requests(&input);
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    for (size_t i = 0; i < RESULTS; i++)
        add(&journal, i, i == 1 ? BATCH_TIMED_OUT : BATCH_ANSWERED, i == 1 ? "old" : "x");
    assert_int_equal(journal.of_class[BATCH_TIMED_OUT], 1);
    batch_journal_close(&journal, false);
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    assert_int_equal(journal.done, RESULTS);
    batch_journal_close(&journal, false);
    assert_true(batch_journal_open(&journal, output_path, &input, true, true));
    assert_int_equal(journal.done, RESULTS - 1);
    add(&journal, 1, BATCH_ANSWERED, "x");
    batch_journal_close(&journal, false);
    go_on(&input, RESULTS);
    batch_input_close(&input);
}

static void test_journal_is_of_one_input_and_one_run(void **state)
{
    (void)state;
    struct batch_input input;
    struct batch_input other;
    struct batch_journal journal;
    struct batch_journal second;
    open_requests(&input);
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    assert_false(batch_journal_open(&second, output_path, &input, false, true));
    assert_int_equal(access(journal_path, F_OK), 0);
    add(&journal, 0, BATCH_ANSWERED, "x");
    batch_journal_close(&journal, false);
    assert_true(open_text(&other, "{\"custom_id\":\"a\",\"body\":{\"n\":9}}\n"));
    assert_false(batch_journal_open(&journal, output_path, &other, false, true));
    assert_int_equal(access(journal_path, F_OK), 0);
    unlink(journal_path);
    /* A journal without a result blocks nobody and is removed. */
    assert_true(batch_journal_open(&journal, output_path, &input, false, true));
    assert_int_equal(rename(journal_path, input_path), 0);
    batch_journal_close(&journal, false);
    assert_int_equal(rename(input_path, journal_path), 0);
    assert_true(batch_journal_open(&journal, output_path, &other, false, true));
    batch_journal_close(&journal, false);
    assert_int_equal(access(journal_path, F_OK), -1);
    batch_input_close(&other);
    write_file(output_path, "x", 1);
    assert_false(batch_journal_open(&journal, output_path, &input, false, false));
    assert_int_equal(access(journal_path, F_OK), -1);
    batch_input_close(&input);
}

/* ---- Results ---- */

static void check_line(const struct batch_input *input, const struct batch_outcome *outcome,
                       const char *want)
{
    size_t bytes = 0;
    char *line = batch_result_line(input, 0, "a\"b", outcome, &bytes);
    assert_non_null(line);
    assert_int_equal(strlen(line), bytes);
    assert_string_equal(line, want);
    json_object *o = json_tokener_parse(line);
    assert_non_null(o);
    json_object_put(o);
    free(line);
}

static void test_results_are_lines(void **state)
{
    (void)state;
    struct batch_line line = {.number = 7};
    struct batch_input plain = {.format = BATCH_PLAIN, .lines = &line, .n = 1};
    struct batch_input batch = {.format = BATCH_OPENAI, .lines = &line, .n = 1, .hash = 0x1234};
    const char *body = "{\n \"n\": 123456789012345678901234567890,\r\n \"s\": \"a\\nb\"}";
    struct batch_outcome well = {.class = BATCH_ANSWERED,
                                 .status = 200,
                                 .request_id = "r-1",
                                 .body = body,
                                 .body_bytes = strlen(body),
                                 .why = ""};
    check_line(
        &plain, &well,
        "{\"line\":7,\"status_code\":200,\"body\":{  \"n\": 123456789012345678901234567890,  "
        " \"s\": \"a\\nb\"},\"error\":null}");
    check_line(
        &batch, &well,
        "{\"id\":\"batch_req_000000000000123400000000\",\"custom_id\":\"a\\\"b\",\"response\":"
        "{\"status_code\":200,\"request_id\":\"r-1\",\"body\":{  \"n\": "
        "123456789012345678901234567890,   \"s\": \"a\\nb\"}},\"error\":null}");
    struct batch_outcome none = {
        .class = BATCH_TIMED_OUT, .request_id = "", .why = "no answer\nin time"};
    check_line(&plain, &none,
               "{\"line\":7,\"status_code\":0,\"body\":null,\"error\":{\"code\":\"timed_out\","
               "\"message\":\"no answer\\nin time\"}}");
    check_line(
        &batch, &none,
        "{\"id\":\"batch_req_000000000000123400000000\",\"custom_id\":\"a\\\"b\",\"response\":"
        "null,\"error\":{\"code\":\"timed_out\",\"message\":\"no answer\\nin time\"}}");
}

/* What came is kept, and the error stands beside it, whatever the status was. */
static void test_failures_are_never_without_an_error(void **state)
{
    (void)state;
    struct batch_line line = {.number = 7};
    struct batch_input plain = {.format = BATCH_PLAIN, .lines = &line, .n = 1};
    struct batch_input batch = {.format = BATCH_OPENAI, .lines = &line, .n = 1};
    const char *body = "{\"base_resp\":{\"status_code\":1002}}";
    struct batch_outcome bad = {.class = BATCH_FAILED,
                                .status = 200,
                                .request_id = "r-1",
                                .body = body,
                                .body_bytes = strlen(body),
                                .why = "no answer in it"};
    check_line(&plain, &bad,
               "{\"line\":7,\"status_code\":200,\"body\":{\"base_resp\":{\"status_code\":1002}},"
               "\"error\":{\"code\":\"failed\",\"message\":\"no answer in it\"}}");
    check_line(
        &batch, &bad,
        "{\"id\":\"batch_req_000000000000000000000000\",\"custom_id\":\"a\\\"b\",\"response\":"
        "{\"status_code\":200,\"request_id\":\"r-1\",\"body\":{\"base_resp\":{\"status_code\":"
        "1002}}},\"error\":{\"code\":\"failed\",\"message\":\"no answer in it\"}}");
    bad = (struct batch_outcome){.class = BATCH_REFUSED,
                                 .status = 400,
                                 .request_id = "",
                                 .body = "<p>",
                                 .body_bytes = 3,
                                 .why = "status 400"};
    check_line(
        &batch, &bad,
        "{\"id\":\"batch_req_000000000000000000000000\",\"custom_id\":\"a\\\"b\",\"response\":"
        "{\"status_code\":400,\"request_id\":\"\",\"body\":\"<p>\"},\"error\":{\"code\":"
        "\"refused\",\"message\":\"status 400\"}}");
}

static void test_results_in_anthropics_form(void **state)
{
    (void)state;
    struct batch_input input = {.format = BATCH_ANTHROPIC, .n = 1};
    const char *body = "{\"content\":[]}";
    struct batch_outcome one = {
        .class = BATCH_ANSWERED, .status = 200, .request_id = "r", .body = body, .why = ""};
    one.body_bytes = strlen(body);
    check_line(&input, &one,
               "{\"custom_id\":\"a\\\"b\",\"result\":{\"type\":\"succeeded\",\"message\":"
               "{\"content\":[]}}}");
    body =
        "{\"type\":\"error\",\n\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}";
    one = (struct batch_outcome){
        .class = BATCH_REFUSED, .status = 400, .request_id = "r", .body = body, .why = "w"};
    one.body_bytes = strlen(body);
    check_line(&input, &one,
               "{\"custom_id\":\"a\\\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":"
               "\"error\", \"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}},"
               "\"outcome\":\"refused\",\"status_code\":400,\"body\":null}}");
    body = "{\"error\":\"text\"}";
    one = (struct batch_outcome){
        .class = BATCH_FAILED, .status = 200, .request_id = "r", .body = body, .why = "w"};
    one.body_bytes = strlen(body);
    check_line(&input, &one,
               "{\"custom_id\":\"a\\\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":"
               "\"error\",\"error\":{\"type\":\"failed\",\"message\":\"w\"},\"request_id\":\"r\"},"
               "\"outcome\":\"failed\",\"status_code\":200,\"body\":{\"error\":\"text\"}}}");
    one = (struct batch_outcome){.class = BATCH_TIMED_OUT, .request_id = "", .why = "w"};
    check_line(
        &input, &one,
        "{\"custom_id\":\"a\\\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":"
        "\"error\",\"error\":{\"type\":\"timed_out\",\"message\":\"w\"},\"request_id\":\"\"},"
        "\"outcome\":\"timed_out\",\"status_code\":0,\"body\":null}}");
}

static void test_results_in_geminis_form(void **state)
{
    (void)state;
    struct batch_input input = {.format = BATCH_GEMINI, .n = 1};
    const char *body = "{\"candidates\":[{}]}";
    struct batch_outcome one = {
        .class = BATCH_ANSWERED, .status = 200, .request_id = "", .body = body, .why = ""};
    one.body_bytes = strlen(body);
    check_line(&input, &one, "{\"key\":\"a\\\"b\",\"response\":{\"candidates\":[{}]}}");
    body = "{\"error\":\n{\"code\":429,\"big\":99999999999999999999}}";
    one = (struct batch_outcome){
        .class = BATCH_LIMITED, .status = 429, .request_id = "", .body = body, .why = "w"};
    one.body_bytes = strlen(body);
    check_line(&input, &one,
               "{\"key\":\"a\\\"b\",\"error\":{\"code\":429,\"big\":99999999999999999999},"
               "\"outcome\":\"limited\",\"status_code\":429,\"body\":null}");
    /* What stands beside the error is not lost. */
    body = "{\"error\":{\"code\":500},\"usageMetadata\":{}}";
    one = (struct batch_outcome){
        .class = BATCH_FAILED, .status = 200, .request_id = "", .body = body, .why = "w"};
    one.body_bytes = strlen(body);
    check_line(&input, &one,
               "{\"key\":\"a\\\"b\",\"error\":{\"code\":500},\"outcome\":\"failed\","
               "\"status_code\":200,\"body\":{\"error\":{\"code\":500},\"usageMetadata\":{}}}");
    one.body = "";
    one.body_bytes = 0;
    check_line(&input, &one,
               "{\"key\":\"a\\\"b\",\"error\":{\"code\":200,\"message\":\"w\",\"status\":"
               "\"failed\"},\"outcome\":\"failed\",\"status_code\":200,\"body\":\"\"}");
}

static void check_body(const char *body, size_t bytes, const char *want)
{
    struct batch_line line = {.number = 1};
    struct batch_input plain = {.format = BATCH_PLAIN, .lines = &line, .n = 1};
    struct batch_outcome outcome = {.class = BATCH_ANSWERED,
                                    .status = 200,
                                    .request_id = "",
                                    .body = body,
                                    .body_bytes = bytes,
                                    .why = ""};
    char all[256];
    snprintf(all, sizeof(all), "{\"line\":1,\"status_code\":200,\"body\":%s,\"error\":null}", want);
    check_line(&plain, &outcome, all);
}

static void test_bodies_that_are_no_json(void **state)
{
    (void)state;
    check_body("<b>\n", 4, "\"<b>\\n\"");
    check_body("{\"a\":", 5, "\"{\\\"a\\\":\"");
    check_body("{} x", 4, "\"{} x\"");
    check_body("", 0, "\"\"");
    check_body("{\"a\":\"\n\"}", 9, "\"{\\\"a\\\":\\\"\\n\\\"}\"");
    check_body("{'a':1}", 7, "\"{'a':1}\"");
    check_body("{\"a\":1.}", 8, "\"{\\\"a\\\":1.}\"");
    check_body("{\"a\":1.5e-3}", 12, "{\"a\":1.5e-3}");
    check_body("a\0b", 3, "\"a\\u0000b\"");
    check_body("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
               "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    /* Overlong, surrogate, beyond the last, cut short: a byte that is none of UTF-8 becomes
     * U+FFFD. */
    check_body("\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_body("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_body("\xf5\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_body("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_body("{\"a\":\"\xff\"}", 9, "\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_is_an_index),
        cmocka_unit_test(test_input_has_one_form),
        cmocka_unit_test(test_input_hash_follows_every_byte),
        cmocka_unit_test(test_input_of_each_form),
        cmocka_unit_test(test_journal_cut_after_every_byte),
        cmocka_unit_test(test_journal_with_every_byte_changed),
        cmocka_unit_test(test_the_later_result_counts),
        cmocka_unit_test(test_journal_is_of_one_input_and_one_run),
        cmocka_unit_test(test_results_are_lines),
        cmocka_unit_test(test_failures_are_never_without_an_error),
        cmocka_unit_test(test_results_in_anthropics_form),
        cmocka_unit_test(test_results_in_geminis_form),
        cmocka_unit_test(test_bodies_that_are_no_json),
    };
    return cmocka_run_group_tests_name("batch", tests, make_folder, remove_folder);
}
