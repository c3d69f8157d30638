/*
 * What the parts of the profiles share: a profile as it is after reading, and the places
 * ("messages[].content") by which it finds something in a JSON document. All texts are borrowed
 * from the set's tree.
 *
 *   profile.c          the set: opening, finding, closing
 *   profile_file.c     from text to a tree: JSON, and "like"
 *   profile_check.c    from a tree to struct profile, and what is wrong with a file
 *   profile_keys.c     the table of keys
 *   profile_place.c    places in a document
 *   profile_url.c      where a call goes
 *   profile_header.c   its headers
 *   profile_key.c      what it authenticates with
 *   profile_request.c  what a request asks for, and what is sent
 *   profile_media.c    what pictures and the like in it cost
 *   profile_usage.c    what an answer or a stream used, and what of it counts
 *   profile_piece.c    what an answer or an event of a stream adds to the answer
 *   profile_error.c    what went wrong
 *   profile_limits.c   limits and waits in headers and errors
 *   profile_period.c   the period of a limit that does not state it
 */
#ifndef RATION_PROFILE_INNER_H
#define RATION_PROFILE_INNER_H

#include "profile/profile.h"

#define PROFILE_MAX_LIST  24
#define PROFILE_MAX_ROWS  16
#define PROFILE_KEY_BYTES 64 /* of one member in a place, with the NUL */

/* A list of places or names. */
struct profile_list {
    const char *at[PROFILE_MAX_LIST];
    size_t n;
};

struct profile_fixed_header {
    const char *name;
    const char *value;
};

/* Where a picture, document or sound may be in a request. */
struct profile_media {
    const char *at;
    const char *key; /* only where this member of it ... */
    const char *is;  /* ... is this; NULL: everywhere */
    int64_t kind;    /* enum media_kind, if neither the data nor its type shows it */
    struct profile_list data;
    struct profile_list type;
    const char *detail;
};

/* What pictures cost in tokens; 0: that part is not in the price. */
struct profile_image {
    int64_t low;
    int64_t base;
    int64_t tile;
    int64_t tile_side;
    int64_t pixels;
    int64_t long_side;
    int64_t short_side;
    int64_t small;
    int64_t small_side;
    int64_t most;
    int64_t unknown;
};

/* What a document costs by its pages, or a sound or film by its seconds. */
struct profile_length {
    int64_t each;
    int64_t bytes;
    int64_t unknown;
};

/* Objects with counts that the main ones leave out: those at `at` whose member `key` is `is`. */
struct profile_more {
    const char *at;
    const char *key;
    const char *is;
};

struct profile_wait {
    const char *header;
    bool in_ms; /* "form": "ms" */
};

struct profile_limit {
    int64_t unit; /* enum ration_unit */
    int64_t per_ms;
    const char *limit; /* names of headers; NULL: none reports it */
    const char *remaining;
    const char *reset;
    const char *period; /* its period in seconds */
    const char *state;  /* RateLimit and RateLimit-Policy of the IETF's draft, instead of these */
    const char *policy;
    bool reset_may_be_ms; /* a reset without a unit may be seconds or milliseconds */
};
_Static_assert(PROFILE_MAX_ROWS == PROFILE_MAX_LIMITS, "what is reported is kept by row");

/* What the id of a violated limit contains: "PerDay". */
struct profile_word_unit {
    const char *word;
    int64_t unit;
};

struct profile_word_period {
    const char *word;
    int64_t per_ms;
};

struct profile_violations {
    const char *at;
    const char *id;
    const char *limit;
    struct profile_word_unit units[PROFILE_MAX_ROWS];
    size_t n_units;
    struct profile_word_period periods[PROFILE_MAX_ROWS];
    size_t n_periods;
};

