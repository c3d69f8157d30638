/*
 * One fault that a call is to meet. Names are those of the header x-fault, of --fault and of POST
 * /faults; README.md lists them.
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
    FAULT_ERROR, /* an error in the call's shape: of the client's kind before the limits are asked,
                         of the server's kind when the call's time has come, and nothing used */
    FAULT_HANG,  /* counted by its estimate; no answer ever */
    FAULT_STALL, /* likewise, after half of the answer */
    FAULT_RESET, /* the call is made and counted, as all that follow; a reset instead of the answer */
    FAULT_RESET_BODY, /* a reset after half of the answer */
    FAULT_TRUNCATE,   /* the end of the connection after half of the answer */
    FAULT_BADJSON,    /* 200 with half a JSON object */
    FAULT_NO_USAGE,   /* an answer that does not say what it used */
    FAULT_FORM,       /* an answer in a form of forms.json, or of POST /faults */
};

/* How an error tells the time to wait. */
enum fault_wait {
    FAULT_WAIT_OWN,      /* as the shape does */
    FAULT_WAIT_NONE,     /* not at all */
    FAULT_WAIT_VERBATIM, /* Retry-After, word for word */
    FAULT_WAIT_MS,       /* retry-after-ms */
    FAULT_WAIT_AZURE_MS, /* x-ms-retry-after-ms */
    FAULT_WAIT_SHOULD,   /* none, and x-should-retry word for word */
    FAULT_WAIT_EPOCH, /* Retry-After with the seconds since 1970 of a moment so many seconds from now */
    FAULT_WAIT_EPOCH_MS,   /* the same in milliseconds */
    FAULT_WAIT_DATE,       /* Retry-After with the date of HTTP, so many seconds from now */
    FAULT_WAIT_RFC3339,    /* Retry-After with that of RFC 3339 */
    FAULT_WAIT_RETRY_INFO, /* RetryInfo in Gemini's body */
    FAULT_WAIT_RESET,      /* nothing but the headers of the requests limit */
};

#define FAULT_MAX_VALUE 40

struct fault {
    enum fault_kind kind;
    int status;       /* of an error */
    const char *type; /* of an error, static; NULL: what goes with the status */
    const char *code;
    enum fault_wait wait;
    char value[FAULT_MAX_VALUE]; /* what is to be told, for forms that tell it word for word */
    int64_t wait_us;
    enum report_failure failure; /* what the report calls it */
    struct json_object
        *form;    /* of a FAULT_FORM (form.h); by the families of shapes until fault_settle() */
    int64_t fill; /* the N of NAME:N; 0: none */
};

/* False when there is no such fault. */
bool fault_parse(const char *name, struct fault *fault);

/* The call is in this shape: of a form, the one for it. False where there is none. A form that is
 * not for such a request leaves no fault. */
bool fault_settle(struct fault *fault, const struct completion *asked);

/* It happens instead of asking the limits. */
bool fault_is_early(const struct fault *fault);

/* Changes what a call will have used, where its form says so. */
void fault_use(const struct fault *fault, const struct completion *asked, struct usage *use);

/* Answers a FAULT_ERROR, or a form that is early. */
void fault_answer(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                  const struct fault *fault);

/* The names, for messages. */
extern const char fault_names[];

#endif
