/*
 * Fuzz target: the request parser.
 *
 * The first byte of the input says into how many pieces the rest is cut. Whatever the bytes, the
 * pieces must give the same requests as the whole, arguments must lie inside their request, and
 * nothing beyond the bytes may be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

/* A hash of the requests, and how the last call ended. */
struct outcome {
    uint64_t hash;
    enum resp_result last;
};

static void mix(struct outcome *outcome, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        outcome->hash = (outcome->hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    outcome->hash = (outcome->hash ^ n) * 0x100000001b3u;
}

static void check_args(struct outcome *outcome, const struct resp_parser *parser, const char *data,
                       size_t used)
{
    struct arg args[RATION_MAX_ARGS];
    size_t n = resp_args(parser, data, args);
    if (n > RATION_MAX_ARGS || used > RATION_MAX_REQUEST_BYTES)
        abort();
    for (size_t i = 0; i < n; i++) {
        if (args[i].p < data || args[i].p + args[i].n > data + used)
            abort();
        mix(outcome, args[i].p, args[i].n);
    }
}

/* Parses what is there, and gives the rest in memory of its own. */
static char *parse_some(struct resp_parser *parser, char *data, size_t *n, struct outcome *outcome)
{
    size_t used = 0;
    for (;;) {
        const char *error = NULL;
        size_t one = 0;
        outcome->last = resp_parse(parser, data + used, *n - used, &one, &error);
        if (outcome->last == RESP_MORE || outcome->last == RESP_BROKEN)
            break;
        if (one == 0 || one > *n - used)
            abort();
        if (outcome->last == RESP_REQUEST)
            check_args(outcome, parser, data + used, one);
        else
            mix(outcome, error, strlen(error));
        resp_parser_reset(parser);
        used += one;
    }
    *n -= used;
    char *rest = malloc(*n + 1);
    memcpy(rest, data + used, *n);
    free(data);
    return rest;
}

static struct outcome run(const uint8_t *input, size_t n, size_t piece)
{
    struct outcome outcome = {0xcbf29ce484222325u, RESP_MORE};
    struct resp_parser parser;
    char *kept = calloc(1, 1);
    size_t n_kept = 0;
    resp_parser_reset(&parser);
    for (size_t from = 0; from < n && outcome.last != RESP_BROKEN; from += piece) {
        size_t more = n - from < piece ? n - from : piece;
        char *data = malloc(n_kept + more);
        memcpy(data, kept, n_kept);
        memcpy(data + n_kept, input + from, more);
        free(kept);
        n_kept += more;
        kept = parse_some(&parser, data, &n_kept, &outcome);
    }
    free(kept);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n < 2)
        return 0;
    size_t pieces = 1 + input[0];
    struct outcome whole = run(input + 1, n - 1, n - 1);
    struct outcome split = run(input + 1, n - 1, (n - 1) / pieces + 1);
    if (whole.hash != split.hash || whole.last != split.last)
        abort();
    return 0;
}
