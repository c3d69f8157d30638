/*
 * The store's commands: one buffer each, written in one go and kept until the reply.
 *
 * The normal path: the command is written as RESP into a buffer of the right size, hiredis copies
 * it to its own, and the command waits on in_flight, in the order of the replies. When the reply
 * comes, its type is checked, the command returns to the spare ones, and its callback is called.
 *
 * A function that is not found did not run: the library is loaded again and the command resent
 * right behind it, in the same pipeline, without waiting in between. The repeat keeps the first
 * deadline, so a store that keeps forgetting its functions counts as one that does not answer.
 * Commands under way share one load.
 *
 * READONLY, LOADING and MASTERDOWN mean that this is the wrong store to talk to, as after a
 * failover: the connection is given up, and everything under way on it is lost, including this
 * command. Whoever sent it resends it later.
 */
#include "store/store_inner.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 24,        /* "$" or "*", 20 digits, "\r\n": more than enough */
    SPARE_COMMANDS = 16,      /* kept for reuse; one worker has about one under way per domain */
    SPARE_BYTES = 256 * 1024, /* a larger buffer is not kept */
};

static const char unexpected_type[] = "unexpected reply type";

void store_command_list_append(struct store_command_list *list, struct store_command *command)
{
    command->next = NULL;
    if (list->first)
        list->last->next = command;
    else
        list->first = command;
    list->last = command;
}

struct store_command *store_command_list_take(struct store_command_list *list)
{
    struct store_command *command = list->first;
    if (command)
        list->first = command->next;
    return command;
}

static void store_command_free(struct store_command *command)
{
    free(command->bytes);
    free(command);
}

/* A command with room for that many bytes; NULL: out of memory. */
static struct store_command *store_command_new(struct store *store, size_t capacity)
{
    struct store_command *command = store->spare;
    if (command) {
        store->spare = command->next;
        store->n_spare--;
    } else {
        command = calloc(1, sizeof *command);
        if (!command)
            return NULL;
    }
    if (!command->bytes || command->capacity < capacity) {
        free(command->bytes);
        command->capacity = capacity;
        command->bytes = malloc(capacity);
        if (!command->bytes) {
            free(command);
            return NULL;
        }
    }
    command->n = 0;
    command->on_key = NULL;
    return command;
}

static void store_command_recycle(struct store *store, struct store_command *command)
{
    if (store->n_spare == SPARE_COMMANDS || command->capacity > SPARE_BYTES) {
        store_command_free(command);
        return;
    }
    command->next = store->spare;
    store->spare = command;
    store->n_spare++;
}

void store_command_free_spare(struct store *store)
{
    struct store_command *command;
    while ((command = store->spare)) {
        store->spare = command->next;
        store_command_free(command);
    }
}

void store_command_finish(struct store *store, struct store_command *command,
                          enum store_status status, const char *data, size_t n)
{
    store_reply_fn *on_reply = command->on_reply;
    void *arg = command->arg;
    store_command_recycle(store, command);
    store->calling++;
    on_reply(arg, status, data, n);
    store->calling--;
}

static void put_header(struct store_command *command, char type, size_t n)
{
    char text[HEADER_BYTES];
    char *p = text + sizeof text;
    *--p = '\n';
    *--p = '\r';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    *--p = type;
    size_t used = (size_t)(text + sizeof text - p);
    memcpy(command->bytes + command->n, p, used);
    command->n += used;
}

static void put_bulk(struct store_command *command, const char *data, size_t n)
{
    put_header(command, '$', n);
    if (n)
        memcpy(command->bytes + command->n, data, n);
    memcpy(command->bytes + command->n + n, "\r\n", 2);
    command->n += n + 2;
    assert(command->n <= command->capacity);
}

static size_t bulk_room(size_t n)
{
    return HEADER_BYTES + n + 2;
}

static void load_functions_again(struct store *store);
static void on_reply_from_store(redisAsyncContext *context, void *data, void *privdata);

