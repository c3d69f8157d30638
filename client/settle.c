/*
 * Settling: REPORT and CANCEL. Both are known by their reservation's id, so a repetition after a broken connection changes
 * nothing; it is then answered "duplicate" although it was this very call that settled.
 */
#include "handle.h"

#include <string.h>

void ration_report_options_init(struct ration_report_options *options)
{
    memset(options, 0, sizeof(*options));
}

static int read_settled(const struct reply *reply, enum ration_settled *settled)
{
    char status[16];
    if (reply_field_string(reply, RATION_FIELD_STATUS, status, sizeof(status)) < 0)
        return RATION_EPROTOCOL;
    if (strcmp(status, RATION_STATUS_SETTLED) == 0)
        *settled = RATION_SETTLED;
    else if (strcmp(status, RATION_STATUS_LATE) == 0)
        *settled = RATION_LATE;
    else if (strcmp(status, RATION_STATUS_DUPLICATE) == 0)
        *settled = RATION_DUPLICATE;
    else
        return RATION_EPROTOCOL;
    return 0;
}

static int exchange_settled(ration *r, struct command *cmd, const char *verb,
                            enum ration_settled *settled)
{
    struct reply *reply = NULL;
    enum ration_settled how;
    int err = handle_exchange(r, cmd, 0, &reply);
    if (err < 0)
        return err;
    if (read_settled(reply, &how) < 0)
        return handle_bad_reply(r, verb, reply);
    reply_free(reply);
    if (settled)
        *settled = how;
    return RATION_OK;
}

static int check_report(ration *r, const struct ration_report_options *options)
{
    if (options->http_status != 0 && (options->http_status < 100 || options->http_status > 599))
        return handle_fail(r, RATION_EINVALID, "http_status is %d; it must be 0 or 100 - 599",
                           options->http_status);
    if (options->retry_after_ms < 0)
        return handle_fail(r, RATION_EINVALID, "retry_after_ms is below zero");
    return 0;
}

int ration_report(ration *r, const char *id, const struct ration_amounts *used,
                  const struct ration_report_options *options, enum ration_settled *settled)
{
    struct ration_report_options defaults = {0};
    if (!options)
        options = &defaults;
    handle_begin(r);
    if (!id || !id_is_valid(id))
        return handle_fail(r, RATION_EINVALID, "this is no reservation's id");
    int err = check_report(r, options);
    if (err < 0)
        return err;

    struct command cmd;
    command_init(&cmd, "REPORT");
    command_arg(&cmd, id);
    if (used && command_amounts(&cmd, used, false) < 0)
        return handle_fail(r, RATION_EINVALID, "an amount is neither 1 - %lld nor RATION_ZERO",
                           (long long)RATION_MAX_COST);
    if (options->http_status > 0)
        command_option(&cmd, "STATUS", options->http_status);
    if (options->retry_after_ms > 0)
        command_option(&cmd, "RETRY_AFTER", options->retry_after_ms);
    if (options->partial)
        command_arg(&cmd, "PARTIAL");
    return exchange_settled(r, &cmd, "REPORT", settled);
}

int ration_cancel(ration *r, const char *id, enum ration_settled *settled)
{
    handle_begin(r);
    if (!id || !id_is_valid(id))
        return handle_fail(r, RATION_EINVALID, "this is no reservation's id");
    struct command cmd;
    command_init(&cmd, "CANCEL");
    command_arg(&cmd, id);
    return exchange_settled(r, &cmd, "CANCEL", settled);
}
