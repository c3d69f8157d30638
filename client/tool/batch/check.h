/*
 * Whether a request was written for the provider that was named, and how it is sent.
 *
 * A request in OpenAI's form may have a "url". That names an endpoint, not a place: behind another
 * base URL, or at another provider with the same API, it has another path. So it fits if it is the
 * path that is called, the profile's own path, or that of a profile which reads and answers in the
 * same form. Requests in Anthropic's and Gemini's forms fit any provider that answers in the same
 * form.
 */
#ifndef RATION_TOOL_BATCH_CHECK_H
#define RATION_TOOL_BATCH_CHECK_H

#include "tool/batch/batch.h"
#include "tool/batch/form.h"

#include "profile/profile.h"

#define BATCH_URL_BYTES 4096

struct batch_checker {
    const struct batch_options *options;
    const struct profiles *profiles;
    const struct profile *profile;
    char fits[BATCH_ERROR_BYTES / 4]; /* the first "url" that fits; "": none yet */
};

/* For batch_input_open(); arg is a struct batch_checker. */
bool batch_check(void *arg, const struct batch_request *request, char *why);

/* What a body says of how it is sent. */
struct batch_sending {
    struct profile_request read;
    bool whole; /* it must say "stream": false, because this API streams by default */
    char url[BATCH_URL_BYTES];
};

/* Reads a body and sets its "stream" to false if the API streams by default. RATION_EINVALID with
 * `why` (PROFILE_WHY_BYTES). */
int batch_read_body(const struct batch_options *options, const struct profile *profile,
                    json_object *body, struct batch_sending *out, char *why);

#endif
