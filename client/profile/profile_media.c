/*
 * What pictures, documents, sounds and films in a request cost, in tokens of input.
 *
 * A profile says where they are (request.media) and what one of each kind costs (request.image and
 * so on). If the data is in the request, its size is read from it; for a URL or the id of a file,
 * the profile's price for an unknown one applies. These are estimates: the provider's own count is
 * charged afterwards.
 */
#include "profile/profile_inner.h"

#include "profile/media_size.h"

#include <string.h>

struct sum {
    const struct profile *profile;
    const struct profile_media *row;
    int64_t tokens;
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t at_least_1(int64_t n)
{
    return n < 1 ? 1 : n;
}

/* ---- Prices ---- */

/* Scales both sides down so that `side` is no longer than `most`. */
static void fit(int64_t *width, int64_t *height, int64_t side, int64_t most)
{
    if (most == 0 || side <= most)
        return;
    *width = at_least_1(*width * most / side);
    *height = at_least_1(*height * most / side);
}

static int64_t price_of_image(const struct profile_image *price, const struct media_size *size,
                              const char *detail)
{
    int64_t width = size ? size->width : 0;
    int64_t height = size ? size->height : 0;
    if (price->low > 0 && detail && strcmp(detail, "low") == 0)
        return price->low;
    if (width == 0)
        return price->unknown;
    if (price->small > 0 && width <= price->small_side && height <= price->small_side)
        return price->small;
    fit(&width, &height, width > height ? width : height, price->long_side);
    fit(&width, &height, width < height ? width : height, price->short_side);
    int64_t tokens = price->base;
    if (price->tile_side > 0)
        tokens +=
            divide_up(width, price->tile_side) * divide_up(height, price->tile_side) * price->tile;
    if (price->pixels > 0)
        tokens += divide_up(width * height, price->pixels);
    return price->most > 0 && tokens > price->most ? price->most : tokens;
}

/* `units`: pages or seconds; 0: not known, so they are estimated by the bytes. */
static int64_t price_of_length(const struct profile_length *price, int64_t units, int64_t bytes)
{
    if (units == 0 && price->bytes > 0)
        units = at_least_1(divide_up(bytes, price->bytes));
    return units * price->each > RATION_MAX_COST ? RATION_MAX_COST : units * price->each;
}

static int64_t price_of(const struct profile *profile, enum media_kind kind,
                        const struct media_size *size, const char *detail)
{
    int64_t bytes = size ? size->bytes : 0;
    switch (kind) {
    case MEDIA_IMAGE:
        return price_of_image(&profile->request.image, size, detail);
    case MEDIA_DOCUMENT:
        return size ? price_of_length(&profile->request.document, size->pages, bytes)
                    : profile->request.document.unknown;
    case MEDIA_AUDIO:
        if (!size)
            return profile->request.audio.unknown;
        return price_of_length(&profile->request.audio,
                               size->per_second > 0 ? divide_up(bytes, size->per_second) : 0,
                               bytes);
    case MEDIA_VIDEO:
        return size ? price_of_length(&profile->request.video, 0, bytes)
                    : profile->request.video.unknown;
    case MEDIA_TEXT:
        return profile_tokens_of(bytes);
    case MEDIA_UNKNOWN:
        break;
    }
    return 0;
}

/* ---- Data ---- */

/* By the bytes, else by what the request says, else by the place. */
static enum media_kind kind_of(const struct media_size *size, const char *type,
                               enum media_kind of_place)
{
    enum media_kind named = media_kind_of(type);
    if (size && size->kind != MEDIA_UNKNOWN)
        return size->kind;
    return named != MEDIA_UNKNOWN ? named : of_place;
}

static int64_t price_of_data(const struct profile *profile, const char *text, size_t n, size_t at,
                             const char *type, enum media_kind of_place, const char *detail)
{
    struct media_size size;
    media_measure(text + at, n - at, &size);
    return price_of(profile, kind_of(&size, type, of_place), &size, detail);
}

bool profile_price_text(const struct profile *profile, const char *text, size_t n, int64_t *tokens)
{
    char type[64];
    const char *of_url = NULL;
    size_t type_n = 0;
    size_t at = 0;
    if (!media_is_data(text, n, &at, &of_url, &type_n))
        return false;
    type_n = type_n < sizeof(type) ? type_n : sizeof(type) - 1;
    memcpy(type, of_url ? of_url : "", of_url ? type_n : 0);
    type[of_url ? type_n : 0] = '\0';
    *tokens += price_of_data(profile, text, n, at, type, MEDIA_UNKNOWN, NULL);
    return true;
}

/* ---- Places ---- */

static json_object *first_of(json_object *element, const struct profile_list *places)
{
    json_object *value = NULL;
    for (size_t i = 0; !value && i < places->n; i++)
        value = profile_first(element, places->at[i]);
    return value;
}

static const char *text_of(json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static bool is_meant(const struct profile_media *row, json_object *element)
{
    const char *is = row->key ? profile_first_text(element, row->key) : NULL;
    return !row->key || (is && row->is && strcmp(is, row->is) == 0);
}

/* The data may be base64, a URL of data, or a text; or a URL or an id, which do not show the
 * size. */
static int64_t price_of_element(const struct sum *sum, json_object *element, json_object *data)
{
    const struct profile_media *row = sum->row;
    const char *type = text_of(first_of(element, &row->type));
    const char *detail = row->detail ? profile_first_text(element, row->detail) : NULL;
    enum media_kind of_place = (enum media_kind)row->kind;
    const char *text = text_of(data);
    size_t n = text ? (size_t)json_object_get_string_len(data) : 0;
    size_t at = 0;
    const char *of_url = NULL;
    size_t type_n = 0;
    if (!text || n == 0)
        return price_of(sum->profile, kind_of(NULL, type, of_place), NULL, detail);
    if (!media_is_data(text, n, &at, &of_url, &type_n) && !media_is_base64(text, n)) {
        if (media_kind_of(type) == MEDIA_TEXT)
            return profile_tokens_of((int64_t)n);
        return price_of(sum->profile, kind_of(NULL, type, of_place), NULL, detail);
    }
    return price_of_data(sum->profile, text, n, at, type, of_place, detail);
}

static bool add_element(void *arg, json_object *element)
{
    struct sum *sum = arg;
    json_object *data = first_of(element, &sum->row->data);
    if (data && is_meant(sum->row, element))
        sum->tokens += price_of_element(sum, element, data);
    return sum->tokens < RATION_MAX_COST;
}

int64_t profile_price_media(const struct profile *profile, json_object *body)
{
    struct sum sum = {.profile = profile};
    for (size_t i = 0; i < profile->request.n_media; i++) {
        sum.row = &profile->request.media[i];
        profile_visit(body, sum.row->at, add_element, &sum);
    }
    return sum.tokens;
}
