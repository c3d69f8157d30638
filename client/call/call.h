/* One ration_call(): what its options come to, before anything is asked or sent. */
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
    struct ration_call_options options; /* checked, the defaults filled in, the estimate complete */
    struct profile_key key;
    json_object *request; /* the caller's body, parsed */
    const char *body;     /* as it is sent: the caller's own text, or `made` */
    size_t body_bytes;
    char *made;
    bool streamed;
    bool asks_usage;     /* `made` has the question for usage in it, which servers may refuse */
    int64_t most_output; /* as the body says; 0: it does not */
    bool elsewhere;      /* its input may be more than its bytes tell */
    uint32_t timeout_ms; /* of each exchange; 0: none */
    int64_t deadline_ms; /* of the whole call, by clock_ms() */
    char url[CALL_MAX_URL_BYTES];
};

/* Errors: RATION_EINVALID, _EUNSUPPORTED, _ENOMEM, with the message set. call_close() in any
 * case. */
int call_prepare(struct call *call, const struct ration_call_options *options);
void call_close(struct call *call);

/* After a server has refused to be asked for usage: makes the body anew without that, and has the
 * handle remember the URL. RATION_ENOMEM. */
int call_stop_asking(struct call *call);

#endif
