/*
 * How a try is settled: which part of it counts, and what the server learns from it.
 * settlement_of() is pure; sending the settlement is one exchange with the server.
 *
 *   how the try ended                         settled as
 *   never sent (no connection, TLS, a proxy)  CANCEL FAILED
 *   an error answer                           REPORT with no tokens, its STATUS, RETRY_AFTER and
 *                                             EXHAUSTED: the request counts, its tokens do not
 *   a 2xx whose error names a class           the same with the usual STATUS of the class; but once
 *                                             something was generated, or reported as used, like a
 *                                             stream that broke off
 *   sent, and no whole answer came            REPORT FAILED without amounts: the provider may have
 *                                             counted it all, so the estimate stands
 *   a 2xx that is not an answer               the same, or with the usage that it reports
 *   a stream that broke off, was ended by     REPORT PARTIAL with what is known; if no usage came,
 *   the caller, or ended without its usage    with what was generated / 4
 *   a 2xx that does not report its usage      REPORT without amounts: the estimate stands
 *   a 2xx that does                           REPORT with what of it counts with this provider; the
 *                                             estimate stands for a part that it does not report
 *
 * What the provider's headers say is left of its limits goes along with each REPORT.
 */
#ifndef RATION_SETTLEMENT_H
#define RATION_SETTLEMENT_H

#include "call/upstream.h"

#include <ration/ration.h>

#include <stdbool.h>

struct settlement {
    bool cancel;                /* nothing was sent */
    bool has_used;              /* report `used`; else all stays as estimated */
    bool doubted;               /* the provider reported more than is possible; `used` is capped */
    struct ration_amounts used; /* as this provider counts it */
    struct ration_report_options report; /* borrows from the answer */
};

/*
 * answer    borrowed as long as the settlement is used
 * estimate  of the reservation: its units decide what a failed call gives back
 */
void settlement_of(const struct profile *profile, const struct upstream_answer *answer,
                   const struct ration_amounts *estimate, struct settlement *out);

/* Send it. The first waits for the acknowledgement; the post leaves that to the handle's next
 * command (unacknowledged.c). Errors: as ration_report(). */
int settlement_send(ration *r, const char *id, const struct settlement *s,
                    enum ration_settled *settled);
int settlement_post(ration *r, const char *id, const struct settlement *s);

#endif
