/*
 * Short documents for tests of the configuration, and what to expect of them. Single quotes stand
 * for double quotes in documents and in expected problems.
 *
 * Include after <cmocka.h>.
 */
#ifndef RATION_TEST_CONFIG_DOCUMENTS_H
#define RATION_TEST_CONFIG_DOCUMENTS_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define LIMIT "{'unit': 'requests', 'amount': 1, 'per': 'minute'}"
#define POOLS "'pools': {'p': {'limits': [" LIMIT "]}}"

static inline char *quoted(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static inline int parse(const char *text, struct config **out, struct config_problems *problems)
{
    char *copy = quoted(text);
    int result = config_parse("t.json", copy, strlen(copy), out, problems);
    free(copy);
    return result;
}

static inline struct config *good(const char *text)
{
    struct config *config;
    struct config_problems problems;
    if (parse(text, &config, &problems) != 0)
        fail_msg("%s", problems.lines[0]);
    return config;
}

/* Expects exactly these problems, in this order; NULL ends them. One that ends with ... is a
 * prefix. */
static inline void bad(const char *text, ...)
{
    struct config *config;
    struct config_problems problems;
    assert_int_equal(parse(text, &config, &problems), -1);
    va_list args;
    va_start(args, text);
    size_t i = 0;
    for (const char *line; (line = va_arg(args, const char *)) != NULL; i++) {
        char *expected = quoted(line);
        size_t n = strlen(expected);
        if (i >= problems.n)
            fail_msg("missing: %s", expected);
        else if (n > 3 && strcmp(expected + n - 3, "...") == 0)
            expected[n - 3] = '\0', problems.lines[i][strnlen(problems.lines[i], n - 3)] = '\0';
        assert_string_equal(problems.lines[i], expected);
        free(expected);
    }
    va_end(args);
    if (i < problems.n)
        fail_msg("unexpected: %s", problems.lines[i]);
    config_problems_free(&problems);
    assert_int_equal(problems.n, 0);
}

#endif
