/*
 * libration: ask before each call to an LLM provider, and report afterwards what the call used.
 *
 *     #include <ration/ration.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         ration *r;
 *         struct ration_grant grant;
 *         if (ration_open(NULL, &r) < 0)
 *             return 2;
 *         struct ration_amounts estimate = {.tokens = 500};
 *         int err = ration_acquire(r, "openai/gpt-4o", "acme", &estimate, NULL, &grant);
 *         if (err == RATION_OK && grant.granted) {
 *             struct ration_amounts used = {.tokens = 321};        // ... the call itself ...
 *             ration_report(r, grant.id, &used, NULL, NULL);
 *         } else {
 *             fprintf(stderr, "not now: %s\n", err < 0 ? ration_errmsg(r) : grant.limited_by);
 *         }
 *         ration_close(r);
 *     }
 *
 *     $ cc program.c $(pkg-config --cflags --libs ration)
 *
 * Rules:
 *   - One handle per thread. A handle holds one connection and no lock; handles share nothing.
 *   - Every call has a deadline (ration_options.timeout_ms) and never blocks longer. A thread that
 *     waits sleeps.
 *   - Nothing here aborts, prints, or touches signal handlers. (Writes never raise SIGPIPE.)
 *   - Functions return 0 (RATION_OK) or a negative enum ration_err; a denial is an answer, not an
 *     error. Out-parameters come last and are written only on success. ration_errmsg() has the
 *     details in words.
 *   - Strings passed in are borrowed for the call only. Results are copied into the caller's
 *     structs, except where a comment says "gives".
 *   - A request keeps its id over retries and over servers, so whatever got lost on the way is
 *     charged once.
 */
#ifndef RATION_RATION_H
#define RATION_RATION_H

#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */

#if defined(__GNUC__)
#define RATION_API __attribute__((visibility("default")))
#else
#define RATION_API
#endif

/* ---- Errors -------------------------------------------------------------------------------------
 * Codes are added, never renumbered. */
#define RATION_ERRORS(X)                                                                           \
    X(-1, NOMEM, "out of memory")                                                                  \
    X(-2, INVALID, "an argument is out of its range")                                              \
    X(-3, CONNECT, "no server could be reached")                                                   \
    X(-4, TIMEOUT, "the deadline passed")                                                          \
    X(-5, PROTOCOL, "the server's answer was not understood")                                      \
    X(-6, SERVER, "the server refused the command as malformed")                                   \
    X(-7, NOPOOL, "no such pool in the server's configuration")                                    \
    X(-8, NOTENANT, "no such tenant, and the configuration has no default tier")                   \
    X(-9, NOSUCH, "no such reservation")                                                           \
    X(-10, NOAUTH, "the server wants a credential")                                                \
    X(-11, NOPERM, "the credential is not for that tenant")                                        \
    X(-12, UNAVAILABLE, "the store is away and the configuration says deny")                       \
    X(-13, BUSY, "the server's queue is full")                                                     \
    X(-14, DENIED, "the call was denied by a limit and not sent")                                  \
    X(-15, UPSTREAM, "the provider could not be reached or did not answer")                        \
    X(-16, UNSUPPORTED, "not supported by this version of the server or the library")              \
    X(-17, ABORTED, "the caller ended the stream")

#define RATION_OK 0
enum ration_err {
#define RATION_ERR_ENUM(code, name, text) RATION_E##name = (code),
    RATION_ERRORS(RATION_ERR_ENUM)
#undef RATION_ERR_ENUM
};

/* What a code means, in words; never NULL, lives for ever.
 * Example: puts(ration_strerror(RATION_ENOPOOL)); */
RATION_API const char *ration_strerror(int err);

/* The library's version, "0.1.0"; lives for ever. */
RATION_API const char *ration_version(void);

/* ---- A handle -------------------------------------------------------------------------------- */

typedef struct ration ration;

