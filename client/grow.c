/* The room doubles, so that bytes added one by one are copied twice on average. */
#include "grow.h"

#include <ration/ration.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 1024

void grow_init(struct grow *grow, size_t max)
{
    *grow = (struct grow){.max = max};
}

int grow_reserve(struct grow *grow, size_t n)
{
    assert(grow->n <= grow->max && (grow->n < grow->room || grow->n == 0));
    if (n > grow->max - grow->n)
        return RATION_EPROTOCOL;
    size_t needed = grow->n + n + 1;
    if (needed <= grow->room)
        return 0;
    size_t room = grow->room ? grow->room : FIRST_ROOM;
    while (room < needed)
        room *= 2;
    if (room > grow->max)
        room = grow->max + 1;
    char *grown = realloc(grow->bytes, room);
    if (!grown)
        return RATION_ENOMEM;
    grow->bytes = grown;
    grow->room = room;
    return 0;
}

int grow_add(struct grow *grow, const void *bytes, size_t n)
{
    int err = grow_reserve(grow, n);
    if (err < 0)
        return err;
    if (n > 0)
        memcpy(grow->bytes + grow->n, bytes, n);
    grow->n += n;
    grow->bytes[grow->n] = '\0';
    return 0;
}

char *grow_take(struct grow *grow)
{
    char *bytes = grow->bytes;
    grow_init(grow, grow->max);
    return bytes;
}

void grow_close(struct grow *grow)
{
    free(grow->bytes);
    grow_init(grow, grow->max);
}
