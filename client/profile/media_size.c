/* Base64, and the formats in it, are read as a stream of bytes that only goes forward, so that
 * nothing has to be kept. Data that is cut short or makes no sense has an unknown size. */
#include "profile/media_size.h"

#include "bytes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_SIDE      (INT64_C(1) << 20)
#define MAX_SCANNED   (1 << 20) /* of a JPEG, until its size comes */
#define SHORTEST_DATA 64        /* fewer characters of base64 are not taken for data */

/* ---- Base64 ---- */

struct reader {
    const char *text;
    size_t n;
    size_t at;
    uint32_t bits;
    unsigned n_bits;
    size_t read;
};

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* The next byte; -1: the end, or not base64. */
static int next(struct reader *reader)
{
    while (reader->n_bits < 8) {
        if (reader->at >= reader->n)
            return -1;
        char c = reader->text[reader->at++];
        if (c == '\r' || c == '\n' || c == ' ')
            continue;
        int digit = digit_of(c);
        if (digit < 0)
            return -1;
        reader->bits = reader->bits << 6 | (uint32_t)digit;
        reader->n_bits += 6;
    }
    reader->n_bits -= 8;
    reader->read++;
    return (int)(reader->bits >> reader->n_bits & 0xff);
}

static bool read_bytes(struct reader *reader, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int byte = next(reader);
        if (byte < 0)
            return false;
        out[i] = (uint8_t)byte;
    }
    return true;
}

static bool skip_bytes(struct reader *reader, size_t n)
{
    while (n > 0 && next(reader) >= 0)
        n--;
    return n == 0;
}

/* ---- Pictures ---- */

static void set_image(struct media_size *out, int64_t width, int64_t height)
{
    out->kind = MEDIA_IMAGE;
    if (width > 0 && height > 0) {
        out->width = width < MAX_SIDE ? width : MAX_SIDE;
        out->height = height < MAX_SIDE ? height : MAX_SIDE;
    }
}

/* Markers until a frame begins: FF C0 - FF CF, but DHT, JPG and DAC. */
static void read_jpeg(struct reader reader, struct media_size *out)
{
    out->kind = MEDIA_IMAGE;
    if (!skip_bytes(&reader, 2))
        return;
    while (reader.read < MAX_SCANNED) {
        uint8_t b[5];
        int marker = next(&reader);
        while (marker == 0xff)
            marker = next(&reader);
        if (marker < 0)
            return;
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        if (!read_bytes(&reader, b, 2))
            return;
        int64_t length = bytes_big_endian(b, 2);
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
            marker != 0xcc) {
            if (read_bytes(&reader, b, 5))
                set_image(out, bytes_big_endian(b + 3, 2), bytes_big_endian(b + 1, 2));
            return;
        }
        if (length < 2 || marker == 0xda || !skip_bytes(&reader, (size_t)length - 2))
            return;
    }
}

/* Three forms: lossy, lossless, extended. */
static void read_webp(const uint8_t *b, size_t n, struct media_size *out)
{
    out->kind = MEDIA_IMAGE;
    if (n < 30)
        return;
    if (memcmp(b + 12, "VP8 ", 4) == 0)
        set_image(out, bytes_little_endian(b + 26, 2) & 0x3fff,
                  bytes_little_endian(b + 28, 2) & 0x3fff);
    else if (memcmp(b + 12, "VP8L", 4) == 0)
        set_image(out, (bytes_little_endian(b + 21, 4) & 0x3fff) + 1,
                  (bytes_little_endian(b + 21, 4) >> 14 & 0x3fff) + 1);
    else if (memcmp(b + 12, "VP8X", 4) == 0)
        set_image(out, bytes_little_endian(b + 24, 3) + 1, bytes_little_endian(b + 27, 3) + 1);
}

/* ---- Documents and sounds ---- */

/* Counts "/Type /Page" that is not "/Pages". A file whose objects are compressed shows none of
 * them. */