/* How to reach the servers. Start from ration_options_init(); a NULL string means its default. */
struct ration_options {
    /* "host[:port][,host[:port]]..." or "unix:/path"; tried in turn. Default: the environment's
     * RATION_SERVERS, else 127.0.0.1:7420. */
    const char *servers;
    const char *tenant; /* user of AUTH; default: the environment's RATION_TENANT, else "default" */
    const char *secret; /* credential of AUTH; default: RATION_SECRET, else no AUTH is sent */
    uint32_t timeout_ms; /* deadline of a whole call, retries included: 1-600000, default 5000 */
    uint32_t connect_timeout_ms; /* for one attempt at one address: 1-600000, default 1000 */
};

RATION_API void ration_options_init(struct ration_options *options);

/*
 * Opens a handle. Connects only at the first call, so that a program can start before its servers.
 * options   borrowed, copied; NULL for the defaults
 * out       gives the handle, to be freed by ration_close()
 * Errors: RATION_ENOMEM, RATION_EINVALID (a server address that cannot be parsed, a time out of
 * range).
 */
RATION_API int ration_open(const struct ration_options *options, ration **out);

/* Closes the connection and frees the handle; NULL is allowed. Reservations stay as they are. If
 * ration_call() left a report without its acknowledgement, this waits for it, or sends the report
 * again, within timeout_ms. */
RATION_API void ration_close(ration *r);

/* Why the handle's last call failed, in words: never NULL, "" after a success, valid until the next
 * call. */
RATION_API const char *ration_errmsg(const ration *r);

/* ---- Amounts --------------------------------------------------------------------------------- */

/* States that nothing of a unit is used, since 0 means "not stated". */
#define RATION_ZERO (-1)

/* An amount of each unit: the estimate when acquiring, the actual use when reporting. 1 -
 * RATION_MAX_COST, or RATION_ZERO, or 0: not stated. What an acquire does not state is none of it
 * (one for requests and concurrent); what a report does not state stays as estimated. */
struct ration_amounts {
    int64_t requests;
    int64_t tokens; /* if only the parts are stated: input_tokens + output_tokens */
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t usd_millionths;
    int64_t concurrent; /* only when acquiring */
};

/* ---- Ask ------------------------------------------------------------------------------------- */

struct ration_acquire_options {
    int32_t priority; /* 0 real time, 1 standard, 2 background; -1 (default): the tier decides */
    uint32_t ttl_ms;  /* life of the reservation, RATION_MIN_TTL_MS - RATION_MAX_TTL_MS; 0: the
                         server's default */
    uint32_t wait_ms; /* how long the server may park the request, 0 - RATION_MAX_WAIT_MS; 0: it
                         answers at once */
    const char *id;   /* an id of your own (see protocol.h); NULL: the library makes one */
    int dry_run;      /* 1: only say what the answer would be; reserve nothing */
    /* 1: input_tokens is an estimate and output_tokens the maximum for the answer (state at least
     * one), and the server charges the share of them that the tenant's earlier calls to this pool
     * used, cached input and tools included. Not for a provider that counts the maximum itself
     * (OpenAI, Azure). */
    int learned;
};

RATION_API void ration_acquire_options_init(struct ration_acquire_options *options);

/* The answer to an acquire or a renewal. */
struct ration_grant {
    int granted;            /* 1, or 0: denied */
    int64_t retry_after_ms; /* of a denial: when to come back; RATION_RETRY_NEVER: never fits */
    char id[RATION_MAX_ID_BYTES];
    char limited_by[RATION_MAX_ID_BYTES]; /* "pool:openai/gpt-4o tokens/minute"; granted: "" */
    char mode[8];                         /* RATION_MODE_EXACT, _LEASE or _LOCAL */
};

/*
 * Asks for one call: reserves the estimate in every limit of the pool and of the tenant, or
 * nothing.
 * estimate, options    borrowed; NULL for one request of unknown size, and for the defaults
 * Errors: RATION_ECONNECT, _ETIMEOUT, _EPROTOCOL, _ENOPOOL, _ENOTENANT, _ENOAUTH, _ENOPERM,
 * _EUNAVAILABLE, _EBUSY, _ESERVER, _EINVALID, _ENOMEM. After an error the call may or may not be
 * reserved; a retry with the same options.id and estimate finds out and is charged once.
 * RATION_ENOSUCH: the reservation of that id has ended (reported, cancelled or expired);
 * RATION_ESERVER also answers an id that was used for another estimate.
 */
