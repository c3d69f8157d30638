/*
 * Replies to operations that have come back from the store.
 */
#ifndef RATIOND_ANSWER_H
#define RATIOND_ANSWER_H

#include "net/request.h"

/* Writes the reply to request->op. */
void answer_write(struct request *request, struct buf *out);
/* Counts its outcome. */
void answer_count(const struct request *request);

#endif
