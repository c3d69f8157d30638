/*
 * The one door to the store (Redis or Valkey). No hiredis type leaves this module.
 *
 * A store belongs to one event base and its thread, never blocks, and is in one of four states:
 *
 *     down  ->  connecting  ->  ready  ->  backing off (with jitter)  ->  connecting ...
 *
 * AUTH, SELECT, a check of the store's settings and the loading of the functions come before ready.
 * Commands are accepted only while ready; until then they wait with the caller.
 *
 * Every command ends in exactly one call of its callback, never from inside the function that sent
 * it:
 *     STORE_OK      data is the reply, a string; borrowed until the callback returns
 *     STORE_NIL     the reply is nil
 *     STORE_REFUSED data is the store's error text (OOM, READONLY, ...): nothing was written
 *     STORE_LOST    the connection broke or the reply was late: it may or may not have been done
 */
#ifndef RATIOND_STORE_H
#define RATIOND_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct event_base;
struct store;

enum store_status { STORE_OK, STORE_NIL, STORE_REFUSED, STORE_LOST };
enum store_function { FUNCTION_DECIDE, FUNCTION_AUDIT, FUNCTION_COUNT };

typedef void store_reply_fn(void *arg, enum store_status status, const char *data, size_t n);
/* Called after each change between ready and not ready, from the event loop. */
typedef void store_state_fn(void *arg, bool ready);

/* settings are borrowed and must live as long as the store. The first connection attempt starts at
 * once. Gives NULL only if out of memory. */
struct store *store_new(struct event_base *base, const struct config_store *settings,
                        store_state_fn *on_state, void *arg);
/* Calls back everything under way with STORE_LOST, then frees; NULL allowed. Not to be called from
 * its own callbacks. */
void store_free(struct store *store);

bool store_ready(const struct store *store);
/* Why it is not ready, for people; "" if it is. */
const char *store_trouble(const struct store *store);
/* Settings of the store that endanger promises (eviction, ...), found while connecting; "" if
 * none. */
const char *store_warning(const struct store *store);

/*
 * Runs a function by FCALL: keys[n_keys], one binary argument. If the store has forgotten the
 * function (FUNCTION FLUSH, a restart, a failover), it has done nothing, and the function is loaded
 * and called again without the caller noticing. Returns 0, or -1 if the store is not ready (then
 * the callback is not called). The bytes are copied.
 */
int store_call(struct store *store, enum store_function function, size_t n_keys,
               const char *const keys[], const size_t key_bytes[], const char *argument,
               size_t argument_bytes, store_reply_fn *on_reply, void *arg);

/* HGET key field; otherwise like store_call. */
int store_hget(struct store *store, const char *key, size_t key_bytes, const char *field,
               size_t field_bytes, store_reply_fn *on_reply, void *arg);

/*
 * One step of SCAN over the keys that match `pattern`. The callback gets STORE_OK with data = the
 * next cursor as decimal text ("0": the end), and on_key is called for each key before that.
 */
typedef void store_key_fn(void *arg, const char *key, size_t n);
int store_scan(struct store *store, const char *cursor, const char *pattern, store_key_fn *on_key,
               store_reply_fn *on_reply, void *arg);

#endif
