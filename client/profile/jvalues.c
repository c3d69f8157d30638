/* Only finds the ends of values, by counting brackets outside of strings; whether a value is well
 * formed is for its parser to say. */
#include "profile/jvalues.h"

#include "parse.h"

#include <ration/ration.h>

void jvalues_init(struct jvalues *values, jvalues_fn on_value, void *arg)
{
    *values = (struct jvalues){.on_value = on_value, .arg = arg};
    grow_init(&values->value, JVALUES_MAX_BYTES);
}

void jvalues_close(struct jvalues *values)
{
    grow_close(&values->value);
}

/* True if this byte ends the value. */
static bool step(struct jvalues *values, char byte)
{
    if (values->in_string) {
        if (values->escaped)
            values->escaped = false;
        else if (byte == '\\')
            values->escaped = true;
        else if (byte == '"')
            values->in_string = false;
        return false;
    }
    if (byte == '"')
        values->in_string = true;
    else if (byte == '{' || byte == '[')
        values->depth++;
    else if (byte == '}' || byte == ']')
        return --values->depth == 0;
    return false;
}

static int feed(struct jvalues *values, const char *bytes, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (values->depth == 0) {
            from = i + 1;
            if (parse_is_space(bytes[i]))
                continue;
            if (bytes[i] != '{' && bytes[i] != '[')
                return RATION_EPROTOCOL;
            from = i;
        }
        if (!step(values, bytes[i]))
            continue;
        int err = grow_add(&values->value, bytes + from, i + 1 - from);
        if (err == 0)
            err = values->on_value(values->arg, values->value.bytes, values->value.n);
        values->value.n = 0;
        from = i + 1;
        if (err < 0)
            return err;
    }
    return values->depth > 0 ? grow_add(&values->value, bytes + from, n - from) : 0;
}

int jvalues_feed(struct jvalues *values, const char *bytes, size_t n)
{
    if (values->failed == 0)
        values->failed = feed(values, bytes, n);
    return values->failed;
}
