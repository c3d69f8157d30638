/*
 * `ration presets`: the limits of providers that pools can name, and the profiles by which their
 * APIs are called; both are data that was embedded when Ration was built, so no server is asked.
 * --from-openai asks OpenAI instead (presets_openai.c).
 */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/presets_openai.h"
#include "tool/say.h"
#include "tool/table.h"

#include "profile/profile.h"

#include <stdio.h>
#include <string.h>

/* server/config/presets.json, the same as in rationd */
extern const char ration_presets_json[];

static const char *text_of(json_object *object, const char *key)
{
    const char *text = object_string(object, key);
    return text ? text : "";
}

static bool is_wanted(const char *name, const char *prefix)
{
    return !prefix || strncmp(name, prefix, strlen(prefix)) == 0;
}

/* ---- JSON: a list, each with its name first ---- */

static void print_json(json_object *all, const char *prefix)
{
    json_object *list = json_object_new_array();
    json_object_object_foreach(all, name, one)
    {
        if (!is_wanted(name, prefix))
            continue;
        json_object *row = json_object_new_object();
        object_put_string(row, "name", name);
        json_object_object_foreach(one, key, value)
        {
            json_object_object_add(row, key, json_object_get(value));
        }
        json_object_array_add(list, row);
    }
    object_print(list);
}

/* ---- Tables ---- */

static bool is_set(json_object *object, const char *key, bool otherwise)
{
    json_object *value = NULL;
    return json_object_object_get_ex(object, key, &value) ? json_object_get_boolean(value)
                                                          : otherwise;
}

static void add_limit(struct table *table, json_object *limit)
{
    json_object *amount = NULL;
    const char *per = text_of(limit, "per");
    const char *zone = text_of(limit, "time_zone");
    json_object_object_get_ex(limit, "amount", &amount);
    table_add(table, "%s\t%s %s %s%s%s%s%s",
              as_amount(text_of(limit, "unit"), json_object_get_int64(amount)).s,
              text_of(limit, "unit"), per[0] >= '0' && per[0] <= '9' ? "per" : "a", per,
              strcmp(text_of(limit, "counted"), "end") == 0 ? ", counted at the end" : "",
              is_set(limit, "settle", true) ? "" : ", never given back",
              zone[0] ? " of the calendar, " : "", zone);
}

/* They stand below the table, since their column would be the widest: "name, name: the note on
 * these". */
static void print_notes(json_object *all, const char *prefix)
{
    const char *open = ""; /* the note whose names are being listed */
    bool any_unverified = false;
    json_object_object_foreach(all, name, preset)
    {
        const char *note = is_wanted(name, prefix) ? text_of(preset, "note") : "";
        bool same = strcmp(note, open) == 0;
        if (open[0] && !same)
            printf(": %s\n", open);
        if (note[0])
            printf("%s%s", same ? ", " : "\n", name);
        any_unverified |= is_wanted(name, prefix) && is_set(preset, "unverified", false);
        open = note;
    }
    if (open[0])
        printf(": %s\n", open);
    if (any_unverified)
        printf("\nunverified: these numbers are no longer published; what the provider shows for "
               "your account counts.\n");
}

/* One row a limit; the first has what applies to the whole preset. */
static void print_presets(json_object *all, const char *prefix)
{
    static const char *const heads[] = {"preset", ">limit", "of", "checked", "source", NULL};
    struct table *table = table_new(heads);
    json_object_object_foreach(all, name, preset)
    {
        json_object *limits = NULL;
        json_object_object_get_ex(preset, "limits", &limits);
        for (size_t i = 0; is_wanted(name, prefix) && i < json_object_array_length(limits); i++) {
            table_add(table, "%s", i == 0 ? name : "");
            add_limit(table, json_object_array_get_idx(limits, i));
            if (i == 0)
                table_add(table, "%s%s\t%s", text_of(preset, "checked"),
                          is_set(preset, "unverified", false) ? ", unverified" : "",
                          text_of(preset, "source"));
            else
                table_add(table, "\t");
        }
    }
    table_print(table, stdout, "");
    table_free(table);
    print_notes(all, prefix);
}

