/* POOL: the state of a pool that all hosts share, and its closing and opening by an operator. */
#include "handle.h"

#include <string.h>

static int read_state(const struct reply *from, struct ration_pool_state *state)
{
    if (reply_field_string(from, "state", state->state, sizeof(state->state)) < 0 ||
        reply_field_string(from, "reason", state->reason, sizeof(state->reason)) < 0 ||
        reply_field_integer(from, "until_ms", &state->until_ms) < 0 ||
        reply_field_integer(from, "failures", &state->failures) < 0 ||
        reply_field_integer(from, "reports", &state->reports) < 0 ||
        reply_field_integer(from, "cool_down_ms", &state->cool_down_ms) < 0)
        return RATION_EPROTOCOL;
    return 0;
}

int ration_pool(ration *r, const char *pool, enum ration_pool_action action, const char *reason,
                struct ration_pool_state *out)
{
    static const char *const verbs[] = {"GET", "OPEN", "CLOSE"};
    handle_begin(r);
    if (!pool || !id_pool_is_valid(pool))
        return handle_fail(r, RATION_EINVALID, "not a valid pool name");
    if (action < RATION_POOL_SHOW || action > RATION_POOL_DO_CLOSE)
        return handle_fail(r, RATION_EINVALID, "not an action on a pool");
    if (reason && (action != RATION_POOL_DO_CLOSE || !id_reason_is_valid(reason)))
        return handle_fail(r, RATION_EINVALID,
                           "a reason is for closing only: 1 - %d printable ASCII bytes "
                           "without space",
                           RATION_MAX_REASON_BYTES);
    struct command cmd;
    struct reply *reply = NULL;
    command_init(&cmd, "POOL");
    command_arg(&cmd, verbs[action]);
    command_arg(&cmd, pool);
    if (reason)
        command_arg(&cmd, reason);
    int err = handle_ask(r, &cmd, 0, &reply);
    if (err < 0)
        return err;
    struct ration_pool_state state;
    memset(&state, 0, sizeof(state));
    if (reply->type != REPLY_ARRAY || read_state(reply, &state) < 0)
        return handle_unexpected(r, "POOL", reply);
    reply_free(reply);
    if (out)
        *out = state;
    return RATION_OK;
}
