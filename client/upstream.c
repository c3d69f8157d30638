/*
 * Normal path: upstream_begin() sets the easy handle up anew (connections survive that); while it runs, the callbacks
 * collect headers into hints and the body into memory, or hand a stream to the event parser piece by piece;
 * upstream_end() parses an answer once and reads from it whatever is wanted.
 *
 * How it fails, which decides how the call is settled: nothing was sent (name, connection, TLS), so the provider cannot
 * have counted it; or something was, and then the answer is an error, is missing, or is cut short (time-out, reset, too
 * large, no memory for it, or the caller had enough).
 *
 * Whether a stream came to its end is told by its own last event. Some servers leave that out: then one whose framing
 * (chunks, a length, HTTP/2) was complete counts as whole, while the mere end of a connection does not.
 */
#include "upstream.h"

#include "clock.h"
#include "sse.h"
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_CONNECT_MS   10000
#define MAX_HEADER_BYTES 1024 /* of a name, and of a value, that could tell something */
#define MAX_JSON_DEPTH   64

struct upstream {
    CURL *easy;
    json_tokener *tokener;
    struct curl_slist *headers;
    struct upstream_request request;
    int64_t begun_us;
    int64_t first_us;
    char *body;
    size_t len;
    size_t capacity;
    bool body_begun;
    bool streaming; /* a 2xx that is a stream; then sse is open */
    struct sse sse;
    bool plain;  /* the answer's type is JSON, so it is no stream whatever was asked for */
    bool framed; /* its end can be told from a broken connection */
    bool too_large;
    bool no_memory;
    bool aborted;
    bool delivered;
    bool ended;        /* the stream's last event came */
    bool stream_error; /* it told an error instead */
    enum profile_class error_class;
    int64_t text_characters;
    struct profile_usage usage;
    struct profile_hints hints;
    char words[UPSTREAM_WHY_BYTES]; /* the provider's own, of an error */
    char reason[UPSTREAM_REASON_BYTES];
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
    if (up->streaming)
        sse_close(&up->sse);
    free(up->body);
    CURL *easy = up->easy;
    json_tokener *tokener = up->tokener;
    *up = (struct upstream){.easy = easy, .tokener = tokener};
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

/* The JSON of some text, to be put back; NULL: it is none. */
static json_object *parse(struct upstream *up, const char *text, size_t bytes)
{
    if (bytes > INT_MAX)
        return NULL;
    json_tokener_reset(up->tokener);
    json_object *parsed = json_tokener_parse_ex(up->tokener, text, (int)bytes);
    if (json_tokener_get_error(up->tokener) == json_tokener_success)
        return parsed;
    json_object_put(parsed);
    return NULL;
}

/* The provider's word for a quota that is used up, fit for the wire. */
static void note_reason(struct upstream *up, json_object *body)
{
    const char *word = profile_exhausted(up->request.profile, body);
    if (!word)
        word = "exhausted";
    size_t n = 0;
    for (; word[n] > ' ' && word[n] <= '~' && n + 1 < sizeof(up->reason); n++)
        up->reason[n] = word[n];
    up->reason[n] = '\0';
}

/* ---- Streams ---- */

static int64_t count_characters(const char *text)
{
    int64_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* What goes wrong after the status said 200 is told by an event. */
static void note_error(struct upstream *up, json_object *event)
{
    const struct profile *profile = up->request.profile;
    if (!event || up->stream_error)
        return;
    up->error_class = profile_classify_event(profile, event);
    if (up->error_class == PROFILE_ANSWERED)
        return;
    up->stream_error = true;
    profile_error_words(profile, event, up->words, sizeof(up->words));
    note_reason(up, event);
}

static int on_event(void *arg, const char *name, const char *data, size_t bytes)
{
    struct upstream *up = arg;
    const struct upstream_request *request = &up->request;
    json_object *event = parse(up, data, bytes);
    if (profile_read_event(request->profile, name, data, event, &up->usage))
        up->ended = true;
    const char *text = event ? profile_event_text(request->profile, name, event) : NULL;
    if (text)
        up->text_characters += count_characters(text);
    note_error(up, event);
    int stop = 0;
    if (request->stream) {
        up->delivered = true;
        stop = request->stream(request->stream_arg, name, data, bytes, text);
    }
    json_object_put(event);
    if (stop)
        up->aborted = true;
    return stop ? -1 : 0;
}

/* ---- What libcurl calls ---- */

static bool collect(struct upstream *up, const char *data, size_t len)
{
    if (len > UPSTREAM_MAX_ANSWER_BYTES - up->len) {
        up->too_large = true;
        return false;
    }
    if (up->len + len + 1 > up->capacity) {
        size_t capacity = up->capacity ? up->capacity * 2 : 4096;
        while (capacity < up->len + len + 1)
            capacity *= 2;
        char *grown = realloc(up->body, capacity);
        if (!grown) {
            up->no_memory = true;
            return false;
        }
        up->body = grown;
        up->capacity = capacity;
    }
    memcpy(up->body + up->len, data, len);
    up->len += len;
    up->body[up->len] = '\0';
    return true;
}

static void begin_body(struct upstream *up)
{
    long status = 0;
    up->body_begun = true;
    up->first_us = clock_us();
    curl_easy_getinfo(up->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!up->request.streamed || up->plain || status / 100 != 2)
        return;
    up->streaming = true;
    sse_init(&up->sse, on_event, up);
}

static bool feed(struct upstream *up, const char *data, size_t len)
{
    int err = sse_feed(&up->sse, data, len);
    if (err == RATION_ENOMEM)
        up->no_memory = true;
    else if (err < 0 && !up->aborted)
        up->too_large = true;
    return err == 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct upstream *up = arg;
    size_t len = size * n;
    if (!up->body_begun)
        begin_body(up);
    if (up->streaming && !feed(up, data, len))
        return 0;
    if (up->streaming && up->request.stream)
        return len;
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

/* What of the headers says how the body is to be read. */
static void note_form(struct upstream *up, const char *name, const char *value)
{
    if (strcasecmp(name, "content-type") == 0)
        up->plain = strncasecmp(value, "application/json", 16) == 0;
    else if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0)
        up->framed = true;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct upstream *up = arg;
    char name[MAX_HEADER_BYTES];
    char value[MAX_HEADER_BYTES];
    size_t len = size * n;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* a new answer begins, as after a 100 */
        up->hints = (struct profile_hints){.waits = false};
        up->plain = false;
        up->framed = len > 6 && data[5] != '1';
        return len;
    }
    const char *colon = memchr(data, ':', len);
    if (!colon || !copy(name, sizeof(name), data, colon) ||
        !copy(value, sizeof(value), colon + 1, data + len))
        return len;
    if (up->request.streamed)
        note_form(up, name, value);
    profile_read_header(up->request.profile, name, value, wait_wall_clock_ms(), &up->hints);
    return len;
}

/* ---- Setting up ---- */

static int add_header(void *arg, const char *line)
{
    struct upstream *up = arg;
    struct curl_slist *longer = curl_slist_append(up->headers, line);
    if (!longer)
        return RATION_ENOMEM;
    up->headers = longer;
    return 0;
}

static int make_headers(struct upstream *up)
{
    /* Without an empty Expect, libcurl would ask first and wait before it sends a larger body. */
    int err = add_header(up, "Expect:");
    if (err < 0)
        return err;
    return profile_headers(up->request.profile, up->request.key, up->request.streamed, add_header,
                           up);
}

static CURLcode set_options(struct upstream *up)
{
    CURL *easy = up->easy;
    const struct upstream_request *request = &up->request;
    long connect_ms =
        request->timeout_ms < MAX_CONNECT_MS ? (long)request->timeout_ms : MAX_CONNECT_MS;
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

int upstream_begin(struct upstream *up, const struct upstream_request *request)
{
    clear(up);
    up->request = *request;
    up->begun_us = clock_us();
    int err = make_headers(up);
    if (err == 0 && set_options(up) != CURLE_OK)
        err = RATION_ENOMEM;
    if (err < 0) {
        curl_easy_reset(up->easy);
        clear(up);
    }
    return err;
}

/* ---- What came of it ---- */

static void read_error(struct upstream *up, struct upstream_answer *answer)
{
    json_object *body = up->len > 0 ? parse(up, up->body, up->len) : NULL;
    answer->outcome = profile_classify(up->request.profile, answer->status, body);
    if (body) {
        profile_error_words(up->request.profile, body, up->words, sizeof(up->words));
        profile_read_error(up->request.profile, body, wait_wall_clock_ms(), &answer->hints);
        note_reason(up, body);
    }
    json_object_put(body);
    snprintf(answer->why, sizeof(answer->why), "status %d%s%.200s", answer->status,
             up->words[0] ? ": " : "", up->words);
}

static void read_answer(struct upstream *up, struct upstream_answer *answer)
{
    if (up->streaming || up->len == 0)
        return;
    json_object *body = parse(up, up->body, up->len);
    if (body)
        profile_read_usage(up->request.profile, body, &answer->usage);
    json_object_put(body);
}

/* A connection that fails is told from a time-out, and both from what no other try would change. */
static enum profile_class class_of(const struct upstream *up, CURLcode code,
                                   const struct upstream_answer *answer)
{
    if (up->stream_error)
        return up->error_class;
    if (up->aborted)
        return PROFILE_ANSWERED;
    if (up->too_large || answer->no_memory || code == CURLE_URL_MALFORMAT ||
        code == CURLE_UNSUPPORTED_PROTOCOL)
        return PROFILE_REFUSED;
    return code == CURLE_OPERATION_TIMEDOUT && answer->sent ? PROFILE_TIMED_OUT : PROFILE_UNREACHED;
}

static void say_why(const struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    const char *text = up->errbuf[0] ? up->errbuf : curl_easy_strerror(code);
    if (up->stream_error)
        text = up->words[0] ? up->words : "the stream told an error";
    else if (up->aborted)
        text = "the caller ended the stream";
    else if (up->too_large)
        text = up->streaming ? sse_words(RATION_EPROTOCOL) : "the answer is larger than 64 MiB";
    else if (answer->no_memory)
        text = "out of memory for the answer";
    else if (code == CURLE_OK)
        text = "the stream broke off";
    snprintf(answer->why, sizeof(answer->why), "%s", text);
}

static bool is_complete(const struct upstream *up, CURLcode code, int status)
{
    if (!up->streaming)
        return code == CURLE_OK && status != 0;
    if (up->stream_error)
        return false;
    return up->ended || (code == CURLE_OK && (up->framed || up->usage.known));
}

void upstream_end(struct upstream *up, CURLcode code, struct upstream_answer *answer)
{
    long status = 0;
    long sent_bytes = 0;
    int64_t now_us = clock_us();
    curl_easy_getinfo(up->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(up->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    *answer = (struct upstream_answer){
        .status = status >= 100 && status <= 599 ? (int)status : 0,
        .sent = sent_bytes > 0,
        .aborted = up->aborted,
        .delivered = up->delivered,
        .streamed = up->streaming,
        .no_memory = up->no_memory || code == CURLE_OUT_OF_MEMORY,
        .usage = up->usage,
        .text_characters = up->text_characters,
        .hints = up->hints,
        .took_us = (uint64_t)(now_us - up->begun_us),
        .first_us = up->first_us ? (uint64_t)(up->first_us - up->begun_us) : 0,
    };
    answer->complete = is_complete(up, code, answer->status);
    if (answer->status != 0 && answer->status / 100 != 2) {
        read_error(up, answer);
    } else if (answer->complete) {
        read_answer(up, answer);
    } else {
        answer->outcome = class_of(up, code, answer);
        say_why(up, code, answer);
    }
    if (answer->outcome == PROFILE_EXHAUSTED)
        memcpy(answer->reason, up->reason, sizeof(answer->reason));
    if (answer->outcome == PROFILE_ANSWERED || answer->status / 100 == 2) {
        answer->hints.waits = false; /* when limits are reset is told with every answer */
        answer->hints.should_retry = PROFILE_RETRY_UNSAID; /* it was said before anything failed */
    }
    answer->body = up->body;
    answer->body_bytes = up->len;
    up->body = NULL;
    /* The handle must not keep pointers into this call. */
    curl_easy_reset(up->easy);
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
