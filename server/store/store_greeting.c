/*
 * The greeting, from connected to ready, step by step:
 *
 *     AUTH (if there is a password) -> SELECT (if not 0) -> INFO -> FUNCTION LOAD -> ready
 *
 * INFO reveals what would void our promises: a version without functions, a replica (which cannot
 * be written to), a store that is still loading; each ends the attempt with an explanation. A store
 * that may evict keys is used, but with a loud warning: an evicted bucket is a forgotten limit. A
 * user who may not call INFO is tolerated.
 *
 * Any other error ends the attempt too; no store is used with half a greeting.
 */
#include "store/store_inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* Its first line is "#!lua name=" and the library's name. */
extern const char ration_library_lua[];
extern const unsigned long ration_library_lua_size;

enum { STEP_AUTH, STEP_SELECT, STEP_INFO, STEP_FUNCTIONS, STEP_READY };

/* The first with functions. Every Valkey reports at least this. */
enum { NEEDED_MAJOR = 7 };

static void greet_from(struct store *store, unsigned step);

int store_load_functions(struct store *store, redisCallbackFn *on_loaded)
{
    return redisAsyncCommand(store->context, on_loaded, NULL, "FUNCTION LOAD %b",
                             ration_library_lua, (size_t)ration_library_lua_size) == REDIS_OK
               ? 0
               : -1;
}

bool store_functions_loaded(const struct store *store, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) /* loaded by another server or an earlier run */
        return strstr(reply->str, "already exists") != NULL;
    return reply->type == REDIS_REPLY_STRING && !strcmp(reply->str, store->library);
}

static void take_library_name(struct store *store)
{
    const char *name = strchr(ration_library_lua, '=') + 1;
    size_t n = strcspn(name, "\n");
    assert(n < sizeof store->library);
    memcpy(store->library, name, n);
    store->library[n] = '\0';
}

bool store_is_error(const redisReply *reply, const char *code)
{
    size_t n = strlen(code);
    return reply->type == REDIS_REPLY_ERROR && (size_t)reply->len >= n &&
           !memcmp(reply->str, code, n) && (reply->str[n] == ' ' || reply->str[n] == '\0');
}

/* The value of a line "name:value" of INFO's reply; false if it has none. */
static bool info_field(const char *info, const char *name, char *value, size_t cap)
{
    size_t n = strlen(name);
    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *begin = line + n + 1;
        snprintf(value, cap, "%.*s", (int)strcspn(begin, "\r\n"), begin);
        return true;
    }
    return false;
}

static void check_eviction(struct store *store, const char *info)
{
    char maxmemory[32], policy[32];
    store->warning[0] = '\0';
    if (!info_field(info, "maxmemory", maxmemory, sizeof maxmemory) ||
        !info_field(info, "maxmemory_policy", policy, sizeof policy))
        snprintf(store->warning, sizeof store->warning,
                 "the store does not say whether it evicts keys: make sure that its "
                 "maxmemory-policy is noeviction, or limits will be forgotten");
    else if (strtoull(maxmemory, NULL, 10) > 0 && strcmp(policy, "noeviction") != 0)
        snprintf(store->warning, sizeof store->warning,
                 "the store may evict keys (maxmemory %s, maxmemory-policy %s), and an evicted "
                 "bucket is a forgotten limit: set its maxmemory-policy to noeviction",
                 maxmemory, policy);
    if (store->warning[0])
        log_warn("store endangers limits", "url=%s warning=\"%s\"",
                 store->settings->url ? store->settings->url : "", store->warning);
}

static bool check_info(struct store *store, const char *info)
{
    char value[64];
    if (info_field(info, "redis_version", value, sizeof value) &&
        strtol(value, NULL, 10) < NEEDED_MAJOR) {
        store_break(
            store, CONTEXT_OURS,
            "the store is Redis %s, but Redis %d.0 or later, or any Valkey, is needed: upgrade it",
            value, NEEDED_MAJOR);
        return false;
    }
    if (info_field(info, "loading", value, sizeof value) && strcmp(value, "0") != 0) {
        store_break(store, CONTEXT_OURS, "the store is still loading its data");
        return false;
    }
    if (info_field(info, "role", value, sizeof value) && !strcmp(value, "slave")) {
        store_break(store, CONTEXT_OURS,
                    "the store is a replica and takes no writes: point store.url at its master");
        return false;
    }
    check_eviction(store, info);
    return true;
}