static void print_profiles(json_object *all, const char *prefix)
{
    static const char *const heads[] = {"profile", "goes to", "key from",
                                        "checked", "source",  NULL};
    struct table *table = table_new(heads);
    json_object_object_foreach(all, name, profile)
    {
        json_object *key = NULL;
        const char *url = text_of(profile, "url");
        if (!is_wanted(name, prefix))
            continue;
        json_object_object_get_ex(profile, "key", &key);
        table_add(table, "%s\t%s%s\t%s\t%s\t%s", name, url[0] ? url : "(your URL)",
                  text_of(profile, "path"), text_of(key, "variable"), text_of(profile, "checked"),
                  text_of(profile, "source"));
    }
    table_print(table, stdout, "");
    table_free(table);
}

static bool any_wanted(json_object *all, const char *prefix)
{
    json_object_object_foreach(all, name, one)
    {
        (void)one;
        if (is_wanted(name, prefix))
            return true;
    }
    return false;
}

static int show(json_object *all, bool of_profiles, const char *prefix, bool json)
{
    if (!any_wanted(all, prefix)) {
        say("no %s begins with '%s'; 'ration presets%s' lists them all",
            of_profiles ? "profile's name" : "preset's name", prefix,
            of_profiles ? " --profiles" : "");
        return EXIT_WRONG;
    }
    if (json)
        print_json(all, prefix);
    else if (of_profiles)
        print_profiles(all, prefix);
    else
        print_presets(all, prefix);
    return EXIT_GRANTED;
}

static int show_profiles(const char *prefix, bool json)
{
    struct profiles *profiles = NULL;
    char why[PROFILE_WHY_BYTES] = "";
    if (profiles_open(NULL, &profiles, why) < 0) {
        say("%s", why);
        return EXIT_WRONG;
    }
    int code = show(profiles_tree(profiles), true, prefix, json);
    profiles_close(profiles);
    return code;
}

static int show_presets(const char *prefix, bool json)
{
    json_object *presets = json_tokener_parse(ration_presets_json);
    if (!presets) {
        say("out of memory for the presets");
        return EXIT_WRONG;
    }
    int code = show(presets, false, prefix, json);
    json_object_put(presets);
    return code;
}

static struct {
    const char *prefix;
    const char *project;
    const char *url;
    bool profiles;
} args = {.url = PRESETS_OPENAI_URL};

static int run(struct session *session)
{
    if (args.project && (args.prefix || args.profiles)) {
        say("--from-openai goes neither with a PREFIX nor with --profiles");
        return EXIT_WRONG;
    }
    if (args.project)
        return presets_openai(session, args.url, args.project);
    return args.profiles ? show_profiles(args.prefix, session->json)
                         : show_presets(args.prefix, session->json);
}

static const struct option_row options[] = {
    FLAG("profiles", profiles, "the provider profiles, by which APIs are called"),
    TEXT("from-openai", project, "PROJECT",
         "the limits of a project of yours, as pools; key: " PRESETS_OPENAI_KEY),
    TEXT("url", url, "URL", "of --from-openai; default " PRESETS_OPENAI_URL),
    {0},
};

const struct command command_presets = {
    .name = "presets",
    .summary = "list the limits of providers, with their sources",
    .synopsis = "[PREFIX] [options]\n       ration presets --from-openai PROJECT [options]",
    .about =
        "Lists the limits of providers, as published, with their source and the day they were last "
        "checked (those whose name begins with PREFIX). Asks no server.\n\n"
        "A pool of rationd's configuration names one:\n"
        "  \"pools\": {\"openai/gpt-4o\": {\"preset\": \"openai/gpt-4o/tier1\"}}\n"
        "Accounts differ: what the provider shows for yours goes into the pool's own "
        "\"limits\".\n\n"
        "--from-openai reads what OpenAI allows a project (its id begins with proj_) and prints a "
        "configuration with a pool for each of its models, for rationd --check and --config. It "
        "wants an administrator's key of the organization in " PRESETS_OPENAI_KEY ".",
    .exits = "0 listed, 2 an error, or nothing has that name",
    .options = options,
    .arguments = {{&args.prefix, NULL}},
    .no_server = true,
    .run = run,
};
