/*
 * `ration batch`: a file of requests in, their results in the same order out.
 *
 *     ../cmd_batch.c  options, and the order of things
 *     input.c         the file of requests: its check, an index of its lines, reading one again
 *     spool.c         a file that can be read more than once
 *     form.c          the forms of a request: OpenAI's, Anthropic's, Gemini's, plain bodies
 *     check.c         whether a request fits the provider, and how it is sent
 *     journal.c       what is done: a line for each result, beside the output that is made from it
 *     result.c        a result as a line of JSON
 *     run.c           the loop: which request is next, signals, when to stop
 *     call.c          one request: asked for, sent, settled, tried again
 *     prepare.c       what is sent for it
 *     queue.c         when the next may ask
 *     progress.c      the progress line, the rate-limit log, the summary
 *
 * A result is written to the journal as it comes, before its call is reported. Whatever kills the
 * program after that, the result is kept; the next run calls again only what was in flight. The
 * journal names the input by a hash of its content, because results are known by their place in it.
 *
 * Memory grows with the number of requests only by an index (some 50 bytes each): bodies are read
 * when they are sent, results are written when they come.
 */
#ifndef RATION_TOOL_BATCH_H
#define RATION_TOOL_BATCH_H

#include "tool/options.h"
#include "tool/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX_IN_FLIGHT  1024
#define BATCH_MAX_LINE_BYTES (64u << 20) /* of one request */
#define BATCH_MAX_REQUESTS   10000000
#define BATCH_ERROR_BYTES    768

/* How a request ended: enum ration_outcome, and one more. The words stand in the journal and in the
 * summary. */
#define BATCH_CLASSES(X)                                                                           \
    X(ANSWERED, "answered", "answered")                                                            \
    X(LIMITED, "limited", "429 until the last try")                                                \
    X(EXHAUSTED, "exhausted", "quota or spend used up")                                            \
    X(OVERLOADED, "overloaded", "overloaded (503, 529)")                                           \
    X(FAILED, "failed", "failed at the provider (5xx)")                                            \
    X(TIMED_OUT, "timed_out", "no answer in time")                                                 \
    X(UNREACHED, "unreached", "connection failed")                                                 \
    X(REFUSED, "refused", "refused by the provider (4xx)")                                         \
    X(DENIED, "denied", "more than a limit can ever hold")

enum batch_class {
#define BATCH_CLASS_ENUM(upper, word, text) BATCH_##upper,
    BATCH_CLASSES(BATCH_CLASS_ENUM)
#undef BATCH_CLASS_ENUM
        BATCH_CLASS_COUNT
};

extern const char *const batch_class_words[BATCH_CLASS_COUNT];
extern const char *const batch_class_texts[BATCH_CLASS_COUNT];

/* The command line. Strings borrow from argv. */
struct batch_options {
    const struct session *session;
    const char *input_file; /* "-": stdin */
    const char *output_file;
    const char *pool;
    const char *tenant;
    const char *provider;      /* NULL: openai */
    const char *profiles_file; /* NULL: only the built-in ones */
    const char *url;           /* NULL: the profile's own */
    const char *model;         /* NULL: as the body says */
    const char *key_variable;  /* NULL: as the profile says */
    struct option_list headers;
    struct option_list parameters;
    char *query; /* made of them; NULL: none */
    const char *rate_log_file;
    int64_t in_flight;
    int64_t priority;
    int64_t call_timeout_ms;
    int64_t ttl_ms;
    int64_t tries;
    int64_t retry_min_ms;
    int64_t retry_max_ms;
    double grace_s;
    double patience_s; /* for servers that do not answer, and closed pools */
    bool learned;
    bool retry_failed;
    bool overwrite;
    bool quiet;
};

/* FNV-1a over bytes, going on from `hash`: detects accidental changes and torn lines, not
 * malice. */
#define BATCH_HASH_START 0xcbf29ce484222325u
uint64_t batch_hash(uint64_t hash, const void *data, size_t n);

#endif
