/*
 * Fuzz target: reservation ids, as the server parses them and as the client checks them.
 *
 * A parsed id formats as it was, within its size; and server and client, which each have their own
 * code for this, agree on what an id is.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "policy/id.h"

/* From client/wire/id.c; its header cannot be included, because it is named like the server's. */
bool id_is_canonical(const char *id);
bool id_is_valid(const char *id);

static void check_parts(const struct id *id)
{
    if (id->free_form) {
        CHECK(id->free_bytes >= 1 && id->free_bytes <= RATION_MAX_FREE_ID_BYTES);
        return;
    }
    CHECK(id->slice_bytes >= 1 && id->slice_bytes <= RATION_ID_MAX_SLICE);
    CHECK(id->tenant_bytes >= 1 && id->tenant_bytes <= RATION_MAX_TENANT_BYTES);
    CHECK(id->pool_bytes >= 1 && id->pool_bytes <= RATION_MAX_POOL_BYTES);
    CHECK(memchr(id->pool, '@', id->pool_bytes) == NULL);
    CHECK(id_is_for(id, id->tenant, id->tenant_bytes, id->pool, id->pool_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct id id, again;
    char *bytes = fuzz_copy((const char *)data, size);
    char *text = fuzz_text((const char *)data, size);
    memset(&id, 0xa5, sizeof(id));
    const char *wrong = id_parse(bytes, size, &id);
    if (memchr(text, '\0', size) == NULL) {
        CHECK(id_is_valid(text) == (wrong == NULL));
        CHECK(id_is_canonical(text) == (wrong == NULL && !id.free_form));
    }
    if (wrong == NULL) {
        char written[RATION_MAX_ID_BYTES];
        check_parts(&id);
        CHECK(id_is_made(&id));
        CHECK(id_format(&id, written) == size && memcmp(written, bytes, size) == 0);
        CHECK(written[size] == '\0');
        CHECK(id_parse(written, size, &again) == NULL && id_same_reservation(&id, &again));
    } else {
        CHECK(wrong[0] != '\0');
    }
    free(text);
    free(bytes);
    return 0;
}
