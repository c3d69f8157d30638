/*
 * A project's limits, read from OpenAI's administration API and printed as pools of rationd's
 * configuration.
 *
 *     GET {url}/v1/organization/projects/{project}/rate_limits?limit=100[&after={last_id}]
 *     {"object": "list", "has_more": true, "last_id": "rl-...", "data": [
 *         {"id": "rl-...", "model": "gpt-4o", "max_requests_per_1_minute": 500, ...}]}
 *
 * Everything is printed after the last page: half a list would be taken for a whole one. Answers
 * come from outside: names that cannot be a pool's and numbers that cannot be a limit's are left
 * out, with a word on stderr. A model's limit for the Batch API becomes a pool of its own, since
 * that API's tokens do not count against the minute.
 */
#include "tool/presets_openai.h"

#include "tool/object.h"
#include "tool/provider.h"
#include "tool/say.h"

#include "grow.h"

#include <ration/protocol.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define MAX_ANSWER_BYTES (16 << 20)
#define MAX_PAGES        1000
#define MAX_KEY_BYTES    8192
#define TIMEOUT_MS       30000
#define SAID_BYTES       256 /* of a server's own words for an error */

struct reader {
    const struct session *session;
    const char *project;
    char *base;    /* without a slash at its end */
    char *escaped; /* the project, as a part of a path */
    struct curl_slist *headers;
    CURL *easy;
    struct grow answer; /* of the last page */
    json_object *pools; /* by name */
};

/* ---- Asking ---- */

/* What is wrong with the key, or NULL. */
static const char *key_problem(const char *key)
{
    size_t len = key ? strlen(key) : 0;
    if (len == 0)
        return "is not set; it must hold an administrator's key of the organization";
    if (len > MAX_KEY_BYTES)
        return "is too long for a key";
    for (size_t i = 0; i < len; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return "has a blank, a line break or another character that no key has";
    return NULL;
}

/* Other clients' base URLs end with /v1, and people end theirs with a slash. */
static char *base_of(const char *url)
{
    size_t n = provider_base_bytes(url);
    if (n > 3 && strncmp(url + n - 3, "/v1", 3) == 0)
        n -= 3;
    return strndup(url, n);
}

static bool set_up(struct reader *reader, const char *url, const char *key)
{
    char header[MAX_KEY_BYTES + 32];
    snprintf(header, sizeof(header), "Authorization: Bearer %s", key);
    grow_init(&reader->answer, MAX_ANSWER_BYTES);
    reader->base = base_of(url);
    reader->pools = json_object_new_object();
    reader->headers = curl_slist_append(NULL, header);
    reader->easy = provider_easy(reader->headers, TIMEOUT_MS, &reader->answer);
    reader->escaped = reader->easy ? curl_easy_escape(reader->easy, reader->project, 0) : NULL;
    return reader->base && reader->escaped && reader->headers && reader->pools &&
           curl_easy_setopt(reader->easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)reader->session->timeout_ms) == CURLE_OK;
}

static void tear_down(struct reader *reader)
{
    json_object_put(reader->pools);
    grow_close(&reader->answer);
    curl_slist_free_all(reader->headers);
    curl_free(reader->escaped);
    curl_easy_cleanup(reader->easy);
    free(reader->base);
}

static json_object *parsed(const char *text, size_t len)
{
    json_tokener *tokener = json_tokener_new();
    json_object *o = tokener && text ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;
    if (o && strspn(text + json_tokener_get_parse_end(tokener), " \t\r\n") !=
                 len - json_tokener_get_parse_end(tokener)) {
        json_object_put(o);
        o = NULL;
    }
    if (tokener)
        json_tokener_free(tokener);
    return o;
}

/* The message in the body of an error, made fit for a terminal; "": none. */
static void said(json_object *body, char out[SAID_BYTES])
{
    json_object *error = NULL;
    json_object_object_get_ex(body, "error", &error);
    const char *text = object_string(body, "error");
    if (!text)
        text = object_string(error, "message");
    say_printable(text ? text : "", text ? strlen(text) : 0, out, SAID_BYTES);
}

