/*
 * Profiles for the client's fuzz targets, and what must hold for everything that they read.
 */
#ifndef RATION_FUZZ_PROFILES_H
#define RATION_FUZZ_PROFILES_H

#include "fuzz.h"

#include "profile/profile.h"

/*
 * Takes the first line, "gemini 503": a profile and a number, 0 if missing. An unknown name still
 * selects some profile. The set stays open for the whole run.
 */
const struct profile *fuzz_profile(struct fuzz_input *input, unsigned *number);

/* Parses any bytes as JSON, as the library parses answers; NULL: not JSON. The caller releases
 * it. */
json_object *fuzz_json(const char *bytes, size_t n);

/* The class of an event; checks that it is in the table. */
enum profile_class fuzz_classify_event(const struct profile *profile, const char *name,
                                       json_object *event);

/* Whether an answer can have this class. */
bool fuzz_is_answers_class(enum profile_class which);

/* Checks that parts do not exceed their wholes, nothing is negative, and what counts can be
 * charged. */
void fuzz_check_usage(const struct profile *profile, const struct profile_usage *usage);

/* Checks that waits and levels are usable. */
void fuzz_check_hints(const struct profile_hints *hints);

#endif
