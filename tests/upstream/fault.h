/*
 * One fault that a call meets. The header x-fault, --fault and POST /faults use the same names;
 * README.md lists them.
 */
#ifndef UPSTREAM_FAULT_H
#define UPSTREAM_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

struct completion;
struct evhttp_request;
struct json_object;
struct provider;
struct usage;

enum fault_kind {
    FAULT_NONE,
    FAULT_ERROR, /* an error in the call's shape: a client error before the limits are asked, a
                         server error when the answer is due, with nothing used */
    FAULT_HANG,  /* counted by its estimate; no answer ever */
    FAULT_STALL, /* likewise, after half of the answer */
    FAULT_RESET, /* the call is made and counted, like all below; a reset instead of the answer */
    FAULT_RESET_BODY, /* a reset after half of the answer */
    FAULT_TRUNCATE,   /* the end of the connection after half of the answer */
    FAULT_BADJSON,    /* 200 with half a JSON object */
    FAULT_NO_USAGE,   /* an answer that does not say what it used */
    FAULT_FORM,       /* an answer in a form from forms.json or POST /faults */
};

/* How an error says how long to wait. */
enum fault_wait {
    FAULT_WAIT_OWN,        /* in the shape's own way */
    FAULT_WAIT_NONE,       /* not at all */
    FAULT_WAIT_VERBATIM,   /* the value verbatim in Retry-After */
    FAULT_WAIT_MS,         /* retry-after-ms */
    FAULT_WAIT_AZURE_MS,   /* x-ms-retry-after-ms */
    FAULT_WAIT_SHOULD,     /* no wait; the value verbatim in x-should-retry */
    FAULT_WAIT_EPOCH,      /* Retry-After as seconds since 1970 */
    FAULT_WAIT_EPOCH_MS,   /* Retry-After as milliseconds since 1970 */
    FAULT_WAIT_DATE,       /* Retry-After as an HTTP date */
    FAULT_WAIT_RFC3339,    /* Retry-After as an RFC 3339 date */
    FAULT_WAIT_RETRY_INFO, /* RetryInfo in Gemini's body */
    FAULT_WAIT_RESET,      /* only in the headers of the requests limit */
};

#define FAULT_MAX_VALUE 40

struct fault {
    enum fault_kind kind;
    int status;       /* of an error */
    const char *type; /* of an error, static; NULL: the status's own */
    const char *code;
    enum fault_wait wait;
    char value[FAULT_MAX_VALUE]; /* for waits that send it verbatim */
    int64_t wait_us;
    enum report_failure failure; /* what the report calls it */
    struct json_object
        *form;    /* of a FAULT_FORM (form.h); keyed by family of shapes until fault_settle() */
    int64_t fill; /* the N of NAME:N; 0: none */
};

/* False if there is no such fault. */
bool fault_parse(const char *name, struct fault *fault);

/* Picks the form for this call's shape. False if there is none. A form that does not apply to this
 * request leaves no fault. */
bool fault_settle(struct fault *fault, const struct completion *asked);

/* The fault happens before the limits are asked. */
bool fault_is_early(const struct fault *fault);

/* Changes what a call will have used if its form says so. */
void fault_use(const struct fault *fault, const struct completion *asked, struct usage *use);

/* Answers with a FAULT_ERROR or an early form. */
void fault_answer(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                  const struct fault *fault);

/* The names, for messages. */
extern const char fault_names[];

#endif
