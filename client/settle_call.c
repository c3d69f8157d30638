/*
 * See settle_call.h for the table. What fails here is only the exchange with the server, and then the reservation expires
 * with its charge, which is the safe side.
 */
#include "settle_call.h"

#include "handle.h"

#define CHARACTERS_PER_TOKEN 4

static int64_t stated(int64_t n)
{
    return n > 0 ? n : RATION_ZERO;
}

/* The request counts, nothing else does. Dollars are given back only where they were reserved. */
static void use_nothing(const struct ration_amounts *estimate, struct settlement *out)
{
    out->used_told = true;
    out->used.tokens = out->used.input_tokens = out->used.output_tokens = RATION_ZERO;
    if (estimate->usd_millionths != 0)
        out->used.usd_millionths = RATION_ZERO;
}

/*
 * As far as it is known. The input may have been told at the start of a stream; where it was not, PARTIAL charges its
 * estimate. The output is what was told or, if that is more, what the text that came amounts to.
 */
static void use_part(const struct profile *profile, const struct upstream_answer *answer,
                     struct settlement *out)
{
    struct profile_usage usage = answer->usage;
    int64_t seen = (answer->text_characters + CHARACTERS_PER_TOKEN - 1) / CHARACTERS_PER_TOKEN;
    out->report.partial = 1;
    if (usage.output < seen)
        usage.output = seen;
    if (usage.input > 0) {
        usage.known = true;
        profile_count(profile, &usage, &out->used);
        out->used_told = true;
    } else if (usage.output > 0) {
        out->used.output_tokens = stated(usage.output);
        out->used_told = true;
    }
}

static void settle_error(const struct upstream_answer *answer,
                         const struct ration_amounts *estimate, struct settlement *out)
{
    use_nothing(estimate, out);
    if (answer->hints.waits)
        out->report.retry_after_ms = answer->hints.retry_after_ms;
    if (answer->outcome == PROFILE_EXHAUSTED && answer->reason[0])
        out->report.exhausted = answer->reason;
}

void settlement_of(const struct profile *profile, const struct upstream_answer *answer,
                   const struct ration_amounts *estimate, struct settlement *out)
{
    *out = (struct settlement){.cancel = false};
    if (!answer->sent && answer->status == 0) {
        out->cancel = true;
        out->report.failed = answer->outcome == PROFILE_UNREACHED;
        return;
    }
    out->report.http_status = answer->status;
    out->report.seen = answer->hints.seen;
    out->report.n_seen = answer->hints.n_seen;
    if (answer->status != 0 && answer->status / 100 != 2) {
        settle_error(answer, estimate, out);
    } else if (!answer->complete) {
        use_part(profile, answer, out);
        out->report.failed = !answer->aborted && !answer->no_memory;
    } else if (answer->usage.known) {
        profile_count(profile, &answer->usage, &out->used);
        out->used_told = true;
    } else if (answer->streamed) {
        use_part(profile, answer, out);
    }
}

/* ---- Sending ---- */

static int send_cancel(ration *r, const char *id, const struct settlement *s,
                       enum ration_settled *settled)
{
    int err = s->report.failed ? ration_cancel_failed(r, id, settled) : RATION_ESERVER;
    return err == RATION_ESERVER ? ration_cancel(r, id, settled) : err;
}

int settlement_send(ration *r, const char *id, const struct settlement *s,
                    enum ration_settled *settled)
{
    if (s->cancel)
        return send_cancel(r, id, s, settled);
    const struct ration_amounts *used = s->used_told ? &s->used : NULL;
    int err = ration_report(r, id, used, &s->report, settled);
    if (err != RATION_ESERVER || !settle_has_newer_words(&s->report))
        return err;
    struct ration_report_options older = settle_without_newer_words(&s->report);
    return ration_report(r, id, used, &older, settled);
}

int settlement_post(ration *r, const char *id, const struct settlement *s)
{
    if (s->cancel)
        return settle_post_cancel(r, id, s->report.failed);
    return settle_post_report(r, id, s->used_told ? &s->used : NULL, &s->report);
}