RATION_API int ration_acquire(ration *r, const char *pool, const char *tenant,
                              const struct ration_amounts *estimate,
                              const struct ration_acquire_options *options,
                              struct ration_grant *grant);

/* ---- Report ---------------------------------------------------------------------------------- */

/* One of the provider's own limits, as the headers of its answer state it. */
struct ration_provider_limit {
    enum ration_unit unit; /* what it counts */
    int64_t per_ms;        /* its period; 0: not stated */
    int64_t limit;         /* how much it allows; 0: not stated */
    int64_t remaining;     /* how much of that is left */
};

struct ration_report_options {
    int http_status; /* the status that the provider answered with, 100-599; 0: not known */
    int64_t retry_after_ms; /* how long the provider said to wait; 0: it did not. With `exhausted`:
                               until the date that it named, at most 32 days */
    int partial; /* 1: the answer was cut short; charges at least the input estimate */
    int failed;  /* 1: no answer came (time-out, connection broke): counts as a failure of the
                    provider */
    /* The provider's word for a quota that no wait refills ("insufficient_quota"), 1-64 printable
     * ASCII characters without space: closes the pool for retry_after_ms, or if that is 0 until an
     * operator opens it. NULL: none. */
    const char *exhausted;
    const struct ration_provider_limit *limits; /* borrowed, n_limits; as many as fit are sent */
    size_t n_limits;
};

RATION_API void ration_report_options_init(struct ration_report_options *options);

enum ration_settled { RATION_SETTLED, RATION_LATE, RATION_DUPLICATE };

/*
 * Reports what a call used. The server gives back at once what it used less than estimated; what it
 * used more becomes debt. A second report of the same reservation changes nothing
 * (RATION_DUPLICATE); one after its time to live still counts, once (RATION_LATE).
 * used      borrowed; a unit that is not stated stays as estimated; NULL: all as estimated
 * settled   may be NULL
 * Errors: as ration_acquire, and RATION_ENOSUCH.
 */
RATION_API int ration_report(ration *r, const char *id, const struct ration_amounts *used,
                             const struct ration_report_options *options,
                             enum ration_settled *settled);

/* Gives everything back, for a call that was never sent. Errors: as ration_report. */
RATION_API int ration_cancel(ration *r, const char *id, enum ration_settled *settled);

/* The same if the provider could not be reached: counts as a failure for its circuit breaker. */
RATION_API int ration_cancel_failed(ration *r, const char *id, enum ration_settled *settled);

/*
 * Lets a reservation live for ttl_ms from now (0: the server's default) and adds `more` (NULL:
 * nothing) to its estimate. A denied addition leaves the reservation as it was, its time to live
 * included. Errors: as ration_report.
 */
RATION_API int ration_renew(ration *r, const char *id, uint32_t ttl_ms,
                            const struct ration_amounts *more, struct ration_grant *grant);

/* ---- Look ------------------------------------------------------------------------------------ */

/* One limit, as PEEK shows it. */
struct ration_limit_row {
    /* "pool:openai/gpt-4o", "tenant:acme", "tenant:acme@openai/gpt-4o" */
    char scope[RATION_MAX_ID_BYTES];
    char unit[16];
    char per[32];      /* "minute", "day", ...; "" for concurrent */
    int64_t limit;     /* how much it allows */
    int64_t remaining; /* below zero: debt */
    int64_t reset_ms;  /* until it is full again if nothing more is used; 0: full */
};

/*
 * Reads every limit that a call of this tenant to this pool meets. Changes nothing.
 * rows, n    give an array of *n rows, to be freed by ration_rows_free()
 * Errors: as ration_acquire.
 */
RATION_API int ration_peek(ration *r, const char *pool, const char *tenant,
                           struct ration_limit_row **rows, size_t *n);
RATION_API void ration_rows_free(struct ration_limit_row *rows);

/* One pool and unit of the ledger: granted = reported + outstanding + expired + cancelled, all as
 * estimated. */
