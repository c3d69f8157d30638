/*
 * Provider profiles: what differs between providers, as data.
 *
 * ration_call() and `ration batch` do the same for all of them; a profile (client/profiles.json, embedded, and a file of the
 * user's own) says where a call goes, how the key is sent, what a request may cost at the most, where an answer or its stream
 * says what it did cost, what of that counts, which headers tell limits, and which answers are to be retried.
 *
 * Everything here is a pure function of a profile and some JSON or text: no socket, no clock, no handle. A set of profiles is
 * read once and not changed afterwards, so that several threads may read one set.
 */
#ifndef RATION_PROFILE_H
#define RATION_PROFILE_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

struct profiles; /* the embedded profiles, and those of a file over them */
struct profile;  /* one of them; lives as long as its set */

#define PROFILE_WHY_BYTES 256

/*
 * file  NULL: only the embedded ones. Its profiles are added; one of the same name replaces the embedded one; one with
 *       "like": "openai" starts from that one and changes what it names.
 * why   PROFILE_WHY_BYTES of room for what is wrong with the file: path in the document, expectation, remedy
 * Errors: RATION_ENOMEM, RATION_EINVALID.
 */
int profiles_open(const char *file, struct profiles **out, char *why);
void profiles_close(struct profiles *profiles); /* NULL is allowed */

/* NULL name: "openai". NULL: there is none of that name; profiles_names() tells which there are ("openai, anthropic, ..."). */
const struct profile *profiles_find(const struct profiles *profiles, const char *name);
const char *profiles_names(const struct profiles *profiles);

/* Every profile in full, by name, as `ration presets --profiles` shows them. Borrowed. */
json_object *profiles_tree(const struct profiles *profiles);

const char *profile_name(const struct profile *profile);
const char *profile_key_variable(
    const struct profile *profile); /* of the environment, where the caller states no key */

/* ---- The request ---- */

/* What a request's body says of itself. */
struct profile_request {
    bool streamed;
    int64_t input_tokens; /* estimated: characters / 4, rounded up */
    int64_t
        output_tokens; /* the most that it may answer, of all choices together; the profile's guess where not said */
};

/* 0, or RATION_EINVALID with `why` (PROFILE_WHY_BYTES) in words. */
int profile_read_request(const struct profile *profile, json_object *body,
                         struct profile_request *out, char *why);

/* Fills in what `estimate` does not state, counted as this provider counts at the start. */
void profile_estimate(const struct profile *profile, const struct profile_request *request,
                      struct ration_amounts *estimate);

/*
 * The URL of a call. base NULL: the profile's own. A base may end in "/" or in the "/v1" that other clients want there.
 * model   NULL: the body's "model". Where the path names it ({model}: Gemini, Azure deployments) it must be known.
 * 0, or RATION_EINVALID with `why`.
 */
int profile_url(const struct profile *profile, const char *base, const char *model,
                json_object *body, char *buf, size_t cap, char *why);

/* The headers of a call, each a line "Name: value" as libcurl takes it, key included (NULL or "": none is sent). Calls
 * `add` for each line; stops and returns its error when that is negative. */
int profile_headers(const struct profile *profile, const char *key, bool streamed,
                    int (*add)(void *arg, const char *line), void *arg);

/*
 * Makes the body what the provider takes: asks for usage in a stream where it wants to be asked (OpenAI chat:
 * stream_options.include_usage), and takes out what only the URL says (Gemini: "model" and "stream", which every request
 * may state, whoever the provider is). Called for every request, streamed or not, after profile_url() and
 * profile_read_request(). Changes `body`; true if it did, so that the caller sends it anew.
 */
bool profile_prepare_stream(const struct profile *profile, json_object *body);

/* ---- What was used ---- */

#define PROFILE_MAX_COUNTS 16

/* As the provider told it, before anything is left out of it. */
struct profile_usage {
    bool known;           /* input and output were both told */
    int64_t input;        /* all input, cached or not */
    int64_t output;       /* all output, reasoning and thoughts included */
    int64_t cached;       /* of input: read from a cache */
    int64_t cache_writes; /* of input: written to a cache */
    int64_t reasoning;    /* of output */
    int64_t told
        [PROFILE_MAX_COUNTS]; /* the provider's own counts as last told, plus one; zeroed before the first event */
};

