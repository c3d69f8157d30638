/*
 * What the files of the store module share; nobody else includes this.
 *
 *     store.c          states, connecting, backing off, deadlines, the loss of what was under way
 *     store_greeting.c from connected to ready: AUTH, SELECT, INFO, FUNCTION LOAD
 *     store_command.c  commands: bytes, replies, the repeat if the store does not know the function
 *     store_reply.c    which replies hiredis may build
 */
#ifndef RATIOND_STORE_INNER_H
#define RATIOND_STORE_INNER_H

#include "clock.h"
#include "store/store.h"

#include <hiredis/async.h>

struct event;
struct store_lookup;

enum store_state { STATE_DOWN, STATE_CONNECTING, STATE_READY, STATE_BACKING_OFF, STATE_COUNT };

enum store_command_kind { STORE_COMMAND_FCALL, STORE_COMMAND_HGET, STORE_COMMAND_SCAN };

/* A command, from sending to callback. The bytes are kept for a repeat if the functions are
 * gone. */
struct store_command {
    struct store_command *next; /* in the list that holds it: in_flight, lost or spare */
    enum store_command_kind kind;
    uint64_t deadline_ms; /* on the monotonic clock; a repeat keeps it */
    store_reply_fn *on_reply;
    store_key_fn *on_key; /* STORE_COMMAND_SCAN */
    void *arg;
    char *bytes; /* as they go over the wire */
    size_t n;
    size_t capacity;
};

/* A queue of commands, oldest first. */
struct store_command_list {
    struct store_command *first;
    struct store_command *last; /* meaningless while first is NULL */
};

struct store {
    struct event_base *base;             /* borrowed */
    const struct config_store *settings; /* borrowed */
    store_state_fn *on_state;
    void *state_arg;

    enum store_state state;
    bool told_ready; /* what on_state was last told */
    /* while connecting or ready; its `data` is the store until it is let go */
    redisAsyncContext *context;
    /* hiredis' functions build its replies, if reply_functions let them */
    redisReplyObjectFunctions reply_functions;
    const redisReplyObjectFunctions *hiredis;
    const char *nonsense; /* why one was not built; NULL: all have been */
    /* while the host's name is looked up, before there is a context */
    struct store_lookup *lookup;
    struct event *timer; /* connecting: gives up; backing off: retries */
    struct event *push;  /* made active by a command: writes what was queued in this turn */
    struct event *watch; /* fires no later than the earliest deadline in in_flight */
    unsigned step;       /* of the greeting */
    unsigned failures;   /* in a row: they determine the delay and the choice of address */
    uint64_t ready_since_ms;

    char trouble[320]; /* why it is not ready */
    char warning[320]; /* what endangers promises */
    char logged[320];  /* the trouble logged last, not to be repeated at once */
    uint64_t logged_ms;

    /* the name of our library of functions, which differs between releases */
    char library[64];
    bool reloading; /* the functions were gone, and a FUNCTION LOAD is under way */

    struct store_command_list in_flight; /* sent, in the order of their replies */
    /* their connection is gone, their callbacks are still due */
    struct store_command_list lost;
    struct store_command *spare; /* for reuse */
    unsigned n_spare;
    unsigned calling; /* callbacks on the stack: store_free is not allowed then */
};

/* Who ends the connection's context: we do, or hiredis will after this callback. */
enum context_end { CONTEXT_OURS, CONTEXT_ENDS_ITSELF };

void store_set_timer(struct event *event, uint64_t ms);

/*
 * Ends the connection for the given reason and backs off. Commands in flight move to `lost`, and
 * nobody is told yet: store_tell() does that, store_break() does both. Only from the event loop.
 */
void store_leave(struct store *store, enum context_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void store_tell(struct store *store);
void store_break(struct store *store, enum context_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the functions of store_reply.c into a new context. */
void store_guard_replies(struct store *store);

/* Begins the greeting on a new context. */
void store_greet(struct store *store);
/* The greeting has succeeded. */
void store_set_ready(struct store *store);

/* Sends FUNCTION LOAD; returns 0, or -1: out of memory. */
int store_load_functions(struct store *store, redisCallbackFn *on_loaded);
/* Does this reply mean that the functions are loaded? */
bool store_functions_loaded(const struct store *store, const redisReply *reply);

/* What hiredis says about a broken context; never empty. */
const char *store_context_error(const redisAsyncContext *context);
bool store_is_error(const redisReply *reply, const char *code);

void store_command_list_append(struct store_command_list *list, struct store_command *command);
struct store_command *store_command_list_take(struct store_command_list *list);
/* Recycles the command and calls its callback. */
void store_command_finish(struct store *store, struct store_command *command,
                          enum store_status status, const char *data, size_t n);
void store_command_free_spare(struct store *store);

#endif
