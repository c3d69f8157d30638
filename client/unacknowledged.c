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
 *   - the server answers with an error: it would again, so nothing is owed
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
    *owed = (struct owed){.bytes = NULL};
}

/* False: no memory; then nothing is owed. */
static bool keep(struct owed *owed, const struct command *cmd)
{
    owed->len = cmd->len - cmd->start;
    owed->bytes = malloc(owed->len);
    if (owed->bytes)
        memcpy(owed->bytes, cmd->buf + cmd->start, owed->len);
    return owed->bytes;
}

/* Exchanges it now. Errors: as handle_exchange(). */
static int exchange_now(ration *r, const struct command *cmd, int64_t deadline_ms)
{
    struct reply *reply = NULL;
    int err = handle_exchange_until(r, cmd, deadline_ms, 0, &reply);
    if (err == 0)
        reply_free(reply);
    return err;
}

int handle_post(ration *r, struct command *cmd)
{
    char why[WHY_BYTES];
    int64_t deadline_ms = clock_ms() + r->timeout_ms;
    int err = handle_finish(r, cmd);
    if (err < 0)
        return err;
    if (r->owed.bytes) {
        handle_collect(r, deadline_ms);
        owed_forget(&r->owed); /* one at a time: the newer one matters more */
    }
    if (!conn_is_fresh(&r->conn) || !keep(&r->owed, cmd))
        return exchange_now(r, cmd, deadline_ms);
    r->owed.in_flight = conn_send(&r->conn, cmd, deadline_ms, why, sizeof(why)) == 0;
    return 0;
}

/* False: no reply came over this connection. */
static bool fetch(ration *r, int64_t deadline_ms)
{
    char why[WHY_BYTES];
    struct reply *reply = NULL;
    if (!r->owed.in_flight || r->conn.fd < 0)
        return false;
    r->owed.in_flight = false;
    if (conn_receive(&r->conn, deadline_ms, &reply, why, sizeof(why)) < 0)
        return false;
    reply_free(reply);
    return true;
}

static int send_again(ration *r, int64_t deadline_ms)
{
    char kept[ERRMSG_BYTES];
    struct command cmd;
    memcpy(cmd.buf, r->owed.bytes, r->owed.len);
    cmd.start = 0;
    cmd.len = r->owed.len;
    memcpy(kept, r->errmsg, sizeof(kept));
    int err = exchange_now(r, &cmd, deadline_ms);
    memcpy(r->errmsg, kept, sizeof(kept));
    return err;
}

void handle_collect(ration *r, int64_t deadline_ms)
{
    int err = fetch(r, deadline_ms) ? 0 : send_again(r, deadline_ms);
    if (err != RATION_ETIMEOUT && err != RATION_ECONNECT)
        owed_forget(&r->owed); /* settled, or no server would ever take it */
}
