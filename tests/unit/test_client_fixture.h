/* A server, a provider and a handle between them, for tests of ration_call(). */
#ifndef TEST_CLIENT_FIXTURE_H
#define TEST_CLIENT_FIXTURE_H

#include <ration/ration.h>

#include "test_client_peer.h"
#include "test_client_replies.h"

#define BODY                                                                                       \
    "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"Hi, "      \
    "you\"}]}"

struct fixture {
    struct peer *server;
    struct peer *provider;
    ration *r;
    char url[64];
    char last[4096];
};

extern struct fixture fx;

/* For cmocka_unit_test_setup_teardown(). The server grants and settles; the provider answers with
 * HTTP_ANSWER. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* Options of a call to that provider: BODY, 2 s, no wait for denials, and waits between tries in
 * milliseconds. */
void fixture_options(struct ration_call_options *options);
int fixture_call(const struct ration_call_options *options, struct ration_response *out);

/* The words of the last command, or the last body that was posted. */
const char *fixture_last(struct peer *peer, const char *verb);

/* Nothing of the environment decides. */
void fixture_clean_environment(void);

#endif