static bool on_info(struct store *store, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING)
        return check_info(store, reply->str);
    if (store_is_error(reply, "NOPERM")) {
        check_eviction(store, "");
        return true;
    }
    store_break(store, CONTEXT_OURS, "INFO was answered with %s",
                reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected type");
    return false;
}

/* Some stores quote the refused command, and the password with it. */
static const char *without_secret(const struct store *store, const char *text)
{
    const char *password = store->settings->password;
    return password && *password && strstr(text, password) ? "an error that quotes the password"
                                                           : text;
}

static bool on_auth(struct store *store, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STATUS)
        return true;
    store_break(store, CONTEXT_OURS,
                "AUTH was refused: %s; check the user and the password of store.url",
                reply->type == REDIS_REPLY_ERROR ? without_secret(store, reply->str)
                                                 : "unexpected reply type");
    return false;
}

static bool on_select(struct store *store, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STATUS)
        return true;
    store_break(store, CONTEXT_OURS, "SELECT %d was refused: %s; check the database of store.url",
                store->settings->db,
                reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply type");
    return false;
}

static bool on_functions(struct store *store, const redisReply *reply)
{
    if (store_functions_loaded(store, reply))
        return true;
    const char *why = reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply type";
    const char *hint = "";
    if (strstr(why, "unknown command")) /* the user may not call INFO, so this is the first sign */
        hint = "; Redis 7.0 or later, or any Valkey, is needed: upgrade the store";
    else if (store_is_error(reply, "NOPERM"))
        hint = "; the store's user needs +function|load and +fcall";
    store_break(store, CONTEXT_OURS, "FUNCTION LOAD was refused: %s%s", why, hint);
    return false;
}

static bool on_step(struct store *store, const redisReply *reply)
{
    if (store_is_error(reply, "NOAUTH")) {
        store_break(store, CONTEXT_OURS,
                    "the store requires a password: give its user and password in store.url");
        return false;
    }
    switch (store->step) {
    case STEP_AUTH:
        return on_auth(store, reply);
    case STEP_SELECT:
        return on_select(store, reply);
    case STEP_INFO:
        return on_info(store, reply);
    default:
        return on_functions(store, reply);
    }
}

static void on_greeting(redisAsyncContext *context, void *data, void *unused)
{
    (void)unused;
    struct store *store = context->data;
    const redisReply *reply = data;
    if (!store)
        return;
    if (!reply)
        store_break(store, CONTEXT_ENDS_ITSELF, "%s", store_context_error(context));
    else if (on_step(store, reply))
        greet_from(store, store->step + 1);
}

static int send_auth(struct store *store)
{
    const struct config_store *settings = store->settings;
    if (settings->user && *settings->user)
        return redisAsyncCommand(store->context, on_greeting, NULL, "AUTH %s %s", settings->user,
                                 settings->password);
    return redisAsyncCommand(store->context, on_greeting, NULL, "AUTH %s", settings->password);
}

static int send_step(struct store *store)
{
    switch (store->step) {
    case STEP_AUTH:
        return send_auth(store);
    case STEP_SELECT:
        return redisAsyncCommand(store->context, on_greeting, NULL, "SELECT %d",
                                 store->settings->db);
    case STEP_INFO:
        return redisAsyncCommand(store->context, on_greeting, NULL, "INFO");
    default:
        return store_load_functions(store, on_greeting);
    }
}

static void greet_from(struct store *store, unsigned step)
{
    if (step == STEP_AUTH && !store->settings->password)
        step++;
    if (step == STEP_SELECT && !store->settings->db)
        step++;
    store->step = step;
    if (step == STEP_READY)
        store_set_ready(store);
    else if (send_step(store) != REDIS_OK)
        store_break(store, CONTEXT_OURS, "cannot send the greeting: out of memory");
}

void store_greet(struct store *store)
{
    take_library_name(store);
    greet_from(store, STEP_AUTH);
}
