/*
 * One command, some server, one reply.
 *
 * Normal path: the connection of the last call is still there; the command goes out, the reply
 * comes in.
 *
 * How it fails:
 *   - A server cannot be reached, breaks off in the middle or does not answer: the next one in the
 *     list is asked, with the same bytes and thus the same id, so that what was decided before the
 *     break is found and not charged again. After each full turn through the list there is a pause,
 *     growing to a quarter of a second. The time that is left is shared between the servers that
 *     this turn has yet to ask, so that a silent one does not use up the deadline.
 *   - The deadline passes: RATION_ETIMEOUT when a server had the command and said nothing,
 *     RATION_ECONNECT when none could be reached.
 *   - The server answers with an error: that is an answer. It is turned into its code and returned
 *     at once; whether to ask again is the caller's business.
 *   - The server answers nonsense: RATION_EPROTOCOL at once, and the connection is given up.
 */
#include "handle.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>

#define WHY_BYTES      160
#define FIRST_PAUSE_MS 10
#define MAX_PAUSE_MS   250

struct attempt {
    int64_t deadline_ms; /* of the whole call */
    uint32_t wait_ms;    /* of it, what the server may use for parking the request */
    size_t turn;         /* servers asked in this turn through the list */
    int64_t pause_ms;    /* after this turn */
    int err;             /* of the last try */
    char why[WHY_BYTES]; /* of the last try */
};

static int error_code(const char *text)
{
    static const struct {
        const char *word;
        int err;
    } words[] = {
        {RATION_ERR_MALFORMED, RATION_ESERVER},  {RATION_ERR_NOPOOL, RATION_ENOPOOL},
        {RATION_ERR_NOTENANT, RATION_ENOTENANT}, {RATION_ERR_NOSUCH, RATION_ENOSUCH},
        {RATION_ERR_NOAUTH, RATION_ENOAUTH},     {RATION_ERR_NOPERM, RATION_ENOPERM},
        {"WRONGPASS", RATION_ENOAUTH},           {RATION_ERR_UNAVAILABLE, RATION_EUNAVAILABLE},
        {RATION_ERR_BUSY, RATION_EBUSY},
    };
    size_t len = strcspn(text, " ");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0)
            return words[i].err;
    }
    return RATION_ESERVER;
}

static int fail_with_reply(ration *r, struct reply *reply)
{
    char text[256];
    reply_text(reply, text, sizeof(text));
    reply_free(reply);
    return handle_fail(r, error_code(text), "%s: %s", r->servers.at[r->current].text, text);
}

/* What this try may take: its share of the time that is left. */
static int64_t try_deadline(const ration *r, const struct attempt *a)
{
    int64_t now = clock_ms();
    int64_t left = a->deadline_ms - now;
    int64_t shared = left > a->wait_ms ? left - a->wait_ms : 0;
    int64_t servers = (int64_t)(r->servers.n - a->turn);
    return clock_earlier(a->deadline_ms, now + a->wait_ms + (shared + servers - 1) / servers);
}

/* Introduces the handle to a server that wants a credential. A refusal is final: another server
 * would say the same. */
static int authenticate(ration *r, int64_t deadline_ms, struct attempt *a, bool *final)
{
    struct command cmd;
    command_init(&cmd, "AUTH");
    if (strcmp(r->tenant, "default") != 0)
        command_arg(&cmd, r->tenant);
    command_arg(&cmd, r->secret);
    int err = command_finish(&cmd);
    struct reply *reply = NULL;
    if (err == 0)
        err = conn_exchange(&r->conn, &cmd, deadline_ms, &reply, a->why, sizeof(a->why));
    explicit_bzero(&cmd, sizeof(cmd));
    if (err < 0)
        return err;
    if (reply && reply->type == REPLY_STATUS) {
        reply_free(reply);
        return 0;
    }
    conn_close(&r->conn);
    *final = true;
    return reply && reply->type == REPLY_ERROR ? fail_with_reply(r, reply)
                                               : handle_bad_reply(r, "AUTH", reply);
}

/* One try at one server. `final` is set where no other server is to be asked, and the message then
 * is complete. */
static int try_once(ration *r, const struct command *cmd, struct attempt *a, struct reply **out,
                    bool *final)
{
    int64_t deadline_ms = try_deadline(r, a);
    if (!conn_is_fresh(&r->conn)) {
        conn_close(&r->conn);
        int64_t until = clock_earlier(deadline_ms, clock_ms() + r->connect_timeout_ms);
        int err = conn_open(&r->conn, &r->servers.at[r->current], until, a->why, sizeof(a->why));
        if (err < 0)
            return err == RATION_ENOMEM ? err : RATION_ECONNECT;
        if (r->secret[0])
            err = authenticate(r, deadline_ms, a, final);
        if (err < 0)
            return err;
    }
    return conn_exchange(&r->conn, cmd, deadline_ms, out, a->why, sizeof(a->why));
}

/* Goes on to the next server, with a pause after each turn. False: the time is up. */
static bool next_server(ration *r, struct attempt *a)
{
    if (clock_ms() >= a->deadline_ms)
        return false;
    a->turn++;
    if (a->turn == r->servers.n) {
        int64_t until = clock_ms() + a->pause_ms;
        if (until >= a->deadline_ms)
            return false;
        clock_wait_until(until);
        a->pause_ms = clock_earlier(a->pause_ms * 2, MAX_PAUSE_MS);
        a->turn = 0;
    }
    r->current = (r->current + 1) % r->servers.n;
    return true;
}

static int give_up(ration *r, const struct attempt *a)
{
    const char *server = r->servers.at[r->current].text;
    if (r->servers.n > 1)
        return handle_fail(r, a->err, "%s (the last of %zu servers tried: %s: %s)",
                           ration_strerror(a->err), r->servers.n, server, a->why);
    return handle_fail(r, a->err, "%s: %s", server, a->why);
}

int handle_exchange_until(ration *r, const struct command *cmd, int64_t deadline_ms,
                          uint32_t wait_ms, struct reply **out)
{
    struct attempt a = {.deadline_ms = deadline_ms, .wait_ms = wait_ms, .pause_ms = FIRST_PAUSE_MS};
    struct reply *reply = NULL;
    for (;;) {
        bool final = false;
        a.err = try_once(r, cmd, &a, &reply, &final);
        if (a.err == 0)
            break;
        if (final)
            return a.err;
        if (a.err == RATION_ENOMEM || a.err == RATION_EPROTOCOL || !next_server(r, &a))
            return give_up(r, &a);
    }
    if (reply->type == REPLY_ERROR)
        return fail_with_reply(r, reply);
    *out = reply;
    return 0;
}

int handle_exchange(ration *r, struct command *cmd, uint32_t wait_ms, struct reply **out)
{
    int err = handle_finish(r, cmd);
    if (err < 0)
        return err;
    int64_t now_ms = clock_ms();
    int64_t deadline_ms = now_ms + r->timeout_ms + wait_ms;
    if (r->owed.bytes)
        handle_collect(r, now_ms + (r->timeout_ms + 1) / 2);
    return handle_exchange_until(r, cmd, deadline_ms, wait_ms, out);
}
