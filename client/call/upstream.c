/*
 * Normal path: upstream_begin() sets the easy handle up afresh (connections survive that); while it
 * runs, the callbacks collect headers into hints and the body into memory, or pass its events on
 * (stream.c); upstream_end() parses a whole answer once and reads everything from it.
 *
 * How it fails decides how the call is settled. Either nothing was sent (name, connection, TLS, a
 * proxy that does not let it through), so the provider cannot have counted it. Or something was,
 * and the answer is an error, is not an answer although its status says so, is missing, or is cut
 * short (time-out, silence, reset, too large, no memory for it, or the caller ended it).
 */
#include "call/upstream.h"

#include "clock.h"
#include "grow.h"
#include "parse.h"
#include "call/stream.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_CONNECT_MS   10000
#define MAX_HEADER_BYTES 1024 /* a longer name or value says nothing of use */
#define MAX_JSON_DEPTH   512

struct upstream {
    CURL *easy;
    json_tokener *tokener;
    struct curl_slist *headers;
    struct upstream_request request;
    int64_t begun_us;
    struct grow body;
    bool body_begun;
    bool reading; /* a 2xx: `stream` is open */
    struct stream stream;
    bool too_large;
    bool unreadable; /* not a stream of the profile's form */
    bool no_memory;
    char tier[PROFILE_TIER_BYTES]; /* from a header */
    struct profile_hints hints;
    char errbuf[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void curl_begin(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct upstream *upstream_new(void)
{
    pthread_once(&curl_once, curl_begin);
    if (curl_ready != CURLE_OK)
        return NULL;
    struct upstream *up = calloc(1, sizeof(*up));
    if (!up)
        return NULL;
    up->easy = curl_easy_init();
    up->tokener = json_tokener_new_ex(MAX_JSON_DEPTH);
    if (!up->easy || !up->tokener) {
        upstream_free(up);
        return NULL;
    }
    return up;
}

/* The key is in one of the lines. */
static void free_headers(struct upstream *up)
{
    for (struct curl_slist *line = up->headers; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(up->headers);
    up->headers = NULL;
}

/* Forgets the exchange. */
static void clear(struct upstream *up)
{
    free_headers(up);
    stream_close(&up->stream);
    grow_close(&up->body);
    CURL *easy = up->easy;
    json_tokener *tokener = up->tokener;
    *up = (struct upstream){.easy = easy, .tokener = tokener};
    grow_init(&up->body, UPSTREAM_MAX_ANSWER_BYTES);
}

void upstream_free(struct upstream *up)
{
    if (!up)
        return;
    clear(up);
    if (up->easy)
        curl_easy_cleanup(up->easy);
    if (up->tokener)
        json_tokener_free(up->tokener);
    free(up);
}

CURL *upstream_easy(struct upstream *up)
{
    return up->easy;
}

void upstream_answer_free(struct upstream_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
    answer->body_bytes = 0;
}

/* The JSON of the body, to be freed by json_object_put(); NULL: it is not JSON. */
static json_object *parse_body(struct upstream *up)
{
    size_t from = parse_mark_bytes(up->body.bytes, up->body.n);
    return up->body.n > 0 ? parse_value(up->tokener, up->body.bytes + from, up->body.n - from)
                          : NULL;
}

/* ---- What libcurl calls ---- */

static bool collect(struct upstream *up, const char *data, size_t len)
{
    int err = grow_add(&up->body, data, len);
    up->too_large |= err == RATION_EPROTOCOL;
    up->no_memory |= err == RATION_ENOMEM;
    return err == 0;
}

static void begin_body(struct upstream *up)
{
    long status = 0;
    const struct upstream_request *request = &up->request;
    up->body_begun = true;
    curl_easy_getinfo(up->easy, CURLINFO_RESPONSE_CODE, &status);
    up->reading = status / 100 == 2;
    if (up->reading)
        stream_init(&up->stream, request->profile, up->tokener, request->streamed, request->stream,
                    request->stream_arg);
}

static bool feed(struct upstream *up, const char *data, size_t len)
{
    int err = stream_feed(&up->stream, data, len);
    if (err == RATION_ENOMEM)
        up->no_memory = true;
    else if (err == RATION_EPROTOCOL)
        up->unreadable = true;
    return err == 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct upstream *up = arg;
    size_t len = size * n;
    if (!up->body_begun)
        begin_body(up);
    if (up->reading && !feed(up, data, len))
        return 0;
    if (up->reading && up->stream.kind == STREAM_EVENTS && up->request.stream) {
        up->body.n = 0; /* what came before it was known to be a stream */
        return len;
    }
    return collect(up, data, len) ? len : 0;
}

static bool copy(char *out, size_t size, const char *from, const char *end)
{
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (end > from && strchr(" \t\r\n", end[-1]))
        end--;
    if ((size_t)(end - from) >= size)
        return false;
    memcpy(out, from, (size_t)(end - from));
    out[end - from] = '\0';
    return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct upstream *up = arg;
    char name[MAX_HEADER_BYTES];
    char value[MAX_HEADER_BYTES];
    size_t len = size * n;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* a new answer, as after a 100 */
        up->hints = (struct profile_hints){.waits = false};
        up->tier[0] = '\0';
        return len;
    }
    const char *colon = memchr(data, ':', len);
    if (!colon || !copy(name, sizeof(name), data, colon) ||
        !copy(value, sizeof(value), colon + 1, data + len))
        return len;
    const char *tier = profile_tier_header(up->request.profile);
    if (tier && strcasecmp(tier, name) == 0)
        snprintf(up->tier, sizeof(up->tier), "%.31s", value);
    profile_read_header(up->request.profile, name, value, clock_wall_ms(), &up->hints);
    return len;
}

/* ---- Setting up ---- */

static int add_line(struct upstream *up, const char *line)
{
    struct curl_slist *longer = curl_slist_append(up->headers, line);
    if (!longer)
        return RATION_ENOMEM;
    up->headers = longer;
    return 0;
}

/* A line of the profile's, unless the caller has a header of that name. */
static int add_header(void *arg, const char *line)
{
    struct upstream *up = arg;
    char name[MAX_HEADER_BYTES];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, ":"), line);
    if (profile_find_header(up->request.headers, up->request.n_headers, name))
        return 0;
    return add_line(up, line);
}

static int make_headers(struct upstream *up)
{
    const struct upstream_request *request = &up->request;
    /* Without an empty Expect, libcurl would ask first and wait before it sends a larger body. */
    int err = add_line(up, "Expect:");
    if (err == 0)
        err = profile_headers(request->profile, request->key, request->streamed, add_header, up);
    for (size_t i = 0; err == 0 && i < request->n_headers; i++)
        err = add_line(up, request->headers[i]);
    return err;
}

static CURLcode set_options(struct upstream *up)
{
    CURL *easy = up->easy;
    const struct upstream_request *request = &up->request;
    long connect_ms = request->timeout_ms > 0 && request->timeout_ms < MAX_CONNECT_MS
                          ? (long)request->timeout_ms
                          : MAX_CONNECT_MS;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(easy, option, value)
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, up->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, request->body); /* borrowed */
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    if (request->idle_ms > 0) { /* less than a byte a second for that long is silence */
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, (long)(request->idle_ms + 999) / 1000);
    }
    SET(CURLOPT_ACCEPT_ENCODING, "");          /* everything that libcurl can decode */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's headers are not the provider's */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_USERAGENT, "libration");
    SET(CURLOPT_PRIVATE, request->arg);
    SET(CURLOPT_ERRORBUFFER, up->errbuf);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, up);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, up);
