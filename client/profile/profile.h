/*
 * Provider profiles: what differs between providers, as data.
 *
 * ration_call() and `ration batch` do the same for all of them; a profile
 * (client/profile/profiles.json, embedded, and a file of the user's own) says where a call goes,
 * how the key is sent, the maximum that a request may cost, where an answer or its stream reports
 * its usage, how much of that counts, which headers report limits, and which answers are worth
 * another try.
 *
 * Everything here is a pure function of a profile and some JSON or text: no socket, no clock, no
 * handle. A set of profiles is read once and not changed afterwards, so that several threads may
 * share one; that is also why messages go into the caller's `why`.
 */
#ifndef RATION_PROFILE_H
#define RATION_PROFILE_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <json-c/json.h>

struct profiles; /* the embedded profiles, and those of a file over them */
struct profile;  /* one of them; lives as long as its set */
struct sigv4_headers;

/* How the events of a stream are written. */
enum profile_form {
    PROFILE_SSE,   /* server-sent events */
    PROFILE_LINES, /* a line of JSON each */
    PROFILE_AWS,   /* application/vnd.amazon.eventstream */
};

#define PROFILE_WHY_BYTES 512

/*
 * file  NULL: only the embedded ones. Its profiles are added; one of the same name replaces the
 *       embedded one; one with "like": "openai" starts from that one and changes what it names.
 * why   PROFILE_WHY_BYTES of room for what is wrong with the file: path in the document,
 *       expectation, remedy
 * Errors: RATION_ENOMEM, RATION_EINVALID.
 */
int profiles_open(const char *file, struct profiles **out, char *why);
void profiles_close(struct profiles *profiles); /* NULL is allowed */

/* NULL name: "openai". Returns NULL if there is no profile of that name; profiles_names() lists
 * them ("openai, anthropic, ..."). */
const struct profile *profiles_find(const struct profiles *profiles, const char *name);
const char *profiles_names(const struct profiles *profiles);

/* Every profile in full, by name, as `ration presets --profiles` shows them. Borrowed. */
json_object *profiles_tree(const struct profiles *profiles);

const char *profile_name(const struct profile *profile);

/* ---- The request ---- */

/* What the body of a request asks for. */
struct profile_request {
    bool streamed;
    int64_t input_tokens;  /* estimated: a token for four characters, and the price of pictures,
                              documents, sounds and tools */
    int64_t output_tokens; /* its maximum for the answer, of all choices together; else a guess */
    int64_t most_output;   /* the same without guessing: 0 if the body sets no maximum */
    bool elsewhere;        /* it names files, URLs, conversations or tools, so that its input may be
                              more than its bytes show */
};

/* 0, or RATION_EINVALID with `why` (PROFILE_WHY_BYTES) in words. */
int profile_read_request(const struct profile *profile, json_object *body,
                         struct profile_request *out, char *why);

/* What a number of characters is estimated at in tokens: a quarter, rounded up. */
int64_t profile_tokens_of(int64_t characters);

/* Fills in what `estimate` does not state, counted as this provider counts at the start. */
void profile_estimate(const struct profile *profile, const struct profile_request *request,
                      struct ration_amounts *estimate);

/* Whether a body asks for a stream: by its "stream" or, without one, because the API's default is
 * to stream. */
bool profile_wants_stream(const struct profile *profile, json_object *body);

/*
 * The URL of a call. base NULL: the profile's own. A base may have any part of the path already, a
 * version of its own, and a query (profile_url.c has the rule).
 * model   NULL: the body's "model". Where the path names it ({model}: Gemini, Azure deployments)
 *         and the base does not, it must be known.
 * query   "name=value&...", encoded; NULL: none. Its parameters take the place of those of the same
 *         name in the base, as the base's do of the path's
 * 0, or RATION_EINVALID with `why`.
 */
int profile_url(const struct profile *profile, const char *base, const char *model,
                const char *query, json_object *body, char *buf, size_t cap, char *why);

/* Whether a query (NULL: none) has a parameter of that name. */
bool profile_query_has(const char *query, const char *name);

#define PROFILE_MAX_KEY_BYTES 16384
#define PROFILE_MAX_HEADERS   32 /* of the caller's own */

/* Whether these lines "Name: value" can be sent. A line "Name:" leaves out the profile's header of
 * that name. 0, or RATION_EINVALID with `why`, which never has the value of a header in it. */
int profile_check_headers(const char *const *lines, size_t n, char *why);

/* The value of the first header of that name, in any case; NULL: there is none. */
const char *profile_find_header(const char *const *lines, size_t n, const char *name);

/* The options of a call that decide which key it is sent with. */
struct profile_caller {
    const char *key;      /* NULL: it is in the environment; "": send none */
    const char *key_name; /* what messages call a key of the caller's own; NULL: "api_key" */
    const char *base;     /* as for profile_url() */
    const char *query;
    const char *const *headers;
    size_t n_headers;
};

