/* REPORT and CANCEL without waiting for the reply (unacknowledged.c). Arguments and errors: as
 * ration_report() and ration_cancel(). */
#ifndef RATION_SETTLE_H
#define RATION_SETTLE_H

#include <ration/ration.h>

#include <stdbool.h>

int settle_post_report(ration *r, const char *id, const struct ration_amounts *used,
                       const struct ration_report_options *options);

/* failed: the provider could not be reached */
int settle_post_cancel(ration *r, const char *id, bool failed);

#endif
