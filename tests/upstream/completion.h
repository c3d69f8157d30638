/*
 * What a chat completion request asks for, how many tokens it takes, and the answer to it.
 *
 * Nothing is generated: lengths are made up as a provider's would come out, or said by the request itself, so that a
 * recorded trace can be replayed with its real lengths:
 *
 *     "metadata": {"input_tokens": "456", "output_tokens": "123", "cached_tokens": "0", "reasoning_tokens": "0"}
 *
 * each a string, as the API wants metadata to be, or a plain number, and each optional.
 */
#ifndef UPSTREAM_COMPLETION_H
#define UPSTREAM_COMPLETION_H

#include <stddef.h>
#include <stdint.h>

#define COMPLETION_MAX_MODEL   128
#define COMPLETION_MAX_CHOICES 128
#define COMPLETION_MAX_TOKENS  1000000000 /* of one choice, or of the prompt */
#define COMPLETION_DEFAULT_OUTPUT                                                                  \
    1024                        /* of one choice, where the request does not say max_tokens */
#define COMPLETION_MAX_DEPTH 32 /* of the JSON */

struct completion {
    char model[COMPLETION_MAX_MODEL + 1];
    int64_t choices;    /* n */
    int64_t max_output; /* of one choice */
    int64_t
        prompt_tokens; /* characters of all contents / 4, rounded up, or metadata.input_tokens */
    int64_t output_tokens; /* wanted by metadata.output_tokens; -1: draw it */
    int64_t cached_tokens;
    int64_t reasoning_tokens;
};

/* What one call really used, over all of its choices. */
struct usage {
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t reasoning_tokens;
};

/* Reads a request. 0, or -1 with *why set to static words that say what is wrong and how to put it right, and *param to
 * the field that they are about (NULL: the body as a whole). */
int completion_parse(struct completion *c, const char *body, size_t len, const char **why,
                     const char **param);

/* What the provider counts when the call starts: the prompt and the most that all choices may answer. */
int64_t completion_estimate(const struct completion *c);

/* What the call will have used. Draws from *random where the request does not say; never more than the estimate.
 * Between a fifth and the whole of max_tokens, short answers more often than long ones. */
void completion_use(const struct completion *c, uint64_t *random, struct usage *use);

/* The answer's JSON, to be released with free(); NULL without memory. */
char *completion_answer(const struct completion *c, const struct usage *use, uint64_t number,
                        int64_t created_s);

/* An error in OpenAI's shape, to be released with free(); NULL without memory. param and code may be NULL. */
char *completion_error(const char *message, const char *type, const char *param, const char *code);

#endif