struct ration_audit_row {
    char pool[RATION_MAX_POOL_BYTES + 1];
    char unit[16];
    int64_t granted;     /* estimates granted since the pool was last idle and forgotten */
    int64_t reported;    /* estimates whose report has come */
    int64_t outstanding; /* estimates that wait for their report */
    int64_t expired;     /* estimates whose time to live passed unreported */
    int64_t cancelled;   /* estimates given back whole */
    int64_t used;        /* what the reports said was used */
    int64_t scanned;     /* outstanding, counted again from the reservations themselves; -1: they
                            changed while they were counted */
    int balanced;        /* 1: granted is the sum, and scanned agrees */
};

/* Reads the ledger of one pool, or of all (pool NULL). rows and errors as in ration_peek, freed by
 * ration_audit_free(). */
RATION_API int ration_audit(ration *r, const char *pool, struct ration_audit_row **rows, size_t *n);

/*
 * The same, with progress: on a large store an audit takes longer than timeout_ms, which here holds
 * for each sign of life. on_progress is called about twice a second with how much is done, in
 * percent; it falls if the audit has to begin again.
 */
typedef void ration_progress_fn(void *arg, int percent);
RATION_API int ration_audit_watch(ration *r, const char *pool, ration_progress_fn *on_progress,
                                  void *arg, struct ration_audit_row **rows, size_t *n);
RATION_API void ration_audit_free(struct ration_audit_row *rows);

/* The state of a pool, as every host sees it. */
struct ration_pool_state {
    /* "open", "paused", "circuit", "probing" or "closed": RATION_POOL_... of protocol.h */
    char state[16];
    char reason[RATION_MAX_REASON_BYTES + 1]; /* why it is closed, else "" */
    int64_t until_ms;     /* how long it lasts; 0: open; -1: closed until an operator opens it */
    int64_t failures;     /* failed calls among those that the circuit breaker counts now */
    int64_t reports;      /* all calls that it counts now */
    int64_t cool_down_ms; /* how long an open circuit waits before a probe */
};

enum ration_pool_action { RATION_POOL_SHOW, RATION_POOL_DO_OPEN, RATION_POOL_DO_CLOSE };

/*
 * Shows a pool, closes it for everybody (reason: 1-64 printable ASCII bytes without space; NULL:
 * "operator"), or opens it and forgets its pause and its failures. Needs the operator's credential.
 * out    the state afterwards; NULL is allowed
 *
 *     struct ration_pool_state state;
 *     if (ration_pool(r, "openai/gpt-4o", RATION_POOL_SHOW, NULL, &state) == RATION_OK)
 *         printf("%s %s\n", state.state, state.reason);
 */
RATION_API int ration_pool(ration *r, const char *pool, enum ration_pool_action action,
                           const char *reason, struct ration_pool_state *out);

/* A limit of a tenant that was below zero, and the debt that was forgiven. */
struct ration_forgiven_row {
    char scope[RATION_MAX_ID_BYTES]; /* "tenant:acme", "tenant:acme@openai/gpt-4o" */
    char unit[16];
    char per[32];
    int64_t forgiven;
};

/*
 * Forgives a tenant's debt, on every host: raises each of its limits that is below zero to zero,
 * and no further. Needs the operator's credential; for when a provider's wrong count has put
 * somebody in debt for days.
 * rows, n    give an array of *n rows, one for each limit that had debt, to be freed by
 *            ration_forgiven_free()
 *
 *     struct ration_forgiven_row *rows;
 *     size_t n;
 *     if (ration_forgive(r, "acme", &rows, &n) == RATION_OK) {
 *         printf("%zu limits had debt\n", n);
 *         ration_forgiven_free(rows);
 *     }
 *
 * Errors: as ration_peek. After RATION_ETIMEOUT and RATION_EUNAVAILABLE some or all of the debt may
 * be forgiven: asking again is safe, and the rows then show the rest.
 */
RATION_API int ration_forgive(ration *r, const char *tenant, struct ration_forgiven_row **rows,
                              size_t *n);
RATION_API void ration_forgiven_free(struct ration_forgiven_row *rows);

