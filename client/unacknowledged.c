/*
 * A settlement whose reply is read later.
 *
 * When a call has its answer, nothing that the server could say about the report changes it;
 * waiting for the acknowledgement would only add a round trip to each call. So the report is sent
 * at once, which is when the server and all other hosts learn of it, and kept. Its reply is the
 * first thing that comes over the connection in the next exchange, which fetches it before it sends
 * anything, or in ration_close().
 *
 * How it fails:
 *   - there is no fresh connection to send it over: it is exchanged at once, moving from server to
 *     server
 *   - the connection is lost before the reply has come: it is sent again, to whichever server
 *     answers. It has the reservation's id, so it is charged once
 *   - no server answers in time: it remains owed, and the exchange after that tries again
 *   - the server answers ERR to words that it does not know: it is sent the command without them
 *   - the process ends without ration_close(): what was sent is with the server
 */
#include "handle.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 160

void owed_forget(struct owed *owed)
{
    free(owed->bytes);
    free(owed->plainer);
    *owed = (struct owed){.bytes = NULL};
}

static char *copy_of(const struct command *cmd, size_t *len)
{
    *len = cmd->len - cmd->start;
    char *bytes = malloc(*len);
    if (bytes)
        memcpy(bytes, cmd->buf + cmd->start, *len);
    return bytes;
}

/* False: no memory; then nothing is owed. */
static bool keep(struct owed *owed, const struct command *cmd, const struct command *plainer)
{
    owed->bytes = copy_of(cmd, &owed->len);
    if (plainer)
        owed->plainer = copy_of(plainer, &owed->plainer_len);
    if (owed->bytes && (owed->plainer || !plainer))
        return true;
    owed_forget(owed);
    return false;
}

static void restore(struct command *cmd, const char *bytes, size_t len)
{
    memcpy(cmd->buf, bytes, len);
    cmd->start = 0;
    cmd->len = len;
    cmd->overflow = false;
}

/* Exchanges it now. Errors: as handle_exchange(). */
static int exchange_now(ration *r, const struct command *cmd, const struct command *plainer,
                        int64_t deadline_ms)
{
    struct reply *reply = NULL;
    int err = handle_exchange_until(r, cmd, deadline_ms, 0, &reply);
    if (err == RATION_ESERVER && plainer)
        err = handle_exchange_until(r, plainer, deadline_ms, 0, &reply);
    if (err == 0)
        reply_free(reply);
    return err;
}

int handle_post(ration *r, struct command *cmd, struct command *plainer)
{
    char why[WHY_BYTES];
    int64_t deadline_ms = clock_ms() + r->timeout_ms;
    int err = handle_finish(r, cmd);
    if (err == 0 && plainer)
        err = handle_finish(r, plainer);
    if (err < 0)
        return err;
    if (r->owed.bytes) {
        handle_collect(r, deadline_ms);
        owed_forget(&r->owed); /* one at a time: the newer one matters more */
    }
    if (!conn_is_fresh(&r->conn) || !keep(&r->owed, cmd, plainer))
        return exchange_now(r, cmd, plainer, deadline_ms);
    r->owed.in_flight = conn_send(&r->conn, cmd, deadline_ms, why, sizeof(why)) == 0;
    return 0;
}

/* 1: there is a reply, and whether it wants plainer words; 0: none came over this connection. */
static int fetch(ration *r, int64_t deadline_ms, bool *is_plainer_wanted)
{
    char why[WHY_BYTES];
    char text[sizeof(RATION_ERR_MALFORMED) + 1] = "";
    struct reply *reply = NULL;
    if (!r->owed.in_flight || r->conn.fd < 0)
        return 0;
    r->owed.in_flight = false;
    if (conn_receive(&r->conn, deadline_ms, &reply, why, sizeof(why)) < 0)
        return 0;
    if (reply->type == REPLY_ERROR)
        reply_text(reply, text, sizeof(text));
    reply_free(reply);
    *is_plainer_wanted = strncmp(text, RATION_ERR_MALFORMED, strlen(RATION_ERR_MALFORMED)) == 0;
    return 1;
}

void handle_collect(ration *r, int64_t deadline_ms)
{
    char kept[ERRMSG_BYTES];
    struct owed *owed = &r->owed;
    bool is_plainer_wanted = false;
    bool has_come = fetch(r, deadline_ms, &is_plainer_wanted) == 1;
    if (has_come && !(is_plainer_wanted && owed->plainer)) {
        owed_forget(owed);
        return;
    }
    struct command cmd;
    struct command plainer;
    restore(&cmd, owed->bytes, owed->len);
    if (owed->plainer)
        restore(&plainer, owed->plainer, owed->plainer_len);
    memcpy(kept, r->errmsg, sizeof(kept));
    int err = has_come ? exchange_now(r, &plainer, NULL, deadline_ms)
                       : exchange_now(r, &cmd, owed->plainer ? &plainer : NULL, deadline_ms);
    memcpy(r->errmsg, kept, sizeof(kept));
    if (err != RATION_ETIMEOUT && err != RATION_ECONNECT)
        owed_forget(owed); /* settled, or no server would ever take it */
}
