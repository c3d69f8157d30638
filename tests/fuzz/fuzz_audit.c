/*
 * Fuzz target: the store's answers to an audit: the ledger, the keys of a SCAN, the records
 * counted.
 *
 *     302 1 n 302      one word per answer: its length in bytes, or how it failed (l lost, n nil,
 *                      r refused)
 *     <bytes>          the answers, one after another; for a SCAN, keys that end in a line feed and
 *                      the next cursor
 *
 * Whatever they are, the audit ends once, with rows or with a reason.
 */
#include "fuzz.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/audit.h"
#include "clock.h"
#include "config/config.h"
#include "log.h"
#include "store/store.h"

#define MAX_CALLS 64

static const char document[] = "{\"pools\": {\"p\": {\"limits\": [{\"unit\": \"requests\", "
                               "\"amount\": 10, \"per\": \"minute\"}]},"
                               " \"q\": {\"domain\": \"d2\", \"limits\": [{\"unit\": \"tokens\", "
                               "\"amount\": 10, \"per\": \"day\"}]}},"
                               " \"tiers\": {\"t\": {\"limits\": [{\"unit\": \"tokens\", "
                               "\"amount\": 9, \"per\": \"minute\"}]}},"
                               " \"default_tier\": \"t\"}";

/* The call that waits for its answer; audits make one at a time. */
static struct {
    store_reply_fn *reply;
    store_key_fn *key;
    void *arg;
    size_t calls;
} call;

static bool ended;

static int take_call(store_reply_fn *on_reply, store_key_fn *on_key, void *arg)
{
    CHECK(call.reply == NULL);
    if (++call.calls > MAX_CALLS)
        return -1;
    call.reply = on_reply;
    call.key = on_key;
    call.arg = arg;
    return 0;
}

int store_call(struct store *store, enum store_function function, size_t n_keys,
               const char *const keys[], const size_t key_bytes[], const char *argument,
               size_t argument_bytes, store_reply_fn *on_reply, void *arg)
{
    (void)store, (void)argument;
    CHECK(function == FUNCTION_AUDIT && argument_bytes == 8 && n_keys > 0);
    for (size_t i = 0; i < n_keys; i++)
        CHECK(strnlen(keys[i], key_bytes[i] + 1) == key_bytes[i]);
    return take_call(on_reply, NULL, arg);
}

int store_scan(struct store *store, const char *cursor, const char *pattern, store_key_fn *on_key,
               store_reply_fn *on_reply, void *arg)
{
    (void)store;
    CHECK(strlen(cursor) < 32 && pattern[0] != '\0');
    return take_call(on_reply, on_key, arg);
}

int store_hget(struct store *store, const char *key, size_t key_bytes, const char *field,
               size_t field_bytes, store_reply_fn *on_reply, void *arg)
{
    (void)store, (void)key, (void)key_bytes, (void)field, (void)field_bytes;
    return take_call(on_reply, NULL, arg);
}

bool store_ready(const struct store *store)
{
    (void)store;
    return true;
}

const char *store_trouble(const struct store *store)
{
    (void)store;
    return "closed"; /* retrying is pointless */
}

static void on_done(void *arg, const struct audit_row *rows, size_t n, const char *error)
{
    (void)arg;
    CHECK(!ended && (rows != NULL) != (error != NULL));
    ended = true;
    for (size_t i = 0; i < n; i++)
        CHECK(rows != NULL && rows[i].pool != NULL &&
              (unsigned)rows[i].unit < RATION_UNIT_CONCURRENT);
}

/* Gives the next answer: for a scan one key per line, with the cursor in the last line. */
static void answer(struct fuzz_input *input, size_t n, enum store_status status)
{
    store_reply_fn *reply = call.reply;
    store_key_fn *on_key = call.key;
    void *arg = call.arg;
    n = n < input->n ? n : input->n;
    struct fuzz_input data = {input->bytes, n};
    input->bytes += n;
    input->n -= n;
    call.reply = NULL;
    while (on_key && status == STORE_OK && data.n > 0 && memchr(data.bytes, '\n', data.n)) {
        char key[128];
        fuzz_line(&data, key, sizeof(key));
        on_key(arg, key, strlen(key));
    }
    char *copy = fuzz_copy(data.bytes, data.n);
    reply(arg, status, copy, data.n);
    free(copy);
}

static enum store_status status_of(char letter)
{
    return letter == 'r'   ? STORE_REFUSED
           : letter == 'n' ? STORE_NIL
           : letter == 'l' ? STORE_LOST
                           : STORE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    static struct event_base *base;
    struct fuzz_input input = {(const char *)data, size};
    struct config_problems problems;
    char line[64];
    if (!config) {
        log_set_level(LOG_LEVEL_ERROR);
        CHECK(config_parse("fuzz", document, strlen(document), &config, &problems) == 0);
        base = event_base_new();
    }
    fuzz_line(&input, line, sizeof(line));
    char *word = strtok(line, " ");
    ended = false;
    memset(&call, 0, sizeof(call));
    audit_run(base, NULL, config, size % 2 ? config_pool_at(config, 0) : NULL, on_done, NULL);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    while (!ended) {
        CHECK(call.reply != NULL);
        size_t n = word ? (size_t)strtoul(word, NULL, 10) : 0;
        answer(&input, n, word ? status_of(word[0]) : STORE_REFUSED);
        word = word ? strtok(NULL, " ") : NULL;
    }
    CHECK(call.reply == NULL);
    return 0;
}
