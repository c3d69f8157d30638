/*
 * A request's operation: begun by a command, handed to the batch, answered when it comes back.
 */
#ifndef RATIOND_OPERATION_H
#define RATIOND_OPERATION_H

#include "net/request.h"

/* Fills in what every operation has: kind, a reference to the configuration in force. */
void operation_init(struct request *request, enum op_kind kind);
/* Hands request->op to the batch, or answers BUSY if too many wait there. */
void operation_submit(struct request *request);

#endif