/* ---- The call itself ------------------------------------------------------------------------- */

/* How a try ended. Codes are added, never renumbered. */
#define RATION_OUTCOMES(X)                                                                         \
    X(ANSWERED, "answered")       /* 2xx with an answer in it */                                   \
    X(LIMITED, "limited")         /* 429: over a limit of the provider's */                        \
    X(EXHAUSTED, "exhausted")     /* 402: a quota or spend that no wait refills; never retried */  \
    X(OVERLOADED, "overloaded")   /* 529, 503, 498 */                                              \
    X(FAILED, "failed")           /* other 5xx; 408, 409, 425; 2xx without an answer in it */      \
    X(TIMED_OUT, "timed_out")     /* no answer, or no end of it, within timeout_ms */              \
    X(UNREACHED, "unreached")     /* connection failure: refused, reset, broken off, TLS */        \
    X(REFUSED, "refused")         /* 400, 401, 403, 404, 422 and other 4xx */

enum ration_outcome {
#define RATION_OUTCOME_ENUM(upper, name) RATION_##upper,
    RATION_OUTCOMES(RATION_OUTCOME_ENUM)
#undef RATION_OUTCOME_ENUM
};

/* Its name, as above; never NULL, lives for ever.
 * Example: puts(ration_outcome_name(RATION_TIMED_OUT)); */
RATION_API const char *ration_outcome_name(int outcome);

/* The classes of failure that are retried by default: bits 1u << RATION_LIMITED and so on.
 * RATION_EXHAUSTED is never retried, and RATION_REFUSED only if the provider says so, whatever is
 * asked for. */
#define RATION_RETRIED                                                                             \
    (1u << RATION_LIMITED | 1u << RATION_OVERLOADED | 1u << RATION_FAILED |                        \
     1u << RATION_TIMED_OUT | 1u << RATION_UNREACHED)

/*
 * Which failures of a provider are retried, and after how long. Start from ration_retry_init(),
 * which ration_call_options_init() calls; the defaults are in brackets.
 *
 *     outcome                        wait before the next try
 *     LIMITED, OVERLOADED, FAILED    min_ms x multiplier ^ (tries - 1), at most max_ms, plus or
 *                                    minus up to `jitter` of it; or as long as the provider said,
 *                                    if that is longer
 *     TIMED_OUT                      timed_out_ms x tries
 *     UNREACHED                      unreached_ms x tries
 *     EXHAUSTED                      never retried
 *     REFUSED                        not retried, unless the provider says so; then as LIMITED
 *
 * x-should-retry: true or false in the provider's answer is obeyed (except for EXHAUSTED, and for a
 * class that was switched off). A wait that the provider names is never shortened, not even to
 * max_ms: if it does not fit into the deadline, the call fails at once with retry_after_ms. A retry
 * is a new acquire, which may have to wait for the limits too; what the failed try used is reported
 * before it. Once text of a stream, or arguments of a tool call, have gone to the caller nothing is
 * retried; a stream that fails before that is started again.
 *
 *     call.retry.tries = 3;
 *     call.retry.max_ms = 10000;
 *     call.retry.classes &= ~(1u << RATION_TIMED_OUT);
 */
struct ration_retry {
    uint32_t tries;        /* in all, 1 - 100 [5]; 1: no retry */
    uint32_t min_ms;       /* 1 - 3600000 [1000] */
    uint32_t max_ms;       /* min_ms - 3600000 [60000] */
    double multiplier;     /* 1 - 10 [2] */
    double jitter;         /* 0 - 1 [0.25] */
    uint32_t timed_out_ms; /* 0 - 3600000 [5000] */
    uint32_t unreached_ms; /* 0 - 3600000 [3000] */
    /* For the whole call, waits and tries together, 1 - 86400000; [0]: timeout_ms (or its default)
     * + max_wait_ms + five minutes. The last try's timeout is cut to what is left, but the default
     * does not cut a stream that runs without a time-out. */
    uint32_t deadline_ms;
    unsigned classes; /* bits of enum ration_outcome [RATION_RETRIED] */
};

