/* Values are encoded byte by byte, and so are names: what a shell passes is text, not a part of a URL. */
#include "tool/extra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *put_encoded(char *to, const char *text, size_t n)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~";
    for (size_t i = 0; i < n; i++) {
        if (strchr(plain, text[i]))
            *to++ = text[i];
        else
            to += sprintf(to, "%%%02X", (unsigned char)text[i]);
    }
    return to;
}

char *extra_query(const struct option_list *list, bool *failed)
{
    size_t room = 1;
    *failed = true;
    for (size_t i = 0; i < list->n; i++) {
        room += 3 * strlen(list->at[i]) + 2;
        if (!list->at[i][0] || list->at[i][0] == '=') {
            fprintf(stderr, "ration: --query '%s' has no name; write it as name=value\n",
                    list->at[i]);
            return NULL;
        }
    }
    *failed = false;
    if (list->n == 0)
        return NULL;
    char *query = malloc(room);
    char *to = query;
    if (!query) {
        fprintf(stderr, "ration: out of memory for --query\n");
        *failed = true;
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->at[i];
        size_t name = strcspn(text, "=");
        if (i > 0)
            *to++ = '&';
        to = put_encoded(to, text, name);
        if (text[name]) {
            *to++ = '=';
            to = put_encoded(to, text + name + 1, strlen(text + name + 1));
        }
    }
    *to = '\0';
    return query;
}

const char *extra_key(const char *variable)
{
    const char *key = getenv(variable);
    if (!key || !key[0])
        fprintf(stderr, "ration: %s is not set; put the provider's key into it\n", variable);
    return key && key[0] ? key : NULL;
}