/* Reads an answer that was not streamed. False, and `usage` unchanged, where it does not say in full. */
bool profile_read_usage(const struct profile *profile, json_object *answer,
                        struct profile_usage *usage);

/*
 * One event of a stream (its data, parsed; `name` of the event or ""): what it tells goes into `usage`, where each count is
 * what was last told of it. Returns whether the answer is now complete ("[DONE]" is not JSON: the caller passes NULL for
 * data that does not parse). The stream is read until it closes all the same: of several choices, one may end later.
 */
bool profile_read_event(const struct profile *profile, const char *name, const char *data,
                        json_object *event, struct profile_usage *usage);

/* The text that an event adds to the answer, or NULL. Lives as long as `event`; uses its json_object_set_userdata(). */
const char *profile_event_text(const struct profile *profile, const char *name, json_object *event);

/* What counts of it, as this provider counts: cached input left out, burndown, input only. */
void profile_count(const struct profile *profile, const struct profile_usage *usage,
                   struct ration_amounts *used);

/* ---- What went wrong ---- */

/* The rows of the retry table. Retried or not is the caller's options' affair, but REFUSED and EXHAUSTED never are. */
enum profile_class {
    PROFILE_ANSWERED,   /* 2xx */
    PROFILE_LIMITED,    /* 429: over a limit */
    PROFILE_EXHAUSTED,  /* 429 or 4xx that no wait will help: quota or spend used up */
    PROFILE_OVERLOADED, /* 529, 503 */
    PROFILE_FAILED,     /* 500, 502, 504 and other 5xx */
    PROFILE_TIMED_OUT,  /* no answer, or no end of it, within the deadline */
    PROFILE_UNREACHED,  /* connection failure: refused, reset, TLS */
    PROFILE_REFUSED,    /* 400, 401, 403, 404, 422 and other 4xx */
};

/* The class of an HTTP status and its body (NULL: none, or no JSON), never TIMED_OUT or UNREACHED. */
enum profile_class profile_classify(const struct profile *profile, int http_status,
                                    json_object *body);

/* The same for an event of a stream, where an error comes after the status said 200: ANSWERED where the event is no error. */
enum profile_class profile_classify_event(const struct profile *profile, json_object *event);

/* The code by which a provider says that no wait will help ("insufficient_quota"), for EXHAUSTED; NULL: none. Lives as long as
 * the profile. */
const char *profile_exhausted(const struct profile *profile, json_object *body);

/* The provider's own words for an error ("insufficient_quota: You exceeded ..."), "" where it has none. */
void profile_error_words(const struct profile *profile, json_object *body, char *buf, size_t cap);

/* ---- What the provider lets know of its limits ---- */

#define PROFILE_MAX_SEEN   8
#define PROFILE_MAX_LIMITS 16 /* rows of a profile */

/* x-should-retry: what OpenAI, Anthropic and those who speak for them say of trying again. */
enum profile_should_retry { PROFILE_RETRY_UNSAID, PROFILE_DO_RETRY, PROFILE_DO_NOT_RETRY };

/* Zeroed before the first header of each answer. */
struct profile_hints {
    enum profile_should_retry should_retry; /* of use where the answer was refused or failed */
    bool waits; /* a wait was told; of use where the answer was refused */
    int64_t
        retry_after_ms; /* the longest that was told; without one, when the limits that have nothing left are reset */
    struct ration_seen seen[PROFILE_MAX_SEEN]; /* the limits of which it was told what remains */
    size_t n_seen;
    bool waits_in_words; /* retry_after_ms was told as a wait, so that no reset replaces it */
    struct profile_told {
        int64_t limit; /* the same, plus one; 0: not told */
        int64_t remaining;
        int64_t reset_ms;
        int64_t period_ms;
        int64_t within_ms; /* reset_ms is rounded to so much */
        bool bare;         /* reset_ms is a number of which nobody says whether it is seconds */
    } told[PROFILE_MAX_LIMITS]; /* by row of the profile's limits: headers come in any order */
};

/* One header line of an answer, name and value apart; now_ms is the wall clock, for dates. */
void profile_read_header(const struct profile *profile, const char *name, const char *value,
                         int64_t now_ms, struct profile_hints *hints);
/* The body of an error (Gemini's RetryInfo.retryDelay and QuotaFailure). */
void profile_read_error(const struct profile *profile, json_object *body, int64_t now_ms,
                        struct profile_hints *hints);

#endif