RATION_API void ration_retry_init(struct ration_retry *retry);

/*
 * One event of a streamed answer, as it arrives.
 * name    "" if the provider does not name its events
 * data    as it came, NUL-terminated, `bytes` without the NUL: JSON, or OpenAI's "[DONE]"
 * text    what the event adds to the answer's text, or NULL
 * All are valid during the call only. Non-zero ends the stream: ration_call() closes the
 * connection, settles the usage that is known, and returns RATION_EABORTED. Do not use the handle
 * in here.
 *
 * Events that come before anything was generated (pings, the start of a message) are held back
 * until something is, so that a stream which fails before that is started again without the caller
 * seeing it. Only reasoning may come twice. If the provider answers in one piece although a stream
 * was asked for, that is the only event: data is the whole answer.
 */
typedef int (*ration_stream_fn)(void *arg, const char *name, const char *data, size_t bytes,
                                const char *text);

/*
 * What ration_call() needs to know. Start from ration_call_options_init(). Fields are added at the
 * end, and `size` tells the library which of them the program was built with.
 */
struct ration_call_options {
    size_t size;          /* set by ration_call_options_init */
    const char *provider; /* a provider profile: "openai" (default), "anthropic", "gemini", ... */
    /* Base URL of the provider, with as much of the path as other clients want there, and with a
     * query if it needs one; default: the profile's own. */
    const char *url;
    /* Sent as the profile says, without the blanks around it; "": none is sent. Default: the
     * environment variable that the profile names, which must be set if the call goes to the
     * provider itself (for Bedrock, AWS_ACCESS_KEY_ID and its like do, to sign with). */
    const char *api_key;
    /* The request as JSON, borrowed. It is sent as it is, byte by byte, except for what the profile
     * must add or leave out. */
    const char *body;
    size_t body_bytes; /* 0: strlen(body) */
    /* What it does not state is estimated: characters / 4, what pictures, documents and sounds
     * cost, and the maximum that the body sets for the answer. */
    struct ration_amounts estimate;
    /* ttl_ms 0: timeout_ms and 5 s, at most a minute. While the call runs, the reservation is
     * renewed each time half of its life has passed. */
    struct ration_acquire_options acquire;
    /* Of one HTTP exchange, 1-3600000; 0 (default): 120000, but none for a stream, which
     * idle_timeout_ms ends. */
    uint32_t timeout_ms;
    /* How long denials are sat out before giving up; 0 (default): not at all. A retry that is
     * denied waits within retry.deadline_ms. */
    uint32_t max_wait_ms;
    const char *model; /* for a URL that names it (Gemini, Azure's deployments); default: the body's
                          "model" */
    /* A file with profiles of your own, added to the library's; default: the environment's
     * RATION_PROFILES, else none. Read when it is first named, then kept. */
    const char *profiles;
    struct ration_retry retry;
    /* 1: somebody is waiting. No denial and no failure is sat out: the call fails at once, and
     * retry_after_ms says when to come back. */
    int fail_fast;
    ration_stream_fn stream; /* gets the events of a streamed answer; NULL (default): they are
                                collected in the body */
    void *stream_arg;        /* its first argument */
    /* n_headers lines "Name: value" to send too, at most 32. One with the name of a profile's
     * header replaces it, the key's included, and "Name:" leaves it out. Those of the connection
     * (Host, Content-Length, Transfer-Encoding, Connection, ...) are refused. */
    const char *const *headers;
    size_t n_headers;
    /* "name=value&...", encoded as in a URL; its parameters replace those of the same name in url
     * and the profile's path. NULL: none. */
    const char *query;
    uint32_t idle_timeout_ms; /* how long a stream may be silent, 1000-3600000; 0: 120000 */
};

RATION_API void ration_call_options_init(struct ration_call_options *options);

/* A call's usage as the provider reported it, before anything is left out; 0: not reported. */
struct ration_usage {
    int64_t input_tokens;        /* all input, cached or not */
    int64_t output_tokens;       /* all output, reasoning included */
    int64_t total_tokens;
    int64_t cached_input_tokens; /* of the input: read from a cache */
    int64_t cache_write_tokens;  /* of the input: written to a cache */
    int64_t reasoning_tokens;    /* of the output */
    int64_t audio_tokens;        /* of both */
    char service_tier[32];       /* the provider's word for it, "default" or "flex"; "": none */
};

