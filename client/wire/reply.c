/*
 * Builds replies under hiredis' parser, within bounds, and reads fields from them.
 *
 * Normal path: bytes are fed, the parser calls the create functions from the outside in, each
 * attaches its object to its parent, and the whole comes out of reply_reader_next(). A create
 * function that returns NULL stops the parser, which then frees what was begun through
 * free_object(). The reader notes whether the bound or the memory was the reason.
 *
 * The parser's objects differ between hiredis 0.14 and 1.x: the size of an array changed its type
 * and RESP3 brought two more kinds. Those never come over a connection that did not say HELLO 3,
 * but a peer can send anything.
 */
#include "wire/reply.h"

#include <ration/ration.h>

#include <stdlib.h>
#include <string.h>

#include <hiredis.h>

struct reply_reader {
    redisReader *parser;
    size_t bytes; /* fed since the last whole reply */
    size_t items; /* elements of the reply being built */
    int err;      /* why a create function gave up; 0 while well */
};

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

void reply_free(struct reply *reply)
{
    if (!reply)
        return;
    /* The parser bounds the depth of 0.14 at 7; on 1.x create_array does. */
    for (size_t i = 0; i < reply->n; i++)
        reply_free(reply->element[i]);
    free(reply->element);
    free(reply->str);
    free(reply);
}

static void free_object(void *object)
{
    reply_free(object);
}

/* Makes an object and attaches it to its parent, which from then on owns it. */
static struct reply *new_object(const redisReadTask *task, enum reply_type type)
{
    struct reply_reader *reader = task->privdata;
    struct reply *reply = calloc(1, sizeof(*reply));
    if (!reply) {
        reader->err = RATION_ENOMEM;
        return NULL;
    }
    reply->type = type;
    if (task->parent) {
        struct reply *parent = task->parent->obj;
        parent->element[task->idx] = reply;
    }
    return reply;
}

static void *create_string(const redisReadTask *task, char *str, size_t len)
{
    struct reply_reader *reader = task->privdata;
    /* The text first: a half-made object would already be attached. */
    char *copy = malloc(len + 1);
    if (!copy) {
        reader->err = RATION_ENOMEM;
        return NULL;
    }
    memcpy(copy, str, len);
    copy[len] = '\0';

    enum reply_type type = REPLY_STRING;
    if (task->type == REDIS_REPLY_ERROR)
        type = REPLY_ERROR;
    else if (task->type == REDIS_REPLY_STATUS)
        type = REPLY_STATUS;
    struct reply *reply = new_object(task, type);
    if (!reply) {
        free(copy);
        return NULL;
    }
    reply->str = copy;
    reply->len = len;
    return reply;
}

static int depth_of(const redisReadTask *task)
{
    int depth = 0;
    while ((task = task->parent) != NULL)
        depth++;
    return depth;
}

static void *create_array(const redisReadTask *task, array_size n)
{
    struct reply_reader *reader = task->privdata;
    if ((long long)n < 0 || (size_t)n > REPLY_MAX_ITEMS - reader->items || depth_of(task) > 6) {
        reader->err = RATION_EPROTOCOL;
        return NULL;
    }
    struct reply **element = n > 0 ? calloc((size_t)n, sizeof(struct reply *)) : NULL;
    if (n > 0 && !element) {
        reader->err = RATION_ENOMEM;
        return NULL;
    }
    struct reply *reply = new_object(task, REPLY_ARRAY);
    if (!reply) {
        free(element);
        return NULL;
    }
    reader->items += (size_t)n;
    reply->element = element;
    reply->n = (size_t)n;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct reply *reply = new_object(task, REPLY_INTEGER);
    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return new_object(task, REPLY_NIL);
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double value, char *str, size_t len)
{
    (void)value;
    return create_string(task, str, len);
}

static void *create_bool(const redisReadTask *task, int value)
{
    return create_integer(task, value);
}
#endif

static redisReplyObjectFunctions object_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
};

struct reply_reader *reply_reader_new(void)
{
    struct reply_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->parser = redisReaderCreateWithFunctions(&object_functions);
    if (!reader->parser) {
        free(reader);
        return NULL;
    }
    reader->parser->privdata = reader;
    /* Otherwise an emptied buffer is replaced by a smaller one, and 0.14 asserts that this
     * succeeds. */
    reader->parser->maxbuf = 0;
    return reader;
}

void reply_reader_free(struct reply_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->parser);
    free(reader);
}

static int parser_error(const struct reply_reader *reader)
{
    if (reader->err < 0)
        return reader->err;
    return reader->parser->err == REDIS_ERR_OOM ? RATION_ENOMEM : RATION_EPROTOCOL;
}

int reply_reader_feed(struct reply_reader *reader, const char *buf, size_t len)
{
    if (len > REPLY_MAX_BYTES - reader->bytes)
        return RATION_EPROTOCOL;
    reader->bytes += len;
    return redisReaderFeed(reader->parser, buf, len) == REDIS_OK ? 0 : parser_error(reader);
}

int reply_reader_next(struct reply_reader *reader, struct reply **out)
{
    void *reply = NULL;
    if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
        return parser_error(reader);
    if (reply) {
        reader->bytes = 0;
        reader->items = 0;
    }
    *out = reply;
    return 0;
}

bool reply_reader_has_rest(const struct reply_reader *reader)
{
    return reader->parser->pos < reader->parser->len || reader->parser->ridx >= 0;
}

/* ---- Fields ---- */

static bool is_text(const struct reply *reply)
{
    return reply->type == REPLY_STRING || reply->type == REPLY_STATUS;
}

const struct reply *reply_field(const struct reply *map, const char *name)
{
    if (!map || map->type != REPLY_ARRAY)
        return NULL;
    size_t name_len = strlen(name);
    for (size_t i = 0; i + 1 < map->n; i += 2) {
        const struct reply *key = map->element[i];
        if (is_text(key) && key->len == name_len && memcmp(key->str, name, name_len) == 0)
            return map->element[i + 1];
    }
    return NULL;
}

int reply_field_string(const struct reply *map, const char *name, char *out, size_t size)
{
    const struct reply *value = reply_field(map, name);
    if (!value || !is_text(value) || value->len >= size)
        return RATION_EPROTOCOL;
    for (size_t i = 0; i < value->len; i++) {
        if (value->str[i] < ' ' || value->str[i] > '~')
            return RATION_EPROTOCOL;
    }
    memcpy(out, value->str, value->len + 1);
    return 0;
}

int reply_field_integer(const struct reply *map, const char *name, int64_t *out)
{
    const struct reply *value = reply_field(map, name);
    if (!value || value->type != REPLY_INTEGER)
        return RATION_EPROTOCOL;
    *out = value->integer;
    return 0;
}

void reply_text(const struct reply *reply, char *out, size_t size)
{
    size_t len = 0;
    for (; reply->str && len < reply->len && len + 1 < size; len++) {
        char c = reply->str[len];
        if (c < ' ' || c > '~')
            c = '?';
        out[len] = c;
    }
    out[len] = '\0';
}
