/* One ration_call(): what its options come to, before anything is asked or sent. */
#ifndef RATION_CALL_H
#define RATION_CALL_H

#include "handle.h"
#include "profile.h"

#include <stdbool.h>

#define CALL_MAX_URL_BYTES 2048

struct call {
    ration *r;
    const char *pool;
    const char *tenant;
    const struct profile *profile;
    struct ration_call_options options; /* checked, the defaults filled in, the estimate complete */
    const char *key;                    /* NULL: none is sent */
    json_object *request;               /* the body; `body` may point into it */
    const char *body;                   /* as it is sent */
    size_t body_bytes;
    bool streamed;
    int64_t deadline_ms; /* of the whole call, by clock_ms() */
    char url[CALL_MAX_URL_BYTES];
};

/* Errors: RATION_EINVALID, _EUNSUPPORTED, _ENOMEM, with the message set. call_close() in any case. */
int call_prepare(struct call *call, const struct ration_call_options *options);
void call_close(struct call *call);

#endif