static void explain_status(const struct reader *reader, long status, json_object *body)
{
    char words[SAID_BYTES];
    const char *remedy = "";
    said(body, words);
    if (status == 401 || status == 403)
        remedy = "\n" PRESETS_OPENAI_KEY " must hold an administrator's key of the organization; a "
                 "project's own key cannot read its limits";
    else if (status == 404)
        remedy = "\nis there such a project? Its id begins with proj_";
    else if (status == 429 || status >= 500)
        remedy = "\ntry again later";
    say("%s answered %ld for the limits of '%s'%s%s%s", reader->base, status, reader->project,
        words[0] ? ": " : "", words, remedy);
}

/* One page, to be freed with json_object_put(); NULL after saying why. */
static json_object *fetch(struct reader *reader, const char *url)
{
    long status = 0;
    reader->answer.n = 0;
    CURLcode code = curl_easy_setopt(reader->easy, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_perform(reader->easy);
    if (code != CURLE_OK) {
        say("%s: %s", reader->base,
            code == CURLE_WRITE_ERROR ? "the answer is larger than a list of limits can be"
                                      : curl_easy_strerror(code));
        return NULL;
    }
    curl_easy_getinfo(reader->easy, CURLINFO_RESPONSE_CODE, &status);
    json_object *body = parsed(reader->answer.bytes, reader->answer.n);
    json_object *data = NULL;
    if (status != 200) {
        explain_status(reader, status, body);
    } else if (json_object_object_get_ex(body, "data", &data) &&
               json_object_is_type(data, json_type_array)) {
        return body;
    } else {
        say("%s sent something other than a list of limits (it has no \"data\"); is --url right?",
            reader->base);
    }
    json_object_put(body);
    return NULL;
}

/* ---- Reading ---- */

/* The amount, if it can be a limit; 0: none; -1: it allows nothing or makes no sense. */
static int64_t most_of(json_object *row, const char *key)
{
    json_object *value = NULL;
    if (!json_object_object_get_ex(row, key, &value) || !value)
        return 0;
    double n =
        json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)
            ? json_object_get_double(value)
            : -1;
    if (!(n >= 1 && n <= (double)RATION_MAX_AMOUNT) || n != floor(n))
        return -1;
    return (int64_t)n;
}

static void add_limit(json_object *limits, const char *unit, const char *per, int64_t amount)
{
    json_object *limit = json_object_new_object();
    object_put_string(limit, "unit", unit);
    object_put_integer(limit, "amount", amount);
    object_put_string(limit, "per", per);
    json_object_array_add(limits, limit);
}

/* Takes the limits over. */
static void add_pool(struct reader *reader, const char *name, json_object *limits)
{
    json_object *pool = json_object_new_object();
    json_object_object_add(pool, "limits", limits);
    json_object_object_add(reader->pools, name, pool);
}

/* As rationd requires: printable, and without characters that need quoting somewhere. */
static bool is_pool_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || strchr("\"'\\{}@", name[i]))
            return false;
    return len <= RATION_MAX_POOL_BYTES;
}

static void read_model(struct reader *reader, const char *model, json_object *row)
{
    static const struct {
        const char *key;
        const char *unit;
        const char *per;
    } known[] = {
        {"max_requests_per_1_minute", "requests", "minute"},
        {"max_tokens_per_1_minute", "tokens", "minute"},
        {"max_requests_per_1_day", "requests", "day"},
    };
    static const char *const unknown[] = {"max_images_per_1_minute",
                                          "max_audio_megabytes_per_1_minute"};
    char name[RATION_MAX_POOL_BYTES + 1];
    json_object *limits = json_object_new_array();
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        int64_t amount = most_of(row, known[i].key);
        if (amount > 0)
            add_limit(limits, known[i].unit, known[i].per, amount);
        else if (amount < 0)
            say("%s: %s allows nothing; left out", model, known[i].key);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        int64_t amount = most_of(row, unknown[i]);
        if (amount > 0)
            say("%s: %s is %" PRId64 ", which rationd has no unit for; left out", model, unknown[i],
                amount);
    }
    if (json_object_array_length(limits) > 0) {
        snprintf(name, sizeof(name), "openai/%s", model);
        add_pool(reader, name, limits);
    } else {
        say("%s: no limit that a pool can have; left out", model);
        json_object_put(limits);
    }
    int64_t batch = most_of(row, "batch_1_day_max_input_tokens");
    if (batch > 0) {
        limits = json_object_new_array();
        add_limit(limits, "input_tokens", "day", batch);
        snprintf(name, sizeof(name), "openai/%s/batch", model);
        add_pool(reader, name, limits);
    }
}

