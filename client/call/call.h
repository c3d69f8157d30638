/* One ration_call(): its options, checked and completed, before anything is asked or sent. */
#ifndef RATION_CALL_H
#define RATION_CALL_H

#include "handle.h"
#include "profile/profile.h"

#include <stdbool.h>

#define CALL_MAX_URL_BYTES 4096

struct call {
    ration *r;
    const char *pool;
    const char *tenant;
    const struct profile *profile;
    struct ration_call_options options; /* checked and completed, the estimate too */
    struct profile_key key;
    json_object *request; /* the caller's body, parsed */
    const char *body;     /* to send: the caller's own text, or `made` */
    size_t body_bytes;
    char *made;
    bool streamed;
    bool asks_usage;     /* `made` asks for usage, which servers may refuse */
    int64_t most_output; /* the body's maximum for the answer; 0: none */
    bool elsewhere;      /* its input may be more than its bytes show */
    uint32_t timeout_ms; /* of each exchange; 0: none */
    int64_t deadline_ms; /* of the whole call, by clock_ms() */
    char url[CALL_MAX_URL_BYTES];
};

/* Errors: RATION_EINVALID, _EUNSUPPORTED, _ENOMEM, with the message set. Call call_close() in any
 * case. */
int call_prepare(struct call *call, const struct ration_call_options *options);
void call_close(struct call *call);

/* After a server has refused to be asked for usage: builds the body again without the question, and
 * has the handle remember the URL. RATION_ENOMEM. */
int call_stop_asking(struct call *call);

#endif