static int store_command_put_in_flight(struct store *store, struct store_command *command)
{
    assert(store->state == STATE_READY && store->context && command->n > 0);
    if (redisAsyncFormattedCommand(store->context, on_reply_from_store, command, command->bytes,
                                   command->n) != REDIS_OK)
        return -1;
    store_command_list_append(&store->in_flight, command);
    event_active(store->push, EV_TIMEOUT, 1);
    return 0;
}

static int store_command_send(struct store *store, struct store_command *command,
                              store_reply_fn *on_reply, void *arg)
{
    uint32_t timeout_ms = store->settings->timeout_ms;
    command->on_reply = on_reply;
    command->arg = arg;
    command->deadline_ms = clock_ms() + timeout_ms;
    if (store_command_put_in_flight(store, command)) {
        store_command_recycle(store, command);
        return -1;
    }
    if (!event_pending(store->watch, EV_TIMEOUT, NULL)) {
        store_set_timer(store->watch, timeout_ms);
    }
    return 0;
}

/* Redis and Valkey use the same words, without an error code of their own. */
static bool function_is_gone(const redisReply *reply)
{
    static const char words[] = "ERR Function not found";
    return reply->type == REDIS_REPLY_ERROR && (size_t)reply->len == sizeof words - 1 &&
           !memcmp(reply->str, words, sizeof words - 1);
}

/* Returns true if the command is under way again. */
static bool store_command_repeat(struct store *store, struct store_command *command)
{
    if (!store->reloading)
        load_functions_again(store);
    return store->reloading && !store_command_put_in_flight(store, command);
}

static void on_functions_loaded(redisAsyncContext *context, void *data, void *unused)
{
    (void)unused;
    struct store *store = context->data;
    const redisReply *reply = data;
    if (!store)
        return;
    store->reloading = false;
    if (!reply)
        store_break(store, CONTEXT_ENDS_ITSELF, "%s", store_context_error(context));
    else if (!store_functions_loaded(store, reply))
        store_break(store, CONTEXT_OURS, "FUNCTION LOAD was refused: %s",
                    reply->type == REDIS_REPLY_ERROR ? reply->str : unexpected_type);
}

static void load_functions_again(struct store *store)
{
    store->reloading = !store_load_functions(store, on_functions_loaded);
}

/* Does the error mean that nothing can be written over this connection? */
static bool ends_connection(const redisReply *reply)
{
    return store_is_error(reply, "READONLY") || store_is_error(reply, "LOADING") ||
           store_is_error(reply, "MASTERDOWN");
}

static void on_error(struct store *store, struct store_command *command, const redisReply *reply)
{
    if (!ends_connection(reply)) {
        store_command_finish(store, command, STORE_REFUSED, reply->str, (size_t)reply->len);
        return;
    }
    /* The reply and the context that is let go both outlive the current callback. */
    store_leave(store, CONTEXT_OURS, "the store takes no writes: %s", reply->str);
    store_command_finish(store, command, STORE_LOST, reply->str, (size_t)reply->len);
    store_tell(store);
}

/* Two elements: the next cursor and the keys. */
static bool is_scan_reply(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++)
        if (keys->element[i]->type != REDIS_REPLY_STRING)
            return false;
    return true;
}

static void on_scan(struct store *store, struct store_command *command, const redisReply *reply)
{
    const redisReply *cursor = reply->element[0], *keys = reply->element[1];
    store->calling++;
    for (size_t i = 0; i < keys->elements; i++)
        command->on_key(command->arg, keys->element[i]->str, (size_t)keys->element[i]->len);
    store->calling--;
    store_command_finish(store, command, STORE_OK, cursor->str, (size_t)cursor->len);
}

