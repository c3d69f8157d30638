/*
 * The profiles for the fuzz targets of the client, and what must hold of what is read by them.
 */
#ifndef RATION_FUZZ_PROFILES_H
#define RATION_FUZZ_PROFILES_H

#include "fuzz.h"

#include "profile/profile.h"

/*
 * Takes the first line, "gemini 503": a profile and a number, 0 where there is none. A name that no
 * profile has stands for one of them all the same. The set stays open for the whole run.
 */
const struct profile *fuzz_profile(struct fuzz_input *input, unsigned *number);

/* Any byte sequence as JSON, as the library parses answers; NULL: it is none. To be put back. */
json_object *fuzz_json(const char *bytes, size_t n);

/* The class of an event, which is one of the table. */
enum profile_class fuzz_classify_event(const struct profile *profile, const char *name,
                                       json_object *event);

/* Whether an answer can be of that class. */
bool fuzz_is_answers_class(enum profile_class which);

/* Parts are parts, nothing is negative, and what counts of it can be charged. */
void fuzz_check_usage(const struct profile *profile, const struct profile_usage *usage);

/* Waits and levels can be acted upon. */
void fuzz_check_hints(const struct profile_hints *hints);

#endif
