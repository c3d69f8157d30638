/*
 * Everything about other providers comes from the profiles' own tree: the path each is called at,
 * what it reads as the prompt, and where its answers are.
 */
#include "tool/batch/check.h"

#include <stdio.h>
#include <string.h>

#define MODEL     "{model}"
#define MAX_NAMED 4 /* profiles that a message names */

/* ---- Forms ---- */

static json_object *find(json_object *tree, const char *one, const char *two)
{
    json_object *found = json_object_object_get(tree, one);
    return two ? json_object_object_get(found, two) : found;
}

static bool same(json_object *a, json_object *b)
{
    return a && b && json_object_equal(a, b);
}

static bool answers_alike(json_object *a, json_object *b)
{
    return same(find(a, "answer", "has"), find(b, "answer", "has"));
}

static bool speaks_alike(json_object *a, json_object *b)
{
    return answers_alike(a, b) && same(find(a, "request", "text"), find(b, "request", "text"));
}

/* ---- Paths ---- */

static bool has_model(json_object *profile)
{
    const char *path = json_object_get_string(find(profile, "path", NULL));
    return path && strstr(path, MODEL);
}

/* Whether `url` (n bytes, without a query) is the path of the profile, with any model in it. */
static bool names_path(json_object *profile, const char *url, size_t n)
{
    const char *path = json_object_get_string(find(profile, "path", NULL));
    if (!path)
        return false;
    size_t all = strcspn(path, "?");
    const char *place = strstr(path, MODEL);
    if (!place || place >= path + all)
        return n == all && memcmp(path, url, n) == 0;
    size_t head = (size_t)(place - path);
    size_t tail = all - head - strlen(MODEL);
    return n > head + tail && memcmp(path, url, head) == 0 &&
           memcmp(path + all - tail, url + n - tail, tail) == 0 &&
           !memchr(url + head, '/', n - head - tail);
}

/* Whether `url` is the path of the URL that was made, or, unless `whole`, its end. */
static bool is_called(const char *made, const char *url, size_t n, bool whole)
{
    const char *host = strstr(made, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    size_t all = path ? strcspn(path, "?") : 0;
    return n > 0 && (whole ? n == all : n <= all) && memcmp(path + all - n, url, n) == 0;
}

static bool fits(const struct batch_checker *checker, const char *made, const char *url)
{
    size_t n = strcspn(url, "?");
    json_object *tree = profiles_tree(checker->profiles);
    json_object *mine = find(tree, profile_name(checker->profile), NULL);
    if (is_called(made, url, n, true))
        return true;
    if (names_path(mine, url, n))
        return !has_model(mine) || is_called(made, url, n, false);
    json_object_object_foreach(tree, name, other)
    {
        (void)name;
        if (!has_model(other) && names_path(other, url, n) && speaks_alike(other, mine))
            return true;
    }
    return false;
}

/* ---- What to name instead ---- */

struct names {
    char text[256];
    size_t len;
    size_t n;
};

static void add_name(struct names *names, const char *name)
{
    int len = snprintf(names->text + names->len, sizeof(names->text) - names->len, "%s%s",
                       names->n == 0           ? "use --provider "
                       : names->n == MAX_NAMED ? " or another that is like them"
                                               : ", ",
                       names->n == MAX_NAMED ? "" : name);
    if (names->n <= MAX_NAMED && len > 0 && (size_t)len < sizeof(names->text) - names->len)
        names->len += (size_t)len;
    names->text[names->len] = '\0';
    names->n++;
}

/* Names the profiles that are called at that path, preferring those of the same host. */
static void name_paths(const struct batch_checker *checker, const char *url, struct names *names)
{
    json_object *tree = profiles_tree(checker->profiles);
    json_object *mine = find(tree, profile_name(checker->profile), NULL);
    size_t n = strcspn(url, "?");
    if (names_path(mine, url, n)) {
        snprintf(names->text, sizeof(names->text), "name that model by --model");
        return;
    }
    for (int near = 1; near >= 0 && names->n == 0; near--) {
        json_object_object_foreach(tree, name, other)
        {
            if (names_path(other, url, n) &&
                (!near || same(find(other, "url", NULL), find(mine, "url", NULL))))
                add_name(names, name);
        }
    }
    if (names->n == 0)
        snprintf(names->text, sizeof(names->text),
                 "no profile has that path; write one (--profiles), or leave \"url\" out");
}

static bool check_url(struct batch_checker *checker, const char *made, const char *url, char *why)
{
    struct names names = {.len = 0};
    if (fits(checker, made, url)) {
        if (!checker->fits[0] && strlen(url) < sizeof(checker->fits))
            strcpy(checker->fits, url);
        return true;
    }
    name_paths(checker, url, &names);
    if (checker->fits[0])
        snprintf(why, BATCH_ERROR_BYTES,
                 "\"url\" is %.100s, but %s in other requests; a file is sent to one endpoint, so "
                 "split it; for this one %s",
                 url, checker->fits, names.text);
    else
        snprintf(why, BATCH_ERROR_BYTES,
                 "\"url\" is %.100s, but provider %s is called at %.100s; %s", url,
                 profile_name(checker->profile), made, names.text);
    return false;
}

/* For a batch in the form of `like`: a provider that answers otherwise would have needed another
 * request. */
static bool check_form(const struct batch_checker *checker, const struct batch_request *request,
                       const char *like, char *why)
{
    struct names names = {.len = 0};
    json_object *tree = profiles_tree(checker->profiles);
    json_object *model = find(tree, like, NULL);
    if (answers_alike(find(tree, profile_name(checker->profile), NULL), model))
        return true;
    json_object_object_foreach(tree, name, other)
    {
        if (answers_alike(other, model))
            add_name(&names, name);
    }
    snprintf(why, BATCH_ERROR_BYTES,
             "this is %s, but provider %s reads another form; %s (plain bodies are sent to any "
             "provider)",
             batch_forms[request->format].text, profile_name(checker->profile), names.text);
    return false;
}

/* ---- The whole ---- */

static bool asks_for_stream(const struct profile_request *read, json_object *body)
{
    return read->streamed && !json_object_get_boolean(json_object_object_get(body, "stream"));
}

int batch_read_body(const struct batch_options *options, const struct profile *profile,
                    json_object *body, struct batch_sending *out, char *why)
{
    *out = (struct batch_sending){.whole = false};
    int err = profile_read_request(profile, body, &out->read, why);
    if (err < 0)
        return err;
    if (asks_for_stream(&out->read, body)) {
        json_object *no = json_object_new_boolean(0);
        if (!no || json_object_object_add(body, "stream", no) < 0) {
            json_object_put(no);
            snprintf(why, PROFILE_WHY_BYTES, "out of memory");
            return RATION_ENOMEM;
        }
        out->whole = true;
        err = profile_read_request(profile, body, &out->read, why);
    }
    return err < 0 ? err
                   : profile_url(profile, options->url, options->model, options->query, body,
                                 out->url, sizeof(out->url), why);
}

bool batch_check(void *arg, const struct batch_request *request, char *why)
{
    struct batch_checker *checker = arg;
    struct batch_sending sending;
    char words[PROFILE_WHY_BYTES] = "";
    if (request->format == BATCH_ANTHROPIC && !check_form(checker, request, "anthropic", why))
        return false;
    if (request->format == BATCH_GEMINI && !check_form(checker, request, "gemini", why))
        return false;
    if (batch_read_body(checker->options, checker->profile, request->body, &sending, words) < 0) {
        snprintf(why, BATCH_ERROR_BYTES, "%s", words);
        return false;
    }
    return !request->url || check_url(checker, sending.url, request->url, why);
}
