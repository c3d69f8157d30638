/*
 * Fuzz target: a provider's whole answer, from its status line on, through libcurl and struct
 * upstream, without a network: libcurl connects to a socket of this process, where the answer
 * waits.
 *
 *     openai 1              a profile, and a number: odd if a stream was asked for; 2 and 3 if
 *                           nobody listens to the stream
 *     HTTP/1.1 200 OK       the answer
 *
 * Whatever the answer, the class is in the table, usage can be charged, a failure has a message,
 * and the body is a text with its length.
 */
#define _GNU_SOURCE /* accept4 */
#include "fuzz_profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "call/upstream.h"

#define TIMEOUT_MS 2000

static const char body[] = "{\"model\":\"m\",\"messages\":[{\"content\":\"Hi\"}]}";

struct listener {
    size_t events;
};

static int on_stream(void *arg, const char *name, const char *data, size_t n, const char *text)
{
    struct listener *listener = arg;
    CHECK(name != NULL && data != NULL && data[n] == '\0');
    CHECK(!text || text[0] != '\0');
    listener->events++;
    return 0;
}

static void check_answer(const struct profile *profile, const struct upstream_answer *answer)
{
    CHECK(answer->outcome >= PROFILE_ANSWERED && answer->outcome <= PROFILE_REFUSED);
    CHECK(answer->status == 0 || (answer->status >= 100 && answer->status <= 599));
    CHECK(answer->body == NULL || answer->body[answer->body_bytes] == '\0');
    CHECK(answer->body != NULL || answer->body_bytes == 0);
    CHECK(strnlen(answer->why, sizeof(answer->why)) < sizeof(answer->why));
    CHECK(strnlen(answer->reason, sizeof(answer->reason)) < sizeof(answer->reason));
    CHECK((answer->outcome == PROFILE_ANSWERED && !answer->aborted) == (answer->why[0] == '\0'));
    CHECK(answer->outcome != PROFILE_EXHAUSTED || answer->reason[0] != '\0');
    fuzz_check_usage(profile, &answer->usage);
    fuzz_check_hints(&answer->hints);
}

/* The provider: a socket in the abstract namespace, and its answer to whoever connects. */
struct provider {
    int fd; /* -1: not listening yet */
    char name[64];
    struct fuzz_input answer;
    int accepted; /* -1: none */
};

static void listen_once(struct provider *provider)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (provider->fd >= 0)
        return;
    int n = snprintf(provider->name, sizeof(provider->name), "ration-fuzz-%d", (int)getpid());
    memcpy(address.sun_path + 1, provider->name, (size_t)n);
    provider->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(provider->fd >= 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    CHECK(bind(provider->fd, (struct sockaddr *)&address, bytes) == 0);
    CHECK(listen(provider->fd, 4) == 0);
}

/* libcurl has connected and is about to send: puts the whole answer where libcurl will look. */
static int on_connected(void *arg, char *their_ip, char *our_ip, int their_port, int our_port)
{
    struct provider *provider = arg;
    int room = 1 << 18;
    (void)their_ip, (void)our_ip, (void)their_port, (void)our_port;
    CHECK(provider->accepted < 0);
    provider->accepted = accept4(provider->fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(provider->accepted >= 0);
    setsockopt(provider->accepted, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    ssize_t put = send(provider->accepted, provider->answer.bytes, provider->answer.n,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)put; /* an answer that is too long gets cut, which is fine */
    shutdown(provider->accepted, SHUT_WR);
    return CURL_PREREQFUNC_OK;
}

static CURLcode perform(CURL *easy, struct provider *provider)
{
    curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, provider->name);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, provider);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    provider->accepted = -1;
    CURLcode code = curl_easy_perform(easy);
    CHECK(provider->accepted >= 0);
    close(provider->accepted);
    return code;
}

/* One for all inputs, just as a handle uses one for many calls. */
static struct upstream *take_upstream(void)
{
    static struct upstream *kept;
    if (!kept)
        kept = upstream_new();
    CHECK(kept != NULL);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct provider provider = {.fd = -1};
    struct fuzz_input input = {(const char *)data, size};
    struct listener listener = {0};
    struct upstream_answer answer;
    unsigned number = 0;
    const struct profile *profile = fuzz_profile(&input, &number);
    struct upstream *up = take_upstream();
    struct upstream_request request = {
        .profile = profile,
        .url = "http://127.0.0.1:9/v1/chat/completions",
        .key = "k",
        .body = body,
        .body_bytes = sizeof(body) - 1,
        .streamed = number & 1,
        .timeout_ms = TIMEOUT_MS,
        .stream = number & 2 ? NULL : on_stream,
        .stream_arg = &listener,
    };
    provider.answer = input;
    listen_once(&provider);
    CHECK(upstream_begin(up, &request) == 0);
    CURLcode code = perform(upstream_easy(up), &provider);
    upstream_end(up, code, &answer);
    check_answer(profile, &answer);
    CHECK(!answer.delivered || listener.events > 0);
    upstream_answer_free(&answer);
    return 0;
}
