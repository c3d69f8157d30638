/*
 * How a try is settled: what of it counts, and what the server learns from it. settlement_of() is pure;
 * sending it is one exchange with the server.
 *
 *     how the try ended                         settled as
 *     never sent (no connection, TLS, a proxy)  CANCEL FAILED
 *     an error answer                           REPORT with no tokens, its STATUS, RETRY_AFTER and EXHAUSTED: the request
 *                                               counts, its tokens do not
 *     a 2xx whose error names a class           the same with the STATUS that the class amounts to; once something was
 *                                               generated, or said to be used, as a stream that broke off
 *     sent, and no whole answer came            REPORT FAILED without amounts: the provider may have counted it all, so
 *                                               the estimate stands
 *     a 2xx that is no answer                   the same, or with what it says it used
 *     a stream that broke off, was ended by     REPORT PARTIAL with what is known; where its usage did not come, with what
 *     the caller, or ended without its usage    was generated / 4
 *     a 2xx that does not say what it used      REPORT without amounts: the estimate stands
 *     a 2xx that does                           REPORT with what of it counts with this provider; of a part that it does
 *                                               not say the estimate stands
 *
 * What the provider's headers said is left of its limits goes along with each REPORT.
 */
#ifndef RATION_SETTLEMENT_H
#define RATION_SETTLEMENT_H

#include "call/upstream.h"

#include <ration/ration.h>

#include <stdbool.h>

struct settlement {
    bool cancel;                /* nothing was sent */
    bool has_used;              /* `used` is to be reported; else all stays as estimated */
    bool doubted;               /* the provider said more than can be: believed up to that */
    struct ration_amounts used; /* as this provider counts it */
    struct ration_report_options report; /* borrows from the answer */
};

/* answer   borrowed as long as the settlement is used
 * estimate of the reservation: what it states decides what is given back of a call that failed */
void settlement_of(const struct profile *profile, const struct upstream_answer *answer,
                   const struct ration_amounts *estimate, struct settlement *out);

/* Sends it and waits for the answer; the post leaves the reply to the next exchange of the handle, so that nobody waits for
 * it (unacknowledged.c). Errors as ration_report(). */
int settlement_send(ration *r, const char *id, const struct settlement *s,
                    enum ration_settled *settled);
int settlement_post(ration *r, const char *id, const struct settlement *s);

#endif