#undef SET
    return code;
}

/* The handle must not keep pointers into this call. libcurl before 8.1.1 keeps one of its own
 * regardless, to the last header, and follows it if the next answer begins with a folded line (its
 * issue 11101), so with those a new handle replaces the used one. Connections belong to the multi
 * handle, and stay. */
static void forget_transfer(struct upstream *up)
{
    bool safe = curl_version_info(CURLVERSION_NOW)->version_num >= 0x080101;
    CURL *fresh = safe ? NULL : curl_easy_init();
    if (fresh) {
        curl_easy_cleanup(up->easy);
        up->easy = fresh;
    } else {
        curl_easy_reset(up->easy);
    }
}

int upstream_begin(struct upstream *up, const struct upstream_request *request)
{
    assert(!up->request.profile); /* the one before was ended */
    clear(up);
    up->request = *request;
    up->begun_us = clock_us();
    int err = make_headers(up);
    if (err == 0 && set_options(up) != CURLE_OK)
        err = RATION_ENOMEM;
    if (err < 0) {
        forget_transfer(up);
        clear(up);
    }
    return err;
}

/* ---- What came of it ---- */

/* Why no wait will help, in a form fit for the wire. */
static void note_reason(const struct upstream *up, json_object *body,
                        struct upstream_answer *answer)
{
    const char *word = profile_exhausted(up->request.profile, answer->status, body);
    size_t n = 0;
    for (; word[n] > ' ' && word[n] <= '~' && n + 1 < sizeof(answer->reason); n++)
        answer->reason[n] = word[n];
    answer->reason[n] = '\0';
}

