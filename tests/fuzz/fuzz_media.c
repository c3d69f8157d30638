/*
 * Fuzz target: images, documents and audio in a request. An input that begins with "=" is the text
 * in the request; any other is the file, which is encoded in base64 first.
 *
 * What was measured is never below zero and never more than was there.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "profile/media_size.h"

static char *encode(const uint8_t *bytes, size_t n, size_t *out_n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    char *out = malloc((n + 2) / 3 * 4 + 1);
    CHECK(out != NULL);
    *out_n = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < n ? bytes[i + 2] : 0;
        for (int k = 0; k < 4; k++)
            out[(*out_n)++] = digits[i + (size_t)k <= n ? three >> (18 - 6 * k) & 63 : 64];
    }
    return out;
}

static void check_text(const char *text, size_t n)
{
    struct media_size size;
    size_t at = 0;
    const char *type = NULL;
    size_t type_n = 0;
    memset(&size, 0xa5, sizeof(size));
    media_measure(text, n, &size);
    CHECK(size.kind >= MEDIA_UNKNOWN && size.kind <= MEDIA_TEXT);
    CHECK(size.bytes >= 0 && (size_t)size.bytes <= n);
    CHECK(size.width >= 0 && size.height >= 0 && size.pages >= 0 && size.per_second >= 0);
    CHECK(size.width <= UINT32_MAX && size.height <= UINT32_MAX && size.per_second <= UINT32_MAX);
    CHECK((size_t)size.pages <= n);
    if (media_is_data(text, n, &at, &type, &type_n)) {
        CHECK(at <= n);
        CHECK(type_n == 0 || (type >= text && type + type_n <= text + n));
    }
    media_is_base64(text, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    if (size > 0 && data[0] == '=') {
        char *text = fuzz_text((const char *)data + 1, size - 1); /* as JSON gives it */
        check_text(text, size - 1);
        CHECK(media_kind_of(text) <= MEDIA_TEXT);
        free(text);
        return 0;
    }
    char *encoded = encode(data, size, &n);
    char *text = fuzz_text(encoded, n);
    check_text(text, n);
    free(text);
    free(encoded);
    return 0;
}