static void read_page(struct reader *reader, json_object *data)
{
    for (size_t i = 0; i < json_object_array_length(data); i++) {
        json_object *row = json_object_array_get_idx(data, i);
        char name[2 * RATION_MAX_POOL_BYTES];
        const char *model = object_string(row, "model");
        int len = snprintf(name, sizeof(name), "openai/%s/batch", model ? model : "");
        if (model && model[0] && len < (int)sizeof(name) && is_pool_name(name))
            read_model(reader, model, row);
        else
            say("a model of the list has a name that no pool can have; left out");
    }
}

/* ---- Pages ---- */

/* The URL of the page that begins after the object `after` (NULL: of the first). */
static char *page_url(const struct reader *reader, const char *after)
{
    char *url = NULL;
    char *escaped = after ? curl_easy_escape(reader->easy, after, 0) : NULL;
    if (after && !escaped)
        return NULL;
    int len = asprintf(&url, "%s/v1/organization/projects/%s/rate_limits?limit=100%s%s",
                       reader->base, reader->escaped, after ? "&after=" : "", after ? escaped : "");
    curl_free(escaped);
    return len < 0 ? NULL : url;
}

/* The id after which the next page begins: last_id, else that of the last object. Copied; NULL:
 * none. */
static char *last_of(json_object *page, json_object *data)
{
    size_t n = json_object_array_length(data);
    const char *id = object_string(page, "last_id");
    if (!id && n > 0)
        id = object_string(json_object_array_get_idx(data, n - 1), "id");
    return id ? strdup(id) : NULL;
}

static bool has_more(json_object *page)
{
    json_object *more = NULL;
    return json_object_object_get_ex(page, "has_more", &more) &&
           json_object_is_type(more, json_type_boolean) && json_object_get_boolean(more);
}

/* Reads the page after `*after` and sets *after to where the next one begins; NULL: this was the
 * last. */
static bool next_page(struct reader *reader, char **after)
{
    char *url = page_url(reader, *after);
    json_object *page = url ? fetch(reader, url) : NULL;
    json_object *data = NULL;
    char *next = NULL;
    bool ok = page != NULL;
    if (!url)
        say("out of memory for a page of limits");
    json_object_object_get_ex(page, "data", &data);
    if (ok)
        read_page(reader, data);
    if (ok && has_more(page)) {
        next = last_of(page, data);
        ok = next && !(*after && strcmp(next, *after) == 0);
        if (!ok)
            say("%s says that there are more limits, but not after which one the next page begins",
                reader->base);
    }
    free(*after);
    *after = next;
    json_object_put(page);
    free(url);
    return ok;
}

static bool read_pages(struct reader *reader)
{
    char *after = NULL;
    bool ok = true;
    int pages = 0;
    do
        ok = next_page(reader, &after);
    while (ok && after && ++pages < MAX_PAGES);
    if (ok && after) {
        say("%s has more than %d pages of limits", reader->base, MAX_PAGES);
        ok = false;
    }
    free(after);
    return ok;
}

/* ---- The whole ---- */

static void print_pools(const struct reader *reader)
{
    json_object *document = json_object_new_object();
    json_object_object_add(document, "pools", json_object_get(reader->pools));
    if (reader->session->json) {
        object_print(document);
        return;
    }
    puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                      JSON_C_TO_STRING_SPACED |
                                                      JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
}

int presets_openai(const struct session *session, const char *url, const char *project)
{
    struct reader reader = {.session = session, .project = project};
    const char *key = getenv(PRESETS_OPENAI_KEY);
    const char *problem = key_problem(key);
    if (problem) {
        say("%s %s", PRESETS_OPENAI_KEY, problem);
        return EXIT_WRONG;
    }
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) {
        say("--url takes https://... or http://..., not '%s'", url);
        return EXIT_WRONG;
    }
    bool ok = set_up(&reader, url, key);
    if (!ok)
        say("out of memory, or libcurl cannot be used");
    ok = ok && read_pages(&reader);
    if (ok && json_object_object_length(reader.pools) == 0) {
        say("%s has no limits for '%s' that a pool can have", reader.base, project);
        ok = false;
    }
    if (ok)
        print_pools(&reader);
    tear_down(&reader);
    return ok ? EXIT_GRANTED : EXIT_WRONG;
}
