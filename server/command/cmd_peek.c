/* PEEK pool tenant */
#include "command/command.h"
#include "command/names.h"
#include "command/operation.h"

void cmd_peek(struct request *r, const struct arg *args, size_t n)
{
    (void)n;
    operation_init(r, OP_PEEK);
    if (names_resolve(r, &args[1], &args[2]))
        operation_submit(r);
}
