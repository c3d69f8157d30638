/*
 * Decides which of the store's replies are accepted, before hiredis builds them.
 *
 * hiredis asserts that somebody waits for each reply, and allocates as many elements as an array
 * announces. So a store, or whatever answers in its place, could crash the process with one
 * unexpected reply. Here such a reply is not built, which hiredis takes for lack of memory: the
 * connection ends, and what was under way on it is lost, like any other.
 *
 * An error that nobody asked for is let through: this is how Redis reports too many clients, and
 * hiredis ends the connection with that message.
 */
#include "store/store_inner.h"

enum { MAX_ELEMENTS = 1 << 20 }; /* SCAN is asked for some hundreds, but may return more */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* The store of this reply's connection if the reply may be built, else NULL. */
static struct store *taker(const redisReadTask *task)
{
    const redisAsyncContext *context = task->privdata;
    struct store *store = context->data;
    if (!store || task->parent || context->replies.head || task->type == REDIS_REPLY_ERROR)
        return store;
    store->nonsense = "the store sent a reply that nobody asked for";
    return NULL;
}

static void *create_string(const redisReadTask *task, char *text, size_t n)
{
    struct store *store = taker(task);
    return store ? store->hiredis->createString(task, text, n) : NULL;
}

static void *create_array(const redisReadTask *task, array_size n)
{
    struct store *store = taker(task);
    if (!store)
        return NULL;
    if ((long long)n <= MAX_ELEMENTS)
        return store->hiredis->createArray(task, n);
    store->nonsense = "the store announced a reply of more than a million elements";
    return NULL;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct store *store = taker(task);
    return store ? store->hiredis->createInteger(task, value) : NULL;
}

static void *create_nil(const redisReadTask *task)
{
    struct store *store = taker(task);
    return store ? store->hiredis->createNil(task) : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double value, char *text, size_t n)
{
    struct store *store = taker(task);
    return store ? store->hiredis->createDouble(task, value, text, n) : NULL;
}

static void *create_bool(const redisReadTask *task, int value)
{
    struct store *store = taker(task);
    return store ? store->hiredis->createBool(task, value) : NULL;
}
#endif

void store_guard_replies(struct store *store)
{
    redisReader *reader = store->context->c.reader;
    redisReplyObjectFunctions *functions = &store->reply_functions;
    store->nonsense = NULL;
    store->hiredis = reader->fn;
    *functions = *reader->fn;
    functions->createString = create_string;
    functions->createArray = create_array;
    functions->createInteger = create_integer;
    functions->createNil = create_nil;
#if HIREDIS_MAJOR >= 1
    functions->createDouble = create_double;
    functions->createBool = create_bool;
#endif
    reader->fn = functions;
    reader->privdata = store->context;
}
