/*
 * Settling: REPORT and CANCEL. The reservation's id identifies both, so a repetition after a
 * broken connection changes nothing; it is then answered "duplicate" although this very call
 * settled it.
 */
#include "settle.h"

#include "handle.h"

#include <string.h>

#define LIMIT_ARGS 7 /* REMAINING unit n LIMIT n PER n */

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

static int ask_settled(ration *r, struct command *cmd, const char *verb,
                       enum ration_settled *settled)
{
    struct reply *reply = NULL;
    enum ration_settled how;
    int err = handle_ask(r, cmd, 0, &reply);
    if (err < 0)
        return err;
    if (read_settled(reply, &how) < 0)
        return handle_unexpected(r, verb, reply);
    reply_free(reply);
    if (settled)
        *settled = how;
    return RATION_OK;
}

static bool limit_is_valid(const struct ration_provider_limit *limit)
{
    return (unsigned)limit->unit < RATION_UNIT_COUNT && limit->per_ms >= 0 && limit->limit >= 0 &&
           limit->limit <= RATION_MAX_AMOUNT && limit->remaining <= RATION_MAX_AMOUNT;
}

static int check_report(ration *r, const struct ration_report_options *options)
{
    if (options->http_status != 0 && (options->http_status < 100 || options->http_status > 599))
        return handle_fail(r, RATION_EINVALID, "http_status is %d; it must be 0 or 100 - 599",
                           options->http_status);
    if (options->retry_after_ms < 0)
        return handle_fail(r, RATION_EINVALID, "retry_after_ms must not be negative");
    if (options->exhausted && !id_reason_is_valid(options->exhausted))
        return handle_fail(r, RATION_EINVALID,
                           "exhausted must be 1 - %d printable characters without space",
                           RATION_MAX_REASON_BYTES);
    for (size_t i = 0; i < options->n_limits; i++) {
        if (!limit_is_valid(&options->limits[i]))
            return handle_fail(r, RATION_EINVALID,
                               "limits[%zu] has an unknown unit, or an amount out of range", i);
    }
    return 0;
}

/* What the provider said is left, of as many limits as fit into one report. */
static void add_limits(struct command *cmd, const struct ration_report_options *options)
{
    size_t sent = 0;
    for (size_t i = 0; i < options->n_limits && sent < RATION_MAX_PROVIDER_LIMITS; i++) {
        const struct ration_provider_limit *limit = &options->limits[i];
        if (limit->remaining < 0 || cmd->argc + LIMIT_ARGS > RATION_MAX_ARGS)
            continue;
        sent++;
        command_arg(cmd, "REMAINING");
        command_unit(cmd, limit->unit, limit->remaining);
        if (limit->limit > 0)
            command_option(cmd, "LIMIT", limit->limit);
        if (limit->per_ms > 0)
            command_option(cmd, "PER", limit->per_ms);
    }
}

static void add_options(struct command *cmd, const struct ration_report_options *options)
{
    if (options->http_status > 0)
        command_option(cmd, "STATUS", options->http_status);
    if (options->retry_after_ms > 0)
        command_option(cmd, "RETRY_AFTER", options->retry_after_ms);
    if (options->partial)
        command_arg(cmd, "PARTIAL");
    if (options->failed)
        command_arg(cmd, "FAILED");
    if (options->exhausted) {
        command_arg(cmd, "EXHAUSTED");
        command_arg(cmd, options->exhausted);
    }
    add_limits(cmd, options);
}

/* Builds the command of a report. Errors: RATION_EINVALID, with the message set. */
static int make_report(ration *r, struct command *cmd, const char *id,
                       const struct ration_amounts *used,
                       const struct ration_report_options *options)
{
    if (!id || !id_is_valid(id))
        return handle_fail(r, RATION_EINVALID, "not a valid reservation id");
    int err = check_report(r, options);
    if (err < 0)
        return err;
    command_init(cmd, "REPORT");
    command_arg(cmd, id);
    err = handle_add_amounts(r, cmd, used, false);
    if (err < 0)
        return err;
    add_options(cmd, options);
    return 0;
}

int ration_report(ration *r, const char *id, const struct ration_amounts *used,
                  const struct ration_report_options *options, enum ration_settled *settled)
{
    struct ration_report_options defaults = {0};
    struct command cmd;
    handle_begin(r);
    int err = make_report(r, &cmd, id, used, options ? options : &defaults);
    return err < 0 ? err : ask_settled(r, &cmd, "REPORT", settled);
}

static int make_cancel(ration *r, struct command *cmd, const char *id, bool failed)
{
    if (!id || !id_is_valid(id))
        return handle_fail(r, RATION_EINVALID, "not a valid reservation id");
    command_init(cmd, "CANCEL");
    command_arg(cmd, id);
    if (failed)
        command_arg(cmd, "FAILED");
    return 0;
}

static int cancel(ration *r, const char *id, bool failed, enum ration_settled *settled)
{
    struct command cmd;
    handle_begin(r);
    int err = make_cancel(r, &cmd, id, failed);
    return err < 0 ? err : ask_settled(r, &cmd, "CANCEL", settled);
}

int ration_cancel(ration *r, const char *id, enum ration_settled *settled)
{
    return cancel(r, id, false, settled);
}

int ration_cancel_failed(ration *r, const char *id, enum ration_settled *settled)
{
    return cancel(r, id, true, settled);
}

/* ---- Without waiting ---- */

int settle_post_cancel(ration *r, const char *id, bool failed)
{
    struct command cmd;
    int err = make_cancel(r, &cmd, id, failed);
    return err < 0 ? err : handle_post(r, &cmd);
}

int settle_post_report(ration *r, const char *id, const struct ration_amounts *used,
                       const struct ration_report_options *options)
{
    struct command cmd;
    int err = make_report(r, &cmd, id, used, options);
    return err < 0 ? err : handle_post(r, &cmd);
}
