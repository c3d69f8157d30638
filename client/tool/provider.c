#include "tool/provider.h"

#include "tool/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_encoded(FILE *to, const char *text, size_t n)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < n; i++)
        fprintf(to, strchr(plain, text[i]) ? "%c" : "%%%02X", (unsigned char)text[i]);
}

char *provider_query(const struct option_list *list, bool *failed)
{
    char *query = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < list->n; i++) {
        *failed = !list->at[i][0] || list->at[i][0] == '=';
        if (*failed) {
            say("--query '%s' has no name; write it as name=value", list->at[i]);
            return NULL;
        }
    }
    FILE *to = list->n > 0 ? open_memstream(&query, &bytes) : NULL;
    for (size_t i = 0; to && i < list->n; i++) {
        const char *text = list->at[i];
        size_t name = strcspn(text, "=");
        fputs(i > 0 ? "&" : "", to);
        put_encoded(to, text, name);
        fputs(text[name] ? "=" : "", to);
        put_encoded(to, text + name + (text[name] != '\0'),
                    strlen(text + name + (text[name] != '\0')));
    }
    *failed = list->n > 0 && (!to || fclose(to) != 0);
    if (*failed)
        say("out of memory for --query");
    return query;
}

const char *provider_key(const char *variable)
{
    const char *key = getenv(variable);
    if (!key || !key[0])
        say("%s is not set; put the provider's key into it", variable);
    return key && key[0] ? key : NULL;
}

size_t provider_base_bytes(const char *url)
{
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    return n;
}

static size_t on_bytes(char *data, size_t size, size_t n, void *answer)
{
    return grow_add(answer, data, size * n) == 0 ? size * n : 0;
}

CURL *provider_easy(struct curl_slist *headers, int64_t timeout_ms, struct grow *answer)
{
    CURL *easy = curl_easy_init();
    if (easy && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer) == CURLE_OK)
        return easy;
    curl_easy_cleanup(easy);
    return NULL;
}