/* The keys of profiles.json, which explains each. */
struct profile {
    const char *name;
    const char *source;
    const char *checked;
    const char *url; /* NULL: the caller names it */
    const char *path;
    const char *stream_path;    /* NULL: path */
    const char *versioned_path; /* NULL: path */
    bool versioned_base;
    bool streams;
    struct {
        const char *header;
        const char *prefix; /* NULL: none */
        const char *variable;
        const char *parameter; /* NULL: none */
        bool optional;
    } key;
    struct {
        const char *service; /* NULL: requests are not signed */
        const char *id;
        const char *secret;
        const char *session;
    } sign;
    struct profile_fixed_header headers[PROFILE_MAX_ROWS];
    size_t n_headers;
    struct {
        struct profile_list text;
        struct profile_list json;
        struct profile_list max_output;
        struct profile_list choices;
        int64_t default_output;
        const char *ask_usage;
        struct profile_list drop;
        const char *content_type;
        struct profile_list elsewhere;
        const char *accept;
        const char *stream_accept;
        bool output; /* the API has output */
        bool streams_by_default;
        const char *tools_at; /* NULL: tools cost by their length */
        int64_t tools_tokens;
        struct profile_media media[PROFILE_MAX_ROWS];
        size_t n_media;
        struct profile_image image;
        struct profile_length document;
        struct profile_length audio;
        struct profile_length video;
    } request;
    struct {
        struct profile_list has;
        struct profile_list text;
        struct profile_list failed_at;
        struct profile_list failed;
    } answer;
    struct {
        struct profile_list at;
        struct profile_list stream_at;
        struct profile_list input;
        struct profile_list output;
        struct profile_list total;
        struct profile_list cached;
        struct profile_list cache_writes;
        struct profile_list reasoning;
        struct profile_list audio;
        bool absent_is_zero;
        struct profile_more more[PROFILE_MAX_ROWS];
        size_t n_more;
        struct profile_list tier;
        const char *tier_header;
    } usage;
    struct {
        bool cached_input;
        bool cache_writes;
        int64_t output;
    } counts;
    struct {
        struct profile_list text;
        struct profile_list text_events;
        const char *not_text;
        enum profile_form form;
        struct profile_list arguments;
        struct profile_list arguments_events;
        struct profile_list generated;
        struct profile_list generated_events;
        struct profile_list not_generated;
        struct profile_list begun;
        struct profile_list end_data;
        struct profile_list end_events;
        struct profile_list end_at;
    } stream;
    struct {
        struct profile_list at;
        struct profile_list message;
        struct profile_list codes;
        struct profile_list events;
        struct profile_list exhausted;
        struct profile_list exhausted_messages;
        struct profile_list limited;
        struct profile_list overloaded;
        struct profile_list refused;
        struct profile_list delay;
        struct profile_violations violations;
    } errors;
    const char *should_retry; /* header */
    struct profile_wait waits[PROFILE_MAX_ROWS];
    size_t n_waits;
    struct profile_limit limits[PROFILE_MAX_LIMITS];
    size_t n_limits;
};

/* ---- profile.c ---- */

/* Puts `format` into `why` and returns RATION_EINVALID. */
int profile_fail(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns RATION_ENOMEM, with "out of memory for the <what>" in `why`. */
int profile_no_memory(const char *what, char *why);

/* ---- profile_file.c ---- */

/* Reads profiles from text; what is wrong goes into `why`. Gives the tree, to be freed by
 * json_object_put(). */
int profile_parse(const char *text, size_t n, json_object **out, char *why);

/* The same from a file. */
int profile_parse_file(const char *path, json_object **out, char *why);

/* Gives the profile of that name in full, "like" followed. `file` may be NULL. */
int profile_resolve(json_object *embedded, json_object *file, const char *name, json_object **out,
                    char *why);

/* ---- profile_check.c ---- */

/* Fills in a profile from its tree, which it borrows from now on. RATION_EINVALID with `why`. */
int profile_build(const char *name, json_object *tree, struct profile *out, char *why);

/* ---- profile_piece.c ---- */

/* The event's name, or the one in its data if the stream does not name its events. NULL:
 * neither. */
const char *profile_event_name(const char *name, json_object *event);

/* ---- profile_header.c ---- */

/* The length of the header name that `text` begins with; 0: it does not begin with one. */
size_t profile_header_name(const char *text);

/* ---- profile_request.c ---- */

/* The characters of a text in UTF-8. */
int64_t profile_count_characters(const char *text, size_t len);

/* ---- profile_media.c ---- */

/* The price of everything that the profile lists as media. */
int64_t profile_price_media(const struct profile *profile, json_object *body);

/* Whether a text is really data; if so, adds its price. */
bool profile_price_text(const struct profile *profile, const char *text, size_t n, int64_t *tokens);

/* ---- profile_period.c ---- */

/* The period (ms) of a limit that has `remaining` left and is full again in reset_ms, give or take
 * within_ms; 0: it cannot be determined. only_ms: the only one that it may be; 0: any usual one. */
int64_t profile_period(int64_t limit, int64_t remaining, int64_t reset_ms, int64_t within_ms,
                       int64_t only_ms);

/* The same for a reset without a unit: *reset_ms gets it in milliseconds. False: neither reading
 * can be believed. */
bool profile_read_bare(const struct profile_reported *reported, int64_t only_ms, int64_t *reset_ms,
                       int64_t *period_ms);

/* ---- profile_place.c ---- */

/* Whether a place is well formed. */
bool profile_place_is_good(const char *place);

/* Calls `visit` with each value at `place` that is not null, until it returns false. */
void profile_visit(json_object *root, const char *place,
                   bool (*visit)(void *arg, json_object *value), void *arg);

/* The first such value, or NULL. */
json_object *profile_first(json_object *root, const char *place);

/* The first that is a text, or NULL. Borrowed. */
const char *profile_first_text(json_object *root, const char *place);

/* Whether `text` is in the list, letter by letter; NULL is not. */
bool profile_has_word(const struct profile_list *list, const char *text);

#endif
