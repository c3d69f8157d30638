/*
 * Fuzz target: the list of servers. A parsed list, written as messages show it, parses as the same
 * again. (Except a host named "unix": with its port it looks like a path.)
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/addr.h"

static void check_again(const struct addr_list *list)
{
    char text[ADDR_MAX * (sizeof(list->at[0].text) + 1) + 1] = "";
    struct addr_list again;
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->at[i].host, "unix") == 0)
            return;
    }
    for (size_t i = 0; i < list->n; i++)
        n += (size_t)sprintf(text + n, "%s%s", i > 0 ? "," : "", list->at[i].text);
    CHECK(addr_list_parse(text, &again) == 0 && again.n == list->n);
    for (size_t i = 0; i < list->n; i++) {
        CHECK(strcmp(again.at[i].host, list->at[i].host) == 0);
        CHECK(strcmp(again.at[i].text, list->at[i].text) == 0);
        CHECK(again.at[i].port == list->at[i].port);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct addr_list list;
    char *text = fuzz_text((const char *)data, size);
    memset(&list, 0xa5, sizeof(list));
    if (addr_list_parse(text, &list) == 0) {
        CHECK(list.n >= 1 && list.n <= ADDR_MAX);
        for (size_t i = 0; i < list.n; i++) {
            CHECK(list.at[i].host[0] != '\0');
            CHECK(strnlen(list.at[i].host, ADDR_HOST_BYTES) < ADDR_HOST_BYTES);
        }
        check_again(&list);
    } else {
        for (size_t i = 0; i < sizeof(list); i++)
            CHECK(((unsigned char *)&list)[i] == 0xa5); /* unchanged */
    }
    free(text);
    return 0;
}
