/*
 * What differs between providers, as one table each. ration_call() does the same for all of them; a profile says where
 * the call goes, how the key is sent, what a request will cost at the most, and where an answer says what it did cost.
 */
#ifndef RATION_PROVIDER_H
#define RATION_PROVIDER_H

#include <ration/ration.h>

#include <stdbool.h>

#include <json-c/json.h>

struct provider {
    const char *name;         /* in ration_call_options.provider */
    const char *url;          /* base URL unless the caller has another */
    const char *path;         /* behind the base URL */
    const char *key_header;   /* before the key, as "Authorization: Bearer " */
    const char *key_variable; /* of the environment, where the caller states no key */

    /* Fills in what `estimate` does not state. 0, RATION_EINVALID or RATION_EUNSUPPORTED with *why set to a constant. */
    int (*estimate)(json_object *request, struct ration_amounts *estimate, const char **why);

    /* Reads what was used; false, and `used` unchanged, where the answer does not say it in full. */
    bool (*usage)(json_object *answer, struct ration_amounts *used);
};

extern const struct provider provider_openai;

/* The profile of that name (NULL: openai), or NULL. Lives for ever. */
const struct provider *provider_find(const char *name);

/* For profiles: code points of UTF-8 text; a byte that begins no character counts as nothing. */
int64_t provider_count_characters(const char *text, size_t len);

/* For profiles: an integer member, 0 - RATION_MAX_COST. False where it is missing or anything else. */
bool provider_get_count(json_object *object, const char *key, int64_t *out);

#endif
