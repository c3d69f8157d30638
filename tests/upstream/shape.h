/*
 * The shapes of providers' requests and answers, all served by one provider with one set of limits;
 * the path selects the shape (paths in shape.c, README.md). A shape says what a request must carry,
 * in which words it is refused, and what answers, streams, errors and headers look like.
 *
 * A shape does not decide how tokens are estimated, what is counted, or when. A shape's functions
 * are pure except for what they write into; the caller frees the texts that they return, which are
 * NULL without memory.
 */
#ifndef UPSTREAM_SHAPE_H
#define UPSTREAM_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "completion.h"
#include "fields.h"
#include "refusal.h"
#include "window.h"

struct evbuffer;
struct evhttp_request;
struct evkeyvalq;
struct json_object;

/* An error to send. A shape that has its own words for a status uses them instead of type and code.
 */
struct answer_error {
    int status;
    const char *type;  /* OpenAI's; NULL: the status's own */
    const char *param; /* NULL: null */
    const char *code;  /* NULL: null */
    const char *message;
    int64_t wait_us;         /* sent in the shape's own way; 0: not sent */
    const char *retry_delay; /* Gemini's RetryInfo, instead of wait_us; NULL: none */
    int64_t reset_us;        /* sent as the reset of the requests limit; 0: the real one */
};

/* The limits, as headers show them to a client. */
struct limits_now {
    struct window_view view;
    int64_t rpm, tpm;
    int64_t wall_us; /* since 1970 */
    uint64_t number; /* of this answer */
};

/* An answer, in one piece or in many. */
struct reply {
    const struct completion *asked;
    const struct usage *use;
    uint64_t number;
    int64_t created_s;
    bool with_usage;
    int64_t piece, pieces; /* of a stream: this one, from 0, and how many in all */
};

enum stream_step { STREAM_BEGIN, STREAM_PIECE, STREAM_END };

/* Where a key may be. */
enum shape_key {
    KEY_BEARER = 1,       /* Authorization: Bearer KEY */
    KEY_X_API_KEY = 2,    /* x-api-key */
    KEY_API_KEY = 4,      /* api-key */
    KEY_GOOG_API_KEY = 8, /* x-goog-api-key */
    KEY_QUERY = 16,       /* ?key= */
    KEY_SIGV4 = 32,       /* Authorization: AWS4-HMAC-SHA256 ... */
};

enum key_state { KEY_GOOD, KEY_MISSING, KEY_WRONG };

struct shape {
    const char *name;
    const char *family; /* its name in forms.json */
    const struct refusal_words *refusals;
    const struct field *fields; /* of a body, at the top */
    bool lenient;               /* fields that are not in the table are ignored */
    bool any_type;              /* Content-Type is not looked at */
    unsigned keys;              /* flags of enum shape_key; 0: none required */
    int64_t max_body;           /* bytes, unless --max-body says otherwise */
    const char *stream_type;    /* Content-Type of a stream; NULL: text/event-stream */

    /* What else, apart from the body, is wrong with a request; NULL: never anything. */
    int (*objection)(struct evhttp_request *req, struct completion *asked, struct complaint *bad);

    /* Reads the body's fields, whose types have been checked, into *c, and adds the characters of
     * the prompt. -1 with *bad filled in. */
    int (*read)(struct json_object *root, struct completion *c, int64_t *characters,
                struct complaint *bad);

    void (*limits)(struct evkeyvalq *headers, const struct limits_now *now);
    void (*wait)(struct evkeyvalq *headers, int64_t wait_us);
    char *(*answer)(const struct reply *reply);
    char *(*error)(const struct answer_error *error);
    void (*error_headers)(struct evkeyvalq *headers,
                          const struct answer_error *error); /* or NULL */

    /* Appends the events of one step of a stream. NULL if the API has no streams. */
    void (*stream)(struct evbuffer *out, const struct reply *reply, enum stream_step step);

    /* Appends the event that ends a failed stream. */
    void (*stream_error)(struct evbuffer *out, const struct answer_error *error);

    /* Appends one event of a form (form.h): its name, NULL if it has none, and its data, which is
     * taken. NULL: shape_event() does. */
    void (*event)(struct evbuffer *out, const char *name, struct json_object *data);
};

extern const struct shape shape_openai_chat, shape_openai_responses, shape_openai_embeddings,
    shape_openai_completions, shape_azure, shape_anthropic, shape_gemini, shape_vertex,
    shape_mistral, shape_cohere, shape_ollama, shape_bedrock;

/* The shape of a request's path; NULL if it is not an API's. If asked is not NULL, its shape, model
 * and stream are set as far as the path says. */
const struct shape *shape_of(struct evhttp_request *req, struct completion *asked);

/* The shape whose words refuse a path that is not an API's. */
const struct shape *shape_near(struct evhttp_request *req);

/* ---- For the shapes -------------------------------------------------------------------------- */

/* Checks the key of a request. `only` is the only valid key; NULL: any well-formed one is. */
enum key_state shape_key(struct evhttp_request *req, unsigned keys, const char *only);

/* The value of a header of the request; NULL if it is missing or empty. */
const char *shape_header(struct evhttp_request *req, const char *name);

/* Whether the request's query has this parameter, with this value unless value is NULL. */
bool shape_has_query(struct evhttp_request *req, const char *name, const char *value);

void shape_add_number(struct evkeyvalq *headers, const char *name, int64_t n);

/* Rounded up. */
int64_t shape_seconds(int64_t us);

/* The text of an answer, and of one piece of a stream. */
#define SHAPE_TEXT  "An answer of the length that usage says, kept short on the wire."
#define SHAPE_PIECE "some more of the answer "

#define MIB 1048576LL

/* Appends an event: `event: NAME` if there is a name, and the object, which is taken, as data. */
void shape_event(struct evbuffer *out, const char *name, struct json_object *data);

/* The same; without a name it uses the data's `type`. */
void shape_typed_event(struct evbuffer *out, const char *name, struct json_object *data);

#endif