/* What a call authenticates with: a key, an account that signs its requests, or nothing. */
struct profile_key {
    char *key; /* NULL: none is sent */
    char *id;  /* of the account; NULL: nothing is signed */
    char *secret;
    char *session;
    char *region;
};

/* Gives it, to be freed by profile_key_free(), which is allowed on a zeroed or already freed
 * struct. RATION_EINVALID with `why`: the provider needs one and there is none, or it cannot be
 * sent. RATION_ENOMEM. */
int profile_find_key(const struct profile *profile, const struct profile_caller *caller,
                     struct profile_key *out, char *why);
void profile_key_free(struct profile_key *key);

/*
 * The headers that sign a request, to be sent with the caller's own and freed by sigv4_free(); none
 * if there is nothing to sign. They are valid for some minutes: each try needs its own.
 * content_type  the caller's own; NULL: the profile's
 * Errors: RATION_ENOMEM, RATION_EINVALID.
 */
int profile_sign(const struct profile *profile, const struct profile_key *key, const char *url,
                 const char *content_type, const char *body, size_t n, time_t now,
                 struct sigv4_headers *out);

/* The headers of a call, each a line "Name: value" as libcurl takes it, key included (NULL or "":
 * none is sent). Calls `add` for each line; stops and returns its error when that is negative. */
int profile_headers(const struct profile *profile, const char *key, bool streamed,
                    int (*add)(void *arg, const char *line), void *arg);

/*
 * Turns a body's text into what the provider takes, and leaves every other byte as it is: a stream
 * asks for its usage if the provider wants to be asked and the caller has said nothing there
 * (OpenAI chat: stream_options.include_usage); members that belong into the URL are cut out
 * (Gemini: "model" and "stream", which every request may state, whoever the provider is).
 * ask_usage  false: the server at this URL has refused to be asked
 * 1 and a new text, NUL-terminated, to be freed; 0: it is sent as it is, and *out is NULL;
 * RATION_ENOMEM.
 */
int profile_make_body(const struct profile *profile, const char *text, size_t n, bool streamed,
                      bool ask_usage, char **out, size_t *out_n);

/*
 * Reads a body for its estimate as generously as providers do: numbers beyond 64 bits, lone
 * surrogates, a byte order mark, 1,000 levels of nesting. Gives an object. RATION_ENOMEM, or
 * RATION_EINVALID with `why`: it is not a JSON object.
 */
int profile_parse_body(const char *text, size_t n, json_object **out, char *why);

/* Whether an error answer of this status says that the server refuses to be asked for usage. */
bool profile_refuses_usage(const struct profile *profile, int http_status, const char *body);

/* ---- What was used ---- */

#define PROFILE_MAX_COUNTS 24
#define PROFILE_TIER_BYTES 32

/* As the provider reports it, before anything is left out. A count that is not known is 0. */
struct profile_usage {
    bool known; /* input and output were both reported, and something was used */
    bool input_known;
    bool output_known;
    int64_t input;        /* all input, cached or not */
    int64_t output;       /* all output, reasoning and thoughts included */
    int64_t total;        /* at least both together */
    int64_t cached;       /* of input: read from a cache */
    int64_t cache_writes; /* of input: written to a cache */
    int64_t reasoning;    /* of output */
    int64_t audio;        /* of both */
    int64_t more_input;   /* what the provider's counts leave out, as the profile knows */
    int64_t more_output;
    /* The provider's own counts: the largest that was reported of each, plus one. Zeroed before the
     * first event. */
    int64_t reported[PROFILE_MAX_COUNTS];
    char tier[PROFILE_TIER_BYTES]; /* the service tier that was used; "": not reported */
};

/* Reads an answer that was not streamed. False, and `usage` is unchanged: it reports nothing at
 * all. */
bool profile_read_usage(const struct profile *profile, json_object *answer,
                        struct profile_usage *usage);

/*
 * One event of a stream (its data, parsed; `name` of the event or ""): what it reports goes into
 * `usage`, which keeps the largest value of each count, because counts are cumulative. Returns
 * whether this is the event that ends the stream ("[DONE]" is not JSON: the caller passes NULL for
 * data that does not parse).
 */
bool profile_read_event(const struct profile *profile, const char *name, const char *data,
                        json_object *event, struct profile_usage *usage);

/* A count as struct ration_amounts states it, where 0 means "not stated": RATION_ZERO for none, and
 * RATION_MAX_COST at most. */
int64_t profile_stated(int64_t n);

/* What counts of it, as this provider counts: cached input left out, burndown, input only. */
void profile_count(const struct profile *profile, const struct profile_usage *usage,
                   struct ration_amounts *used);

/* How many tokens of a limit on tokens one token of output counts as. */
int64_t profile_output_weight(const struct profile *profile);

/* ---- What was answered ---- */

/* The text that an event adds to the answer, or NULL. Lives as long as `event`; uses its
 * json_object_set_userdata(). */
const char *profile_event_text(const struct profile *profile, const char *name, json_object *event);

/* The same of a whole answer. */
const char *profile_answer_text(const struct profile *profile, json_object *answer);

