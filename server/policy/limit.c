/* Questions about limits. Nothing here can fail: the configuration has checked every set. */
#include "policy/limit.h"

#include <stdio.h>

#define UNIT_NAME(upper, name) name,
static const char *const unit_names[] = {RATION_UNITS(UNIT_NAME)};
#undef UNIT_NAME

bool limit_set_has_slots(const struct limit_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct limit *limit = &set->limits[i];
        if (limit->algorithm == LIMIT_ROLLING || limit->algorithm == LIMIT_CONCURRENT ||
            limit->counted_end)
            return true;
    }
    return false;
}

const char *limit_unit_name(enum ration_unit unit)
{
    return unit_names[unit];
}

int limit_label(const struct limit *limit, char *buf, size_t cap)
{
    const char *slash = limit->per[0] != '\0' ? "/" : "";
    return snprintf(buf, cap, "%s%s%s", limit_unit_name(limit->unit), slash, limit->per);
}
