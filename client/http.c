/*
 * Normal path: http_post() sets the easy handle up anew (connections survive that), collects headers and body, and notes
 * the status.
 *
 * How it fails, which decides how the call is settled: nothing was sent (name, connection, TLS), so the provider cannot
 * have counted it; or something was, and then the answer is missing or cut short (time-out, reset, too large, no memory
 * for it).
 *
 * SIGPIPE: libcurl guards its writes only where it may touch signal handlers, which a library must not (CURLOPT_NOSIGNAL).
 * Plain sockets are written with MSG_NOSIGNAL, but TLS libraries may use write(). So SIGPIPE is blocked in this thread for
 * the exchange, and one that was raised by it is taken away before the old mask returns.
 */
#include "http.h"

#include "clock.h"
#include "wait.h"

#include <ration/ration.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#define MAX_CONNECT_MS 10000

struct http {
    CURL *easy;
    char errbuf[CURL_ERROR_SIZE];
};

/* What the callbacks fill. */
struct collected {
    char *body;
    size_t len;
    size_t capacity;
    bool too_large;
    bool no_memory;
    bool has_ms; /* the wait was said in milliseconds, which beats the coarser header */
    int64_t retry_after_ms;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void curl_begin(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *http_new(void)
{
    pthread_once(&curl_once, curl_begin);
    if (curl_ready != CURLE_OK)
        return NULL;
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return NULL;
    http->easy = curl_easy_init();
    if (!http->easy) {
        free(http);
        return NULL;
    }
    return http;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->easy);
    free(http);
}

/* ---- Callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct collected *c = arg;
    size_t len = size * n;
    if (len > HTTP_MAX_ANSWER_BYTES - c->len) {
        c->too_large = true;
        return 0;
    }
    if (c->len + len + 1 > c->capacity) {
        size_t capacity = c->capacity ? c->capacity * 2 : 4096;
        while (capacity < c->len + len + 1)
            capacity *= 2;
        char *grown = realloc(c->body, capacity);
        if (!grown) {
            c->no_memory = true;
            return 0;
        }
        c->body = grown;
        c->capacity = capacity;
    }
    memcpy(c->body + c->len, data, len);
    c->len += len;
    c->body[c->len] = '\0';
    return len;
}

/* Copies the value of header `name` out of a line that is not NUL-terminated. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
        return false;
    const char *s = line + name_len + 1;
    const char *end = line + len;
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    while (end > s && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    if ((size_t)(end - s) >= size)
        return false;
    memcpy(out, s, (size_t)(end - s));
    out[end - s] = '\0';
    return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct collected *c = arg;
    char value[128];
    size_t len = size * n;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* a new answer begins, as after a 100 */
        c->retry_after_ms = 0;
        c->has_ms = false;
    } else if (header_value(data, len, "retry-after-ms", value, sizeof(value)) ||
               header_value(data, len, "x-ms-retry-after-ms", value, sizeof(value))) {
        c->has_ms |= wait_parse_ms(value, &c->retry_after_ms);
    } else if (!c->has_ms && header_value(data, len, "retry-after", value, sizeof(value))) {
        wait_parse(value, wait_wall_clock_ms(), &c->retry_after_ms);
    }
    return len;
}

/* ---- The exchange ---- */

static CURLcode perform_without_sigpipe(CURL *easy)
{
    sigset_t pipe_only;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);

    CURLcode code = curl_easy_perform(easy);

    if (!was_pending) {
        struct timespec at_once = {0};
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static struct curl_slist *make_headers(const struct http_request *request)
{
    /* Without an empty Expect, libcurl would ask first and wait before it sends a larger body. */
    const char *lines[] = {"Content-Type: application/json", "Accept: application/json",
                           "Expect:", request->key_header};
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && lines[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, lines[i]);
        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

static CURLcode set_up(struct http *http, const struct http_request *request,
                       struct curl_slist *headers, struct collected *c)
{
    CURL *easy = http->easy;
    long connect_ms =
        request->timeout_ms < MAX_CONNECT_MS ? (long)request->timeout_ms : MAX_CONNECT_MS;
    CURLcode code = CURLE_OK;
    curl_easy_reset(easy);
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(easy, option, value)
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, request->body); /* borrowed */
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_USERAGENT, "libration");
    SET(CURLOPT_ERRORBUFFER, http->errbuf);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
#undef SET
    return code;
}

static void say_why(const struct http *http, CURLcode code, const struct collected *c,
                    struct http_answer *answer)
{
    const char *text = http->errbuf[0] ? http->errbuf : curl_easy_strerror(code);
    if (c->too_large)
        text = "the answer is larger than 64 MiB";
    else if (c->no_memory)
        text = "out of memory for the answer";
    snprintf(answer->why, sizeof(answer->why), "%s", text);
}

int http_post(struct http *http, const struct http_request *request, struct http_answer *answer)
{
    struct collected c = {0};
    struct curl_slist *headers = make_headers(request);
    if (!headers)
        return RATION_ENOMEM;
    http->errbuf[0] = '\0';
    int64_t begun_us = clock_us();
    CURLcode code = set_up(http, request, headers, &c);
    if (code == CURLE_OK)
        code = perform_without_sigpipe(http->easy);
    answer->took_us = (uint64_t)(clock_us() - begun_us);

    long status = 0;
    long sent_bytes = 0;
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    answer->status = status >= 100 && status <= 599 ? (int)status : 0;
    answer->sent = sent_bytes > 0;
    answer->complete = code == CURLE_OK && answer->status != 0;
    answer->retry_after_ms = c.retry_after_ms;
    answer->body = c.body;
    answer->body_bytes = c.len;
    if (!answer->complete)
        say_why(http, code, &c, answer);
    /* The handle must not keep pointers into this call. */
    curl_easy_reset(http->easy);
    curl_slist_free_all(headers);
    return 0;
}