/* Refines the class by the headers and the error. `body` is NULL if the error is not JSON. */
static void refine(const struct upstream *up, json_object *body, struct upstream_answer *answer)
{
    const struct profile *profile = up->request.profile;
    int64_t now_ms = clock_wall_ms();
    int64_t until_ms = 0;
    if (body)
        profile_read_error(profile, body, now_ms, &answer->hints);
    if (answer->outcome == PROFILE_LIMITED && !answer->hints.waits && body &&
        profile_regains(profile, body, now_ms, &until_ms))
        answer->outcome = PROFILE_EXHAUSTED; /* a month's money, reported as a limit */
    bool dated = body && profile_exhausted_until(profile, body, now_ms, &until_ms);
    /* A gateway's own limit: somebody who is forbidden would not be told to wait. */
    if (answer->outcome == PROFILE_REFUSED && answer->status == 403 && answer->hints.waits)
        answer->outcome = PROFILE_LIMITED;
    if (answer->outcome != PROFILE_EXHAUSTED)
        return;
    answer->hints.waits = dated;
    answer->hints.retry_after_ms = dated ? until_ms : 0;
    note_reason(up, body, answer);
}

static void read_error(struct upstream *up, struct upstream_answer *answer)
{
    char text[UPSTREAM_WHY_BYTES] = "";
    json_object *body = parse_body(up);
    answer->outcome = profile_classify(up->request.profile, answer->status, body);
    refine(up, body, answer);
    if (body)
        profile_error_text(up->request.profile, body, text, sizeof(text));
    json_object_put(body);
    snprintf(answer->why, sizeof(answer->why), "status %d%s%.200s", answer->status,
             text[0] ? ": " : "", text);
}

/* An error under a status of 200, in the body or as an event. */
static void read_reported_error(struct upstream *up, json_object *body, enum profile_class which,
                                struct upstream_answer *answer)
{
    char text[UPSTREAM_WHY_BYTES] = "";
    answer->outcome = which;
    refine(up, body, answer);
    answer->error_status = profile_error_status(up->request.profile, body, answer->outcome);
    if (body)
        profile_error_text(up->request.profile, body, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%.200s", up->stream.error_text);
    snprintf(answer->why, sizeof(answer->why), "status %d, but it reports an error%s%.200s",
             answer->status, text[0] ? ": " : "", text);
}

/* Quotes the start of what came instead of an answer. */
static void say_what_came(const struct upstream *up, struct upstream_answer *answer)
{
    char head[STREAM_HEAD_BYTES + 1];
    size_t n = up->stream.head_bytes;
    memcpy(head, up->stream.head, n);
    head[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)head[i] < 0x20 || head[i] == 0x7f)
            head[i] = ' ';
    }
    snprintf(answer->why, sizeof(answer->why), "status %d, but %s%s%s", answer->status,
             n == 0 ? "nothing came" : "no answer came: ", head,
             n == STREAM_HEAD_BYTES ? "..." : "");
}

/* Success is proven by what is in the answer. */
static void read_answer(struct upstream *up, struct upstream_answer *answer)
{
    json_object *body = parse_body(up);
    enum profile_class which = profile_classify_answer(up->request.profile, body);
    profile_read_usage(up->request.profile, body, &answer->usage);
    if (which == PROFILE_ANSWERED) {
        answer->complete = true;
        if (up->request.stream &&
            stream_give_whole(&up->stream, body, up->body.bytes, up->body.n) < 0)
            answer->complete = false;
        if (up->request.stream)
            up->body.n = 0;
    } else {
        char text[UPSTREAM_WHY_BYTES] = "";
        profile_error_text(up->request.profile, body, text, sizeof(text));
        if (which != PROFILE_FAILED || text[0]) {
            read_reported_error(up, body, which, answer);
        } else {
            answer->outcome = PROFILE_FAILED;
            say_what_came(up, answer);
        }
    }
    json_object_put(body);
}

/* Distinguishes failed connections, time-outs, and what no other try would change. */
static enum profile_class class_of(const struct upstream *up, CURLcode code,
                                   const struct upstream_answer *answer)
{
    if (up->stream.aborted)
        return PROFILE_ANSWERED;
    if (up->too_large || answer->no_memory || code == CURLE_URL_MALFORMAT ||
        code == CURLE_UNSUPPORTED_PROTOCOL)
        return PROFILE_REFUSED;
    if (code == CURLE_OPERATION_TIMEDOUT && answer->sent)
        return PROFILE_TIMED_OUT;
    return code == CURLE_OK || up->unreadable ? PROFILE_FAILED : PROFILE_UNREACHED;
}

