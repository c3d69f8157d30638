/*
 * What a call asks for, whatever its shape, and how many tokens it takes.
 *
 * Nothing is generated: lengths are made up to resemble a provider's, or given by the request, so
 * that a recorded trace can be replayed with its real lengths:
 *
 *     "metadata": {"input_tokens": "456", "output_tokens": "123", "cached_tokens": "0",
 *                  "reasoning_tokens": "0", "cache_write_tokens": "0"}
 *
 * each a string, as OpenAI requires of metadata, or a plain number, and each optional.
 */
#ifndef UPSTREAM_COMPLETION_H
#define UPSTREAM_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPLETION_MAX_MODEL      128
#define COMPLETION_MAX_CHOICES    128
#define COMPLETION_MAX_TOKENS     1000000000 /* of one choice, or of the prompt */
#define COMPLETION_DEFAULT_OUTPUT 1024       /* of one choice, if the request sets no maximum */
#define COMPLETION_MAX_DEPTH      32         /* of the JSON */

struct complaint;
struct lengths;
struct shape;

struct completion {
    const struct shape *shape;
    char model[COMPLETION_MAX_MODEL + 1];
    bool stream;
    bool stream_usage;  /* the stream reports its usage: always, but OpenAI's chat only if asked */
    bool asks_usage;    /* stream_options was present */
    bool no_sampling;   /* this version of the API refuses temperature, top_p and top_k */
    bool no_output;     /* the API generates none: embeddings */
    int64_t choices;    /* n */
    int64_t max_output; /* of one choice */
    int64_t
        prompt_tokens; /* characters of all contents / 4, rounded up, or metadata.input_tokens */
    int64_t output_tokens; /* metadata.output_tokens; -1: draw it */
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
};

/* What one call really used, over all of its choices. */
struct usage {
    int64_t prompt_tokens;     /* all of them, including cache reads and writes */
    int64_t completion_tokens; /* all of them, including reasoning */
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
};

/* Reads a body into *c, whose shape, model ("" if the body names it) and stream are already set
 * from the path. 0, or -1 with *bad filled in, whose table is already set. */
int completion_parse(struct completion *c, const char *body, size_t len, struct complaint *bad);

/* What the provider counts when the call starts: the prompt, and the most that all choices together
 * may answer. */
int64_t completion_estimate(const struct completion *c);

/* What the call will have used, drawn from *random unless the request says; never more than the
 * estimate. */
void completion_use(const struct completion *c, const struct lengths *lengths, uint64_t *random,
                    struct usage *use);

/* The answer was cut off at its maximum length. */
bool completion_was_cut(const struct completion *c, const struct usage *use);

#endif
