/*
 * One command, some server, one reply.
 *
 * Normal path: the connection of the last command is still there; the command goes out, the reply
 * comes in.
 *
 * How it fails:
 *   - A server cannot be reached, breaks off in the middle or does not answer: the next one in the
 *     list is asked, with the same bytes and thus the same id, so that what was decided before the
 *     break is found and not charged again. After each full turn through the list there is a pause,
 *     growing to a quarter of a second. The time that is left is shared between the servers that
 *     this turn has yet to ask, so that a silent one does not use up the deadline.
 *   - The deadline passes: RATION_ETIMEOUT if a server had the command and said nothing,
 *     RATION_ECONNECT if none could be reached.
 *   - The server answers with an error: that is an answer. It is turned into its code and returned
 *     at once; whether to ask again is the caller's business.
 *   - The server answers nonsense: RATION_EPROTOCOL at once, and the connection is given up.
 */
#include "wire/servers.h"

#include "clock.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_PAUSE_MS 10
#define MAX_PAUSE_MS   250

struct attempt {
    int64_t deadline_ms; /* of the whole command */
    uint32_t wait_ms;    /* the part of it for which the server may park the request */
    size_t turn;         /* servers asked in this turn through the list */
    int64_t pause_ms;    /* after this turn */
    int err;             /* of the last try */
    bool final;          /* do not ask another server; the message is complete */
};

void servers_init(struct servers *servers)
{
    memset(servers, 0, sizeof(*servers));
    conn_init(&servers->conn);
}

void servers_close(struct servers *servers)
{
    conn_close(&servers->conn);
    explicit_bzero(servers->secret, sizeof(servers->secret));
}

/* ---- Messages ---- */

static int __attribute__((format(printf, 3, 4)))
fail(struct servers *s, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->errmsg, sizeof(s->errmsg), format, args);
    va_end(args);
    return err;
}

static const char *current_name(const struct servers *s)
{
    return s->list.at[s->current].text;
}

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

static int fail_with_reply(struct servers *s, struct reply *reply)
{
    char text[256];
    reply_text(reply, text, sizeof(text));
    reply_free(reply);
    return fail(s, error_code(text), "%s: %s", current_name(s), text);
}

int servers_unexpected(struct servers *servers, const char *verb, struct reply *reply)
{
    reply_free(reply);
    return fail(servers, RATION_EPROTOCOL, "%s sent an unexpected reply to %s; is it a rationd?",
                current_name(servers), verb);
}

/* ---- One server ---- */

/* The deadline of this try: its share of the time that is left. */
static int64_t try_deadline(const struct servers *s, const struct attempt *a)
{
    int64_t now = clock_ms();
    int64_t left = a->deadline_ms - now;
    int64_t shared = left > a->wait_ms ? left - a->wait_ms : 0;
    int64_t servers = (int64_t)(s->list.n - a->turn);
    assert(servers > 0);
    return clock_earlier(a->deadline_ms, now + a->wait_ms + (shared + servers - 1) / servers);
}

/* Introduces the handle to a server that wants a credential. A refusal is final: another server
 * would say the same. */
static int authenticate(struct servers *s, int64_t deadline_ms, struct attempt *a)
{
    struct command cmd;
    command_init(&cmd, "AUTH");
    if (strcmp(s->tenant, "default") != 0)
        command_arg(&cmd, s->tenant);
    command_arg(&cmd, s->secret);
    int err = command_finish(&cmd);
    struct reply *reply = NULL;
    if (err == 0)
        err = conn_ask(&s->conn, &cmd, deadline_ms, &reply);
    explicit_bzero(&cmd, sizeof(cmd));
    if (err < 0)
        return err;
    assert(reply);
    if (reply->type == REPLY_STATUS) {
        reply_free(reply);
        return 0;
    }
    conn_close(&s->conn);
    a->final = true;
    return reply->type == REPLY_ERROR ? fail_with_reply(s, reply)
                                      : servers_unexpected(s, "AUTH", reply);
}

static int try_once(struct servers *s, const struct command *cmd, struct attempt *a,
                    struct reply **out)
{
    int64_t deadline_ms = try_deadline(s, a);
    if (!conn_is_fresh(&s->conn)) {
        conn_close(&s->conn);
        int64_t until = clock_earlier(deadline_ms, clock_ms() + s->connect_timeout_ms);
        int err = conn_open(&s->conn, &s->list.at[s->current], until);
        if (err < 0)
            return err == RATION_ENOMEM ? err : RATION_ECONNECT;
        if (s->secret[0])
            err = authenticate(s, deadline_ms, a);
        if (err < 0)
            return err;
    }
    return conn_ask(&s->conn, cmd, deadline_ms, out);
}

/* ---- One after another ---- */

/* Goes on to the next server, with a pause after each turn. False: the time is up. */
static bool next_server(struct servers *s, struct attempt *a)
{
    if (clock_ms() >= a->deadline_ms)
        return false;
    a->turn++;
    if (a->turn == s->list.n) {
        int64_t until = clock_ms() + a->pause_ms;
        if (until >= a->deadline_ms)
            return false;
        clock_wait_until(until);
        a->pause_ms = clock_earlier(a->pause_ms * 2, MAX_PAUSE_MS);
        a->turn = 0;
    }
    s->current = (s->current + 1) % s->list.n;
    return true;
}

static int give_up(struct servers *s, const struct attempt *a)
{
    if (s->list.n > 1)
        return fail(s, a->err, "%s (the last of %zu servers tried: %s: %s)",
                    ration_strerror(a->err), s->list.n, current_name(s), s->conn.errmsg);
    return fail(s, a->err, "%s: %s", current_name(s), s->conn.errmsg);
}

int servers_ask(struct servers *servers, const struct command *cmd, int64_t deadline_ms,
                uint32_t wait_ms, struct reply **out)
{
    assert(servers->current < servers->list.n);
    struct attempt a = {.deadline_ms = deadline_ms, .wait_ms = wait_ms, .pause_ms = FIRST_PAUSE_MS};
    struct reply *reply = NULL;
    for (;;) {
        a.err = try_once(servers, cmd, &a, &reply);
        if (a.err == 0)
            break;
        if (a.final)
            return a.err;
        if (a.err == RATION_ENOMEM || a.err == RATION_EPROTOCOL || !next_server(servers, &a))
            return give_up(servers, &a);
    }
    if (reply->type == REPLY_ERROR)
        return fail_with_reply(servers, reply);
    *out = reply;
    return 0;
}
