/*
 * The size of a picture, document or sound that a request contains as base64, read from the data
 * itself; it decodes no more than that takes. Pure, without memory of its own; the bytes may be
 * anything.
 */
#ifndef RATION_MEDIA_SIZE_H
#define RATION_MEDIA_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum media_kind {
    MEDIA_UNKNOWN,
    MEDIA_IMAGE,
    MEDIA_DOCUMENT,
    MEDIA_AUDIO,
    MEDIA_VIDEO,
    MEDIA_TEXT
};

struct media_size {
    enum media_kind kind; /* by the data's first bytes */
    int64_t bytes;        /* decoded */
    int64_t width;        /* of an image, in pixels; 0: unknown */
    int64_t height;
    int64_t pages;      /* of a document; 0: unknown */
    int64_t per_second; /* bytes of a sound; 0: unknown */
};

/* PNG, GIF, JPEG, WebP; PDF, whose page objects are counted unless they are compressed; WAV. */
void media_measure(const char *base64, size_t n, struct media_size *out);

/* The kind by the name of a format: "image/png", "png", "application/pdf", "wav", "text/plain". */
enum media_kind media_kind_of(const char *type);

/* Whether a text can be base64, rather than a URL or the id of a file. */
bool media_is_base64(const char *text, size_t n);

/* Whether a text is really data: a URL of data ("data:image/png;base64,..."), or base64 of a known
 * format. `at` is where the base64 begins, `type` the URL's name for it, of length type_n (0:
 * none). */
bool media_is_data(const char *text, size_t n, size_t *at, const char **type, size_t *type_n);

#endif