/* What else an event says of the answer that it is a piece of. */
struct profile_piece {
    bool begun;     /* it is a piece of an answer, not a ping */
    bool finished;  /* it says why the answer ended; of several choices, another may still go on */
    bool arguments; /* it has arguments of a tool call */
    /* Of all that was generated, whatever it is called: text, reasoning, refusal, arguments. */
    int64_t characters;
};
void profile_read_piece(const struct profile *profile, const char *name, json_object *event,
                        struct profile_piece *piece);

enum profile_form profile_form(const struct profile *profile);
const char *profile_tier_header(const struct profile *profile); /* NULL: none */

/* ---- What went wrong ---- */

/* The rows of the retry table. The caller's options decide which are retried; REFUSED and EXHAUSTED
 * never are. */
enum profile_class {
    PROFILE_ANSWERED,   /* 2xx, and the answer shows it */
    PROFILE_LIMITED,    /* 429: over a limit */
    PROFILE_EXHAUSTED,  /* 402, or 4xx that no wait will help: quota or spend used up */
    PROFILE_OVERLOADED, /* 529, 503, 498 */
    PROFILE_FAILED,     /* 500, 502, 504 and other 5xx; 408, 409, 425; 2xx without an answer */
    PROFILE_TIMED_OUT,  /* no answer, or no end of it, within the deadline */
    PROFILE_UNREACHED,  /* connection failure: refused, reset, TLS */
    PROFILE_REFUSED,    /* 400, 401, 403, 404, 422 and other 4xx */
};

/* The class of an HTTP status and its body (NULL: none, or not JSON), never TIMED_OUT or UNREACHED.
 * Under 2xx it is ANSWERED, and profile_classify_answer() has the last word. */
enum profile_class profile_classify(const struct profile *profile, int http_status,
                                    json_object *body);

/* The class of a whole answer under 2xx (NULL: it is not JSON): ANSWERED if it has what an answer
 * must have, and no error; else the class that the error's code names, be it a word or a number;
 * else FAILED. */
enum profile_class profile_classify_answer(const struct profile *profile, json_object *body);

/* The same for one event of a stream: ANSWERED if it is not an error. `name` of the event or "";
 * `event` is NULL if its data is not JSON. */
enum profile_class profile_classify_event(const struct profile *profile, const char *name,
                                          json_object *event);

/* The status for an error of that class that came under another status: the one that its code names
 * (401), or the usual one of the class. */
int profile_error_status(const struct profile *profile, json_object *body,
                         enum profile_class which);

/* The word for why no wait will help, for EXHAUSTED ("insufficient_quota"). Lives as long as the
 * profile. */
const char *profile_exhausted(const struct profile *profile, int http_status, json_object *body);

/* For how long money is gone, if the error names the date on which access comes back; now_ms is the
 * wall clock. False: it names none in the future. The second is false, too, for a date that nobody
 * should believe. */
bool profile_regains(const struct profile *profile, json_object *body, int64_t now_ms, int64_t *ms);
bool profile_exhausted_until(const struct profile *profile, json_object *body, int64_t now_ms,
                             int64_t *ms);

/* The provider's own words for an error ("insufficient_quota: You exceeded ..."), or "". */
void profile_error_text(const struct profile *profile, json_object *body, char *buf, size_t cap);

/* ---- What the provider says of its limits ---- */

#define PROFILE_MAX_HINTS  8
#define PROFILE_MAX_LIMITS 16 /* rows of a profile */

/* x-should-retry: what OpenAI, Anthropic and those who imitate them say about trying again. */
enum profile_should_retry { PROFILE_RETRY_UNSAID, PROFILE_DO_RETRY, PROFILE_DO_NOT_RETRY };

/* Zeroed before the first header of each answer. */
struct profile_hints {
    enum profile_should_retry should_retry; /* used if the answer was refused or failed */
    bool waits;                             /* a wait was stated; used if the answer was refused */
    /* The longest that was stated; without one, the time until the limits that have nothing left
     * are reset. */
    int64_t retry_after_ms;
    struct ration_provider_limit
        limits[PROFILE_MAX_HINTS]; /* those of which a remainder was reported */
    size_t n_limits;
    bool waits_in_words; /* retry_after_ms was stated as a wait, so no reset replaces it */
    struct profile_reported {
        int64_t limit; /* each of these is what was reported, plus one; 0: it was not */
        int64_t remaining;
        int64_t reset_ms;
        int64_t period_ms;
        int64_t within_ms;          /* the precision of reset_ms */
        bool bare;                  /* reset_ms is a number without a unit */
    } reported[PROFILE_MAX_LIMITS]; /* by row of the profile's limits: headers come in any order */
};

/* One header line of an answer, name and value apart; now_ms is the wall clock, for dates. */
void profile_read_header(const struct profile *profile, const char *name, const char *value,
                         int64_t now_ms, struct profile_hints *hints);
/* The body of an error (Gemini's RetryInfo.retryDelay and QuotaFailure). */
void profile_read_error(const struct profile *profile, json_object *body, int64_t now_ms,
                        struct profile_hints *hints);

#endif
