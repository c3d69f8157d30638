/*
 * From the text of a profiles file to the tree of one profile.
 *
 * Comments are allowed, as in rationd's configuration. "like" is followed here, on the trees,
 * before anything is checked: what the base profile has and the other does not name stays, member
 * by member; lists and values are replaced; null removes. In a file, "like" means the file's
 * profile of that name, or the embedded one; in a profile that replaces an embedded one of the same
 * name it means that one. The embedded profiles do not see the file, so that a changed "openai"
 * changes no other.
 *
 * Every mistake is reported with its place and what to write instead; the first one is enough.
 */
#include "profile/profile_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)1024 * 1024)
#define MAX_DEPTH      16
#define MAX_LIKES      8

static size_t line_of(const char *text, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

int profile_parse(const char *text, size_t n, json_object **out, char *why)
{
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (!tokener)
        return profile_no_memory("profiles", why);
    json_object *tree = json_tokener_parse_ex(tokener, text, (int)n);
    enum json_tokener_error parsed = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    while (parsed == json_tokener_success && end < n && strchr(" \t\r\n", text[end]))
        end++;
    if (parsed != json_tokener_success) {
        snprintf(why, PROFILE_WHY_BYTES, "line %zu: not JSON (%s); correct that line",
                 line_of(text, end < n ? end : n),
                 parsed == json_tokener_continue ? "it ends too early"
                                                 : json_tokener_error_desc(parsed));
    } else if (end < n) {
        snprintf(why, PROFILE_WHY_BYTES,
                 "line %zu: something follows the closing brace; put everything before it",
                 line_of(text, end));
    } else if (!json_object_is_type(tree, json_type_object)) {
        snprintf(why, PROFILE_WHY_BYTES,
                 "not an object of profiles; write {\"name\": {\"like\": \"openai\", ...}}");
    } else {
        *out = tree;
        return 0;
    }
    json_object_put(tree);
    return RATION_EINVALID;
}

static int cannot_read(const char *path, int cause, char *why)
{
    return profile_fail(why, "%.150s: %s; name a file that can be read, of at most %zu bytes", path,
                        strerror(cause), MAX_FILE_BYTES);
}

int profile_parse_file(const char *path, json_object **out, char *why)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return cannot_read(path, errno, why);
    char *text = malloc(MAX_FILE_BYTES + 1);
    if (!text) {
        fclose(file);
        return profile_no_memory("profiles", why);
    }
    int err;
    errno = 0;
    size_t n = fread(text, 1, MAX_FILE_BYTES + 1, file);
    if (ferror(file))
        err = cannot_read(path, errno ? errno : EIO, why);
    else if (n > MAX_FILE_BYTES)
        err = cannot_read(path, EFBIG, why);
    else
        err = profile_parse(text, n, out, why);
    free(text);
    fclose(file);
    return err;
}

/* ---- "like" ---- */

/* Both are trees of at most MAX_DEPTH levels. False: out of memory. */
static bool merge(json_object *to, json_object *from)
{
    json_object_object_foreach(from, key, value)
    {
        json_object *old = NULL;
        if (!value) {
            json_object_object_del(to, key);
            continue;
        }
        if (json_object_is_type(value, json_type_object) &&
            json_object_object_get_ex(to, key, &old) &&
            json_object_is_type(old, json_type_object)) {
            if (!merge(old, value))
                return false;
            continue;
        }
        json_object *copy = NULL;
        if (json_object_deep_copy(value, &copy, NULL) < 0)
            return false;
        if (json_object_object_add(to, key, copy) < 0) {
            json_object_put(copy);
            return false;
        }
    }
    return true;
}

static json_object *own_of(json_object *set, const char *name)
{
    json_object *own = NULL;
    if (set)
        json_object_object_get_ex(set, name, &own);
    return own;
}

static void write_names(json_object *set, char *why, size_t used)
{
    json_object_object_foreach(set, key, value)
    {
        (void)value;
        if (used + 1 >= PROFILE_WHY_BYTES)
            return;
        int n = snprintf(why + used, PROFILE_WHY_BYTES - used, " %s", key);
        used += n > 0 ? (size_t)n : 0;
    }
}

static int resolve(json_object *embedded, json_object *file, const char *name, unsigned depth,
                   json_object **out, char *why);

/* Gives the profile that this one starts from, or nothing. */
static int start_from(json_object *embedded, json_object *file, const char *name, json_object *own,
                      unsigned depth, json_object **out, char *why)
{
    json_object *like = own_of(own, "like");
    if (!like) {
        *out = json_object_new_object();
        return *out ? 0 : profile_no_memory("profiles", why);
    }
    const char *other =
        json_object_is_type(like, json_type_string) ? json_object_get_string(like) : "";
    bool from_file = own == own_of(file, name);
    if (!from_file || strcmp(other, name) == 0)
        file = NULL;
    if (!own_of(file, other) && !own_of(embedded, other)) {
        int n = snprintf(why, PROFILE_WHY_BYTES,
                         "%.64s.like: there is no profile \"%.64s\"; the embedded ones are:", name,
                         other);
        write_names(embedded, why, n > 0 ? (size_t)n : 0);
        return RATION_EINVALID;
    }
    if (depth >= MAX_LIKES)
        return profile_fail(
            why,
            "%.64s.like: \"like\" goes in a circle, or more than %d deep; let one profile "
            "name what it needs",
            name, MAX_LIKES);
    return resolve(embedded, file, other, depth + 1, out, why);
}

static int resolve(json_object *embedded, json_object *file, const char *name, unsigned depth,
                   json_object **out, char *why)
{
    json_object *own = own_of(file, name);
    if (!own)
        own = own_of(embedded, name);
    if (!json_object_is_type(own, json_type_object))
        return profile_fail(why, "%.64s: not an object; write {\"like\": \"openai\", ...}", name);
    json_object *tree = NULL;
    int err = start_from(embedded, file, name, own, depth, &tree, why);
    if (err < 0)
        return err;
    if (!merge(tree, own)) {
        json_object_put(tree);
        return profile_no_memory("profiles", why);
    }
    json_object_object_del(tree, "like");
    *out = tree;
    return 0;
}

int profile_resolve(json_object *embedded, json_object *file, const char *name, json_object **out,
                    char *why)
{
    return resolve(embedded, file, name, 0, out, why);
}