/* The result. Freed by ration_response_free(), which is allowed on a zeroed or already freed
 * struct. */
struct ration_response {
    int http_status; /* of the last try; 0: no answer came */
    /* Gives the answer as it came, decoded if it was compressed, NUL-terminated; NULL if none came,
     * or `stream` took it. */
    char *body;
    size_t body_bytes;
    struct ration_grant grant;  /* the server's last decision */
    struct ration_amounts used; /* as the provider counts what it reported; RATION_ZERO: nothing */
    int used_known;             /* 1: the answer reported its usage; 0: the estimate stands */
    int64_t retry_after_ms;     /* after a failure or denial: when to come back; 0: not known */
    uint64_t upstream_us;       /* microseconds that the HTTP exchange of the last try took */
    uint32_t tries;             /* HTTP exchanges; 0: nothing was sent */
    int outcome;                /* enum ration_outcome of the last try; 0 (RATION_ANSWERED): none */
    uint64_t waited_ms;         /* spent between tries and in sitting out denials */
    struct ration_usage usage;  /* of the last try, as the provider reported it */
    int usage_doubted;          /* 1: it reported more than such a call can use; `used` is capped */
};

/*
 * Acquires, calls the provider, sits out denials and failures as far as it may, reads what the call
 * used, and reports it.
 *
 *     struct ration_call_options call;
 *     struct ration_response answer = {0};
 *     ration_call_options_init(&call);
 *     call.body = "{\"model\":\"gpt-4o\",\"max_tokens\":100,"
 *                 "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
 *     if (ration_call(r, "openai/gpt-4o", "acme", &call, &answer) == RATION_OK)
 *         puts(answer.body);
 *     ration_response_free(&answer);
 *
 * Streamed, each piece as it arrives:
 *
 *     static int print(void *arg, const char *name, const char *data, size_t bytes,
 *                      const char *text)
 *     {
 *         return text && fputs(text, arg) == EOF;
 *     }
 *     ...
 *     call.provider = "anthropic";
 *     call.body = "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100,\"stream\":true,"
 *                 "\"messages\":[...]}";
 *     call.stream = print;
 *     call.stream_arg = stdout;
 *
 * The body's "stream" decides whether the answer is streamed. A stream is asked for its usage if
 * the provider wants to be asked, so it may end with one event more than the body asked for. A
 * server that refuses the question (400 or 422 that name stream_options) gets the call again at
 * once without it, which is a try of its own, and is not asked again through this handle.
 *
 * The report is sent before ration_call() returns, but its acknowledgement is read by the next
 * operation of the handle, or by ration_close(); a report that was lost is then sent again.
 *
 * RATION_OK means that the provider answered: with a 2xx whose body is an answer of its API and
 * reports no error; a stream must have come to its end. Anything else under a 2xx has failed, or is
 * what the error in it says (a code of 429 is LIMITED). Otherwise, out is still filled as far as it
 * went:
 *   RATION_EDENIED     a limit refused; nothing was sent; out->grant says which limit,
 *                      retry_after_ms how long to wait
 *   RATION_EUPSTREAM   the provider answered with an error (http_status, body), timed out, broke
 *                      off, or could not be reached, and the tries are used up, or a retry is ruled
 *                      out: outcome says which, and retry_after_ms when to come back. What the
 *                      provider may have counted stays charged: a call that was never sent is
 *                      cancelled, an error answer keeps its request and gives its tokens back, an
 *                      answer that was cut short is settled as partial
 *   RATION_EABORTED    `stream` returned non-zero; settled as partial
 *   the others         as ration_acquire; what was sent before has been settled
 */
RATION_API int ration_call(ration *r, const char *pool, const char *tenant,
                           const struct ration_call_options *options, struct ration_response *out);
RATION_API void ration_response_free(struct ration_response *response);

#ifdef __cplusplus
}
#endif
#endif
