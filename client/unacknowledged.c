/*
 * A report whose reply is read later.
 *
 * When a call has its answer, nothing that the server could say about the report changes it;
 * waiting for the acknowledgement would only add a round trip to each call. So the report is sent
 * at once, which is when the server and all other hosts learn of it, and kept. Its reply is the
 * first thing to come over the connection, and is read before the next command is sent, or in
 * ration_close().
 *
 * How it fails:
 *   - there is no fresh connection to send it over: it is exchanged at once, moving from server to
 *     server
 *   - the connection is lost before the reply has come: it is sent again, to whichever server
 *     answers. It has the reservation's id, so it is charged once
 *   - no server answers in time: it stays unacknowledged, and the next command tries again
 *   - the server answers with an error: it would again, so the report is dropped
 *   - the process ends without ration_close(): what was sent is with the server
 */
#include "unacknowledged.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void unacknowledged_forget(struct unacknowledged *report)
{
    free(report->bytes);
    *report = (struct unacknowledged){.bytes = NULL};
}

/* False: no memory. */
static bool keep(struct unacknowledged *report, const struct command *cmd)
{
    report->len = cmd->len - cmd->start;
    report->bytes = malloc(report->len);
    if (report->bytes)
        memcpy(report->bytes, cmd->buf + cmd->start, report->len);
    return report->bytes;
}

static int send_now(struct servers *servers, const struct command *cmd, int64_t deadline_ms)
{
    struct reply *reply = NULL;
    int err = servers_ask(servers, cmd, deadline_ms, 0, &reply);
    if (err == 0)
        reply_free(reply);
    return err;
}

int unacknowledged_post(struct unacknowledged *report, struct servers *servers,
                        const struct command *cmd, int64_t deadline_ms)
{
    unacknowledged_collect(report, servers, deadline_ms);
    unacknowledged_forget(report); /* one at a time: the newer one matters more */
    assert(cmd->start < cmd->len); /* it is finished */
    if (!conn_is_fresh(&servers->conn) || !keep(report, cmd))
        return send_now(servers, cmd, deadline_ms);
    report->in_flight = conn_send(&servers->conn, cmd, deadline_ms) == 0;
    return 0;
}

/* False: no reply came over this connection. */
static bool receive(struct unacknowledged *report, struct conn *conn, int64_t deadline_ms)
{
    struct reply *reply = NULL;
    if (!report->in_flight || conn->fd < 0)
        return false;
    report->in_flight = false;
    if (conn_receive(conn, deadline_ms, &reply) < 0)
        return false;
    reply_free(reply);
    return true;
}

static int send_again(const struct unacknowledged *report, struct servers *servers,
                      int64_t deadline_ms)
{
    struct command cmd = {.len = report->len};
    memcpy(cmd.buf, report->bytes, report->len);
    return send_now(servers, &cmd, deadline_ms);
}

void unacknowledged_collect(struct unacknowledged *report, struct servers *servers,
                            int64_t deadline_ms)
{
    if (!report->bytes)
        return;
    int err = 0;
    if (!receive(report, &servers->conn, deadline_ms))
        err = send_again(report, servers, deadline_ms);
    if (err != RATION_ETIMEOUT && err != RATION_ECONNECT)
        unacknowledged_forget(report); /* settled, or no server would ever take it */
}