static void say_why(const struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    const char *text = up->errbuf[0] ? up->errbuf : curl_easy_strerror(code);
    if (up->stream.aborted)
        text = "the caller ended the stream";
    else if (up->too_large)
        text = "the answer is larger than 64 MiB";
    else if (answer->no_memory)
        text = "out of memory for the answer";
    else if (up->unreadable)
        text = "the stream does not have the form that the profile names, or an event is larger "
               "than 64 MiB";
    else if (code == CURLE_OK)
        text = "the stream broke off: no end and no reason for ending came";
    snprintf(answer->why, sizeof(answer->why), "%s", text);
}

static void read_broken(struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    answer->complete = false;
    answer->outcome = class_of(up, code, answer);
    say_why(up, code, answer);
}

static void read_stream(struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    struct stream *stream = &up->stream;
    answer->complete =
        stream_is_complete(stream, code == CURLE_OK) && !stream->aborted && !answer->no_memory;
    answer->streamed = stream->begun || stream->failed; /* else: a page of HTML, say */
    if (stream->failed)
        read_reported_error(up, stream->error, stream->error_class, answer);
    else if (!answer->complete && code == CURLE_OK && !stream->begun && !stream->aborted) {
        answer->outcome = PROFILE_FAILED;
        say_what_came(up, answer);
    } else if (!answer->complete || stream_finish(stream) < 0)
        read_broken(up, code, answer);
}

/* libcurl counts what was sent to a proxy too; the request is only what came after that. A proxy
 * that refuses to connect has passed nothing on, and its status is not the provider's. */
static void read_transport(struct upstream *up, struct upstream_answer *answer)
{
    long status = 0;
    long sent_bytes = 0;
    long connect_status = 0;
    curl_off_t request_begun_us = 0;
    curl_easy_getinfo(up->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(up->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    curl_easy_getinfo(up->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    curl_easy_getinfo(up->easy, CURLINFO_PRETRANSFER_TIME_T, &request_begun_us);
    if (request_begun_us == 0)
        sent_bytes = 0;
    if (connect_status != 0 && request_begun_us == 0)
        status = 0;
    answer->status = status >= 100 && status <= 599 ? (int)status : 0;
    answer->sent = sent_bytes > 0;
}

void upstream_end(struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    int64_t now_us = clock_us();
    assert(up->request.profile); /* it was begun */
    *answer = (struct upstream_answer){
        .no_memory = up->no_memory || code == CURLE_OUT_OF_MEMORY,
        .streamed = up->stream.kind == STREAM_EVENTS,
        .usage = up->stream.usage,
        .generated = up->stream.characters,
        .most_output = up->request.most_output,
        .elsewhere = up->request.elsewhere,
        .request_bytes = up->request.body_bytes,
        .hints = up->hints,
        .took_us = (uint64_t)(now_us - up->begun_us),
    };
    read_transport(up, answer);
    if (up->tier[0])
        memcpy(answer->usage.tier, up->tier, sizeof(answer->usage.tier));
    if (answer->status / 100 == 2 && answer->streamed)
        read_stream(up, code, answer);
    else if (code != CURLE_OK && (answer->status == 0 || answer->status / 100 == 2))
        read_broken(up, code, answer);
    else if (answer->status / 100 == 2)
        read_answer(up, answer);
    else
        read_error(up, answer);
    answer->aborted = up->stream.aborted;
    answer->delivered = up->stream.delivered;
    /* Every answer says when limits are reset; only an error's own words are a wait. */
    if (answer->outcome == PROFILE_ANSWERED ||
        (answer->status / 100 == 2 && answer->outcome != PROFILE_EXHAUSTED &&
         !answer->hints.waits_in_words))
        answer->hints.waits = false;
    if (answer->status / 100 == 2)
        answer->hints.should_retry = PROFILE_RETRY_UNSAID; /* it was said before anything failed */
    if (up->body.n > 0) {
        answer->body_bytes = up->body.n;
        answer->body = grow_take(&up->body);
    }
    forget_transfer(up);
    clear(up);
}

/* ---- SIGPIPE ---- */

void upstream_quiet_begin(struct upstream_quiet *quiet)
{
    sigset_t pipe_only;
    sigset_t pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    quiet->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &quiet->before);
}

void upstream_quiet_end(const struct upstream_quiet *quiet)
{
    if (!quiet->was_pending) {
        sigset_t pipe_only;
        struct timespec at_once = {0};
        sigemptyset(&pipe_only);
        sigaddset(&pipe_only, SIGPIPE);
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
