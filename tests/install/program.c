/*
 * Somebody else's program, which sees only <ration/ration.h> and the installed library. It needs no
 * server: the library must report that nobody listens.
 */
#include <ration/ration.h>

#include <stdio.h>
#include <string.h>

static int expect(int holds, const char *what)
{
    if (!holds)
        fprintf(stderr, "not so: %s\n", what);
    return holds ? 0 : 1;
}

int main(void)
{
    struct ration_options options;
    struct ration_amounts estimate = {.tokens = 500};
    struct ration_grant grant;
    ration *r = NULL;
    int wrong = 0;

    ration_options_init(&options);
    options.servers = "unix:/nonexistent/rationd.sock";
    options.timeout_ms = 500;
    wrong += expect(ration_open(&options, &r) == RATION_OK, "a handle opens without a server");
    int err = ration_acquire(r, "openai/gpt-4o", "acme", &estimate, NULL, &grant);
    wrong += expect(err == RATION_ECONNECT, "without a server, acquire fails to connect");
    wrong += expect(ration_errmsg(r)[0] != '\0', "and says so in words");
    wrong +=
        expect(strcmp(ration_version(), EXPECTED_VERSION) == 0, "the version is the package's");
    ration_close(r);
    if (wrong == 0)
        printf("ration %s: %s\n", ration_version(), ration_strerror(err));
    return wrong == 0 ? 0 : 1;
}
