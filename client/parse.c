#include "parse.h"

#include <limits.h>
#include <string.h>

size_t parse_mark_bytes(const char *text, size_t n)
{
    return n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool parse_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

json_object *parse_value(json_tokener *tokener, const char *text, size_t n)
{
    if (n == 0 || n > INT_MAX)
        return NULL;
    json_tokener_reset(tokener);
    json_object *value = json_tokener_parse_ex(tokener, text, (int)n);
    if (json_tokener_get_error(tokener) == json_tokener_success)
        return value;
    json_object_put(value);
    return NULL;
}
