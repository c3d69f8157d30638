/*
 * The shapes in which providers ask and answer, all of them by one provider with one set of limits; the path tells which:
 *
 *     POST /v1/chat/completions, /openai/v1/chat/completions      OpenAI chat, and Groq's path for it
 *     POST /v1/responses                                          OpenAI responses
 *     POST /v1/messages                                           Anthropic
 *     POST /v1beta/models/{model}:generateContent                 Gemini; :streamGenerateContent?alt=sse
 *     POST /openai/deployments/{name}/chat/completions            Azure; ?api-version= must be there
 *
 * What a shape does not decide: how tokens are estimated, what is counted, and when. Every function of a shape is pure but
 * for what it writes into; texts that it returns are released with free(), and NULL without memory.
 */
#ifndef UPSTREAM_SHAPE_H
#define UPSTREAM_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "completion.h"
#include "window.h"

struct complaint;
struct evbuffer;
struct evhttp_request;
struct evkeyvalq;
struct json_object;

/* An error to be told. Shapes that have words of their own for a status use those instead of type and code. */
struct answer_error {
    int status;
    const char *type;  /* OpenAI's; NULL: what goes with the status */
    const char *param; /* NULL: null */
    const char *code;  /* NULL: null */
    const char *message;
    int64_t wait_us;         /* told in the form that the shape has for it; 0: not told */
    const char *retry_delay; /* Gemini's RetryInfo, instead of wait_us; NULL: none */
    int64_t reset_us; /* told as what the requests limit needs to be free again; 0: as it is */
};

/* The limits as a client may read them in headers. */
struct limits_now {
    struct window_view view;
    int64_t rpm, tpm;
    int64_t wall_us; /* since 1970 */
    uint64_t number; /* of this answer */
};

/* An answer, whole or in pieces. */
struct reply {
    const struct completion *asked;
    const struct usage *use;
    uint64_t number;
    int64_t created_s;
    bool with_usage;
    int64_t piece, pieces; /* of a stream: this one, from 0, and how many there are */
};

enum stream_step { STREAM_BEGIN, STREAM_PIECE, STREAM_END };

struct shape {
    const char *name;
    const char *no_key; /* what to say to who sends no key */
    bool (*authorized)(struct evhttp_request *req);

    /* What else is wrong with a request apart from its body; NULL: nothing. */
    const char *(*objection)(struct evhttp_request *req);

    /* Reads the body's fields into *c, and adds the characters of the prompt. -1 with *bad said. */
    int (*read)(struct json_object *root, struct completion *c, int64_t *characters,
                struct complaint *bad);

    void (*limits)(struct evkeyvalq *headers, const struct limits_now *now);
    void (*wait)(struct evkeyvalq *headers, int64_t wait_us);
    char *(*answer)(const struct reply *reply);
    char *(*error)(const struct answer_error *error);

    /* Appends the events of one step of a stream. */
    void (*stream)(struct evbuffer *out, const struct reply *reply, enum stream_step step);

    /* Appends the event that ends a stream which has gone wrong. */
    void (*stream_error)(struct evbuffer *out, const struct answer_error *error);
};

extern const struct shape shape_openai_chat, shape_openai_responses, shape_azure, shape_anthropic,
    shape_gemini;

/* The shape of a request's path; NULL when it is none of them. Where asked is given, its shape, model and stream are set
 * as far as the path says. */
const struct shape *shape_of(struct evhttp_request *req, struct completion *asked);

/* ---- For the shapes ---- */

/* The request has `Authorization: Bearer KEY`, or that header with any value. */
bool shape_has_bearer(struct evhttp_request *req);
bool shape_has_header(struct evhttp_request *req, const char *name);

/* The request has that parameter in its query; with that value, if one is given. */
bool shape_has_query(struct evhttp_request *req, const char *name, const char *value);

void shape_add_number(struct evkeyvalq *headers, const char *name, int64_t n);

/* Rounded up. */
int64_t shape_seconds(int64_t us);

/* The text of an answer, and of a piece of one. */
#define SHAPE_TEXT  "An answer of the length that usage says, kept short on the wire."
#define SHAPE_PIECE "some more of the answer "

/* Appends an event: `event: NAME` if there is a name, and the object, which is taken over, as data. */
void shape_event(struct evbuffer *out, const char *name, struct json_object *data);

#endif
