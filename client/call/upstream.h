/*
 * One HTTP exchange with a provider, on a libcurl easy handle of its own: from a request, to which
 * the profile adds, to an answer that has been read: its class, its usage, and what it says about
 * limits and waits.
 *
 * It runs nothing itself. Between upstream_begin() and upstream_end() the easy handle is the
 * caller's to run, with curl_easy_perform() or in a curl multi handle among others:
 *
 *     struct upstream *up = upstream_new();
 *     if (upstream_begin(up, &request) == 0) {
 *         curl_multi_add_handle(multi, upstream_easy(up));
 *         ... when curl_multi_info_read() reports CURLMSG_DONE:
 *         curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request.arg);
 *         CURLcode code = message->data.result;
 *         curl_multi_remove_handle(multi, upstream_easy(up));
 *         upstream_end(up, code, &answer);
 *         ...
 *         upstream_answer_free(&answer);
 *     }
 *
 * It does not know the ration handle, and two of them share only the profiles, so each may run in a
 * thread of its own. An upstream is reused, for one exchange at a time; it keeps its connection (in
 * a multi handle the multi keeps it).
 */
#ifndef RATION_UPSTREAM_H
#define RATION_UPSTREAM_H

#include "profile/profile.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#define UPSTREAM_MAX_ANSWER_BYTES (64u << 20)
#define UPSTREAM_WHY_BYTES        256
#define UPSTREAM_REASON_BYTES     (RATION_MAX_REASON_BYTES + 1)

struct upstream;

/* Everything is borrowed until upstream_end(). */
struct upstream_request {
    const struct profile *profile;
    const char *url; /* by profile_url() */
    const char *key; /* NULL or "": none is sent */
    const char *body;
    size_t body_bytes;
    bool streamed;              /* as profile_read_request() says */
    uint32_t timeout_ms;        /* of the whole exchange; 0: none */
    uint32_t idle_ms;           /* of a stream: how long it may be silent; 0: for ever */
    const char *const *headers; /* the caller's own lines, n_headers of them */
    size_t n_headers;
    /* Gets the events of a streamed 2xx, or a whole answer that came instead, as one event. NULL:
     * the answer is collected as it comes. */
    ration_stream_fn stream;
    void *stream_arg;
    int64_t most_output; /* the body's maximum for the answer in tokens; 0: none */
    bool elsewhere;      /* its input may be more than its bytes show */
    void *arg;           /* the caller's own: CURLINFO_PRIVATE of the easy handle */
};

/* What came of it. */
struct upstream_answer {
    enum profile_class outcome; /* as enum ration_outcome */
    int status;                 /* 0: no answer came */
    char *body;                 /* gives, NUL-terminated; NULL: none, or the callback took it */
    size_t body_bytes;
    bool sent;        /* some of the request left this machine: the provider may count it */
    bool complete;    /* the whole answer came, and is one; a stream came to its end */
    bool aborted;     /* by the caller's callback */
    bool delivered;   /* the caller's callback has been given text, or arguments of a tool call */
    bool no_memory;   /* for the answer, here */
    bool streamed;    /* a piece of a streamed answer came, or an event that is an error */
    int error_status; /* the status that an error under a 200 amounts to; 0: none came */
    struct profile_usage usage; /* .known: all was reported; else as far as it was */
    int64_t generated;          /* of a stream: characters generated, under whatever name */
    int64_t most_output;        /* as the request said */
    bool elsewhere;             /* likewise */
    size_t request_bytes;       /* of its body */
    struct profile_hints hints; /* waits and limits in the headers or the error's body */
    uint64_t took_us;
    char reason[UPSTREAM_REASON_BYTES]; /* EXHAUSTED: why, a word without spaces; else "" */
    char why[UPSTREAM_WHY_BYTES];       /* what went wrong, in words; "" after an answer */
};

struct upstream *upstream_new(void);     /* NULL: out of memory, or libcurl failed to start */
void upstream_free(struct upstream *up); /* NULL is allowed; not in a multi handle any more */

CURL *upstream_easy(struct upstream *up);

/* Sets the easy handle up. Errors: RATION_ENOMEM, and then there is nothing to end. */
int upstream_begin(struct upstream *up, const struct upstream_request *request);

/* Reads what came. code: what curl_easy_perform() returned, or CURLMSG_DONE's result;
 * CURLE_ABORTED_BY_CALLBACK for an exchange that the caller broke off. */
void upstream_end(struct upstream *up, CURLcode code, struct upstream_answer *answer);

/* Allowed on a zeroed or already freed struct. */
void upstream_answer_free(struct upstream_answer *answer);

/* libcurl guards its writes against SIGPIPE only if it may touch signal handlers, which a library
 * must not (CURLOPT_NOSIGNAL). It writes to plain sockets with MSG_NOSIGNAL, but TLS libraries may
 * use write(). So whoever runs the handles blocks SIGPIPE in its thread for that time, and takes
 * away one that was raised. A whole program that ignores SIGPIPE needs neither. */
struct upstream_quiet {
    sigset_t before;
    bool was_pending;
};
void upstream_quiet_begin(struct upstream_quiet *quiet);
void upstream_quiet_end(const struct upstream_quiet *quiet);

#endif