static void count_pages(struct reader reader, struct media_size *out)
{
    static const char word[] = "/Type";
    size_t matched = 0;
    out->kind = MEDIA_DOCUMENT;
    for (int byte = next(&reader); byte >= 0;) {
        if (byte != word[matched]) {
            matched = byte == word[0];
            byte = next(&reader);
            continue;
        }
        byte = next(&reader);
        if (word[++matched])
            continue;
        matched = 0;
        while (byte == ' ' || byte == '\r' || byte == '\n' || byte == '\t')
            byte = next(&reader);
        const char *page = "/Page";
        while (*page && byte == *page) {
            byte = next(&reader);
            page++;
        }
        if (!*page && byte >= 0 && !((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'))
            out->pages++;
    }
}

static void read_wav(const uint8_t *b, size_t n, struct media_size *out)
{
    out->kind = MEDIA_AUDIO;
    if (n >= 32 && memcmp(b + 12, "fmt ", 4) == 0)
        out->per_second = bytes_little_endian(b + 28, 4);
}

/* ---- All of them ---- */

static int64_t decoded_bytes(const char *text, size_t n)
{
    while (n > 0 && (text[n - 1] == '=' || text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    return (int64_t)n / 4 * 3 + (int64_t)(n % 4) * 3 / 4;
}

void media_measure(const char *base64, size_t n, struct media_size *out)
{
    const struct reader begin = {.text = base64, .n = n};
    struct reader reader = begin;
    uint8_t b[32] = {0};
    size_t got = 0;
    *out = (struct media_size){.bytes = decoded_bytes(base64, n)};
    while (got < sizeof(b) && read_bytes(&reader, b + got, 1))
        got++;
    if (got >= 24 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
        set_image(out, bytes_big_endian(b + 16, 4), bytes_big_endian(b + 20, 4));
    else if (got >= 10 && memcmp(b, "GIF8", 4) == 0)
        set_image(out, bytes_little_endian(b + 6, 2), bytes_little_endian(b + 8, 2));
    else if (got >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0)
        read_jpeg(begin, out);
    else if (got >= 16 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
        read_webp(b, got, out);
    else if (got >= 16 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WAVE", 4) == 0)
        read_wav(b, got, out);
    else if (got >= 5 && memcmp(b, "%PDF-", 5) == 0)
        count_pages(begin, out);
    else if (got >= 4 &&
             (memcmp(b, "ID3", 3) == 0 || memcmp(b, "OggS", 4) == 0 || memcmp(b, "fLaC", 4) == 0))
        out->kind = MEDIA_AUDIO;
    else if (got >= 12 && memcmp(b + 4, "ftyp", 4) == 0)
        out->kind = memcmp(b + 8, "avif", 4) == 0 || memcmp(b + 8, "hei", 3) == 0 ? MEDIA_IMAGE
                                                                                  : MEDIA_VIDEO;
}

/* ---- Names of formats ---- */

static bool is_in(const char *const *words, const char *text)
{
    for (; *words; words++) {
        if (strcasecmp(*words, text) == 0)
            return true;
    }
    return false;
}

enum media_kind media_kind_of(const char *type)
{
    static const char *const images[] = {"png", "jpg", "jpeg", "gif", "webp", NULL};
    static const char *const documents[] = {"pdf", "doc", "docx", "xls", "xlsx", NULL};
    static const char *const sounds[] = {"wav", "mp3",   "flac", "ogg", "opus",
                                         "aac", "pcm16", "aiff", "m4a", NULL};
    static const char *const videos[] = {"mp4", "mov", "mkv", "webm", "flv", "mpeg", "mpg", NULL};
    static const char *const texts[] = {
        "txt", "md", "csv", "html", "application/json", "application/xml", NULL};
    if (!type)
        return MEDIA_UNKNOWN;
    if (strncasecmp(type, "image/", 6) == 0 || is_in(images, type))
        return MEDIA_IMAGE;
    if (strncasecmp(type, "audio/", 6) == 0 || is_in(sounds, type))
        return MEDIA_AUDIO;
    if (strncasecmp(type, "video/", 6) == 0 || is_in(videos, type))
        return MEDIA_VIDEO;
    if (strncasecmp(type, "text/", 5) == 0 || is_in(texts, type))
        return MEDIA_TEXT;
    if (strncasecmp(type, "application/", 12) == 0 || is_in(documents, type))
        return MEDIA_DOCUMENT;
    return MEDIA_UNKNOWN;
}

static bool has_digits_only(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digit_of(text[i]) < 0 && text[i] != '\n' && text[i] != '\r')
            return false;
    }
    return true;
}

bool media_is_base64(const char *text, size_t n)
{
    struct media_size size;
    if (n >= SHORTEST_DATA)
        return has_digits_only(text, SHORTEST_DATA);
    media_measure(text, n, &size);
    return size.kind != MEDIA_UNKNOWN;
}

bool media_is_data(const char *text, size_t n, size_t *at, const char **type, size_t *type_n)
{
    *at = 0;
    *type = NULL;
    *type_n = 0;
    if (n > 5 && strncasecmp(text, "data:", 5) == 0) {
        const char *comma = memchr(text, ',', n);
        size_t len = strcspn(text + 5, ";,");
        if (!comma || comma - text < 12 || strncasecmp(comma - 7, ";base64", 7) != 0)
            return false;
        *type = text + 5;
        *type_n = len;
        *at = (size_t)(comma - text) + 1;
        return true;
    }
    struct media_size size;
    if (n < SHORTEST_DATA || !has_digits_only(text, SHORTEST_DATA))
        return false;
    media_measure(text, SHORTEST_DATA, &size);
    return size.kind != MEDIA_UNKNOWN;
}