static void on_reply_from_store(redisAsyncContext *context, void *data, void *privdata)
{
    struct store *store = context->data;
    const redisReply *reply = data;
    if (!store)
        return;
    if (!reply) {
        store_break(store, CONTEXT_ENDS_ITSELF, "%s", store_context_error(context));
        return;
    }
    struct store_command *command = store_command_list_take(&store->in_flight);
    assert(command == privdata);
    (void)privdata;
    if (command->kind == STORE_COMMAND_FCALL && function_is_gone(reply) &&
        store_command_repeat(store, command))
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        on_error(store, command, reply);
    else if (command->kind == STORE_COMMAND_SCAN && is_scan_reply(reply))
        on_scan(store, command, reply);
    else if (command->kind != STORE_COMMAND_SCAN && reply->type == REDIS_REPLY_STRING)
        store_command_finish(store, command, STORE_OK, reply->str, (size_t)reply->len);
    else if (command->kind != STORE_COMMAND_SCAN && reply->type == REDIS_REPLY_NIL)
        store_command_finish(store, command, STORE_NIL, "", 0);
    else
        store_command_finish(store, command, STORE_REFUSED, unexpected_type,
                             strlen(unexpected_type));
}

int store_call(struct store *store, enum store_function function, size_t n_keys,
               const char *const keys[], const size_t key_bytes[], const char *argument,
               size_t argument_bytes, store_reply_fn *on_reply, void *arg)
{
    if (!store_ready(store))
        return -1;
    char name[sizeof store->library + 8], count[HEADER_BYTES];
    int name_bytes = snprintf(name, sizeof name, "%s%s", store->library,
                              function == FUNCTION_AUDIT ? "_audit" : "");
    int count_bytes = snprintf(count, sizeof count, "%zu", n_keys);
    size_t room = HEADER_BYTES + bulk_room(strlen("FCALL")) + bulk_room((size_t)name_bytes) +
                  bulk_room((size_t)count_bytes) + bulk_room(argument_bytes);
    for (size_t i = 0; i < n_keys; i++)
        room += bulk_room(key_bytes[i]);

    struct store_command *command = store_command_new(store, room);
    if (!command)
        return -1;
    command->kind = STORE_COMMAND_FCALL;
    put_header(command, '*', n_keys + 4);
    put_bulk(command, "FCALL", strlen("FCALL"));
    put_bulk(command, name, (size_t)name_bytes);
    put_bulk(command, count, (size_t)count_bytes);
    for (size_t i = 0; i < n_keys; i++)
        put_bulk(command, keys[i], key_bytes[i]);
    put_bulk(command, argument, argument_bytes);
    return store_command_send(store, command, on_reply, arg);
}

int store_hget(struct store *store, const char *key, size_t key_bytes, const char *field,
               size_t field_bytes, store_reply_fn *on_reply, void *arg)
{
    if (!store_ready(store))
        return -1;
    struct store_command *command =
        store_command_new(store, HEADER_BYTES + bulk_room(strlen("HGET")) + bulk_room(key_bytes) +
                                     bulk_room(field_bytes));
    if (!command)
        return -1;
    command->kind = STORE_COMMAND_HGET;
    put_header(command, '*', 3);
    put_bulk(command, "HGET", strlen("HGET"));
    put_bulk(command, key, key_bytes);
    put_bulk(command, field, field_bytes);
    return store_command_send(store, command, on_reply, arg);
}

int store_scan(struct store *store, const char *cursor, const char *pattern, store_key_fn *on_key,
               store_reply_fn *on_reply, void *arg)
{
    if (!store_ready(store))
        return -1;
    const char *const words[] = {"SCAN", cursor, "MATCH", pattern, "COUNT", "500"};
    const size_t n = sizeof words / sizeof words[0];
    size_t room = HEADER_BYTES;
    for (size_t i = 0; i < n; i++)
        room += bulk_room(strlen(words[i]));
    struct store_command *command = store_command_new(store, room);
    if (!command)
        return -1;
    command->kind = STORE_COMMAND_SCAN;
    command->on_key = on_key;
    put_header(command, '*', n);
    for (size_t i = 0; i < n; i++)
        put_bulk(command, words[i], strlen(words[i]));
    return store_command_send(store, command, on_reply, arg);
}
