#include "tool/batch/json.h"

#include <stdbool.h>
#include <string.h>

#define MAX_DEPTH 1000

json_tokener *batch_json_tokener(void)
{
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (tokener)
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return tokener;
}

/* A character between strings; `next` is what follows it, or itself at the end. */
static bool is_plain(char c, char next)
{
    if (c == '.')
        return next >= '0' && next <= '9';
    return c && strchr("{}[]:, \t\r\n0123456789+-eEtrufalsn", c);
}

/* Whether text that json-c accepts is JSON to other readers too. */
static bool is_exact(const char *text, size_t n)
{
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && (unsigned char)text[i] < ' ')
            return false;
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && !is_plain(text[i], text[i + 1 < n ? i + 1 : i]))
            return false;
    }
    return true;
}

json_object *batch_json_parse(json_tokener *tokener, const char *text, size_t bytes,
                              const char **why)
{
    json_tokener_reset(tokener);
    json_object *root = json_tokener_parse_ex(tokener, text, (int)bytes);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error == json_tokener_continue)
        *why = "not valid JSON: it ends in the middle";
    else if (error != json_tokener_success)
        *why = json_tokener_error_desc(error);
    else if (!is_exact(text, bytes))
        *why = "not valid JSON: single quotes, a number without its end, or a control character "
               "within a string";
    else
        return root;
    json_object_put(root);
    return NULL;
}
