/* Only the ends of values are found here, by counting brackets outside of strings; whether a value is well formed is for the
 * parser to say that it is given to. */
#include "json_values.h"

#include <ration/ration.h>

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 1024

void json_values_init(struct json_values *values, json_values_fn on_value, void *arg)
{
    *values = (struct json_values){.on_value = on_value, .arg = arg};
}

void json_values_close(struct json_values *values)
{
    free(values->bytes);
    values->bytes = NULL;
    values->n = values->room = 0;
}

/* Room for a NUL is always kept. */
static int append(struct json_values *values, const char *bytes, size_t n)
{
    if (n > JSON_VALUES_MAX_BYTES - values->n)
        return RATION_EPROTOCOL;
    if (values->n + n + 1 > values->room) {
        size_t room = values->room ? values->room * 2 : FIRST_ROOM;
        while (room < values->n + n + 1)
            room *= 2;
        char *grown = realloc(values->bytes, room);
        if (!grown)
            return RATION_ENOMEM;
        values->bytes = grown;
        values->room = room;
    }
    memcpy(values->bytes + values->n, bytes, n);
    values->n += n;
    values->bytes[values->n] = '\0';
    return 0;
}

/* True where this byte ends the value. */
static bool step(struct json_values *values, char byte)
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

static int feed(struct json_values *values, const char *bytes, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (values->depth == 0) {
            from = i + 1;
            if (strchr(" \t\r\n", bytes[i]) && bytes[i])
                continue;
            if (bytes[i] != '{' && bytes[i] != '[')
                return RATION_EPROTOCOL;
            from = i;
        }
        if (!step(values, bytes[i]))
            continue;
        int err = append(values, bytes + from, i + 1 - from);
        if (err == 0)
            err = values->on_value(values->arg, values->bytes, values->n);
        values->n = 0;
        from = i + 1;
        if (err < 0)
            return err;
    }
    return values->depth > 0 ? append(values, bytes + from, n - from) : 0;
}

int json_values_feed(struct json_values *values, const char *bytes, size_t n)
{
    if (values->failed == 0)
        values->failed = feed(values, bytes, n);
    return values->failed;
}
