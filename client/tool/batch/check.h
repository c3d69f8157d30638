/*
 * Whether the provider that was named is the one that a request was written for, and how the request is sent.
 *
 * A request of OpenAI's form may say its "url". That is the name of an endpoint, not a place: behind another base URL, or at
 * another provider that speaks the same, it has another path. So it fits where it is the path that is called, the profile's
 * own path, or that of a profile which reads and answers in the same form. Requests of Anthropic's and Gemini's batches fit
 * what answers as those do.
 */
#ifndef RATION_TOOL_BATCH_CHECK_H
#define RATION_TOOL_BATCH_CHECK_H

#include "profile/profile.h"
#include "tool/batch/batch.h"
#include "tool/batch/form.h"

#define BATCH_URL_BYTES 4096

struct batch_checker {
    const struct batch_options *options;
    const struct profiles *profiles;
    const struct profile *profile;
    char
        fits[BATCH_ERROR_BYTES / 4]; /* a "url" that some request had and that fits; "": none yet */
};

/* For batch_input_open(); arg is a struct batch_checker. */
bool batch_check(void *arg, const struct batch_request *request, char *why);

/* What a body says of how it is sent. */
struct batch_sending {
    struct profile_request read;
    bool whole; /* it must say "stream": false, because the API streams where nothing is said */
    char url[BATCH_URL_BYTES];
};

/* Reads a body, in which "stream" becomes false where it must say so. RATION_EINVALID with `why` (PROFILE_WHY_BYTES). */
int batch_read_body(const struct batch_options *options, const struct profile *profile,
                    json_object *body, struct batch_sending *out, char *why);

#endif
