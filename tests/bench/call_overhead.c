/*
 * What ration_call() takes beyond the HTTP call itself: one POST by plain libcurl, one by
 * ration_call(), in turn, so that whatever else the machine does meets both. Both keep their
 * connections; each call by ration_call() is an ACQUIRE, the same POST, and a REPORT.
 * call_overhead.py starts what this talks to.
 *
 * The provider answers at once, so each call waits for the report of the one before, too, which the
 * server is still working on; PAUSE_US between calls stands for the time that real calls take.
 *
 *     call-overhead URL SERVERS POOL TENANT CALLS PAUSE_US
 *
 * One JSON object on stdout; exit status 0, or 2 with the reason.
 */
#include <ration/ration.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define WARM_UP 200
#define BODY                                                                                       \
    "{\"model\":\"gpt-4o\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":"       \
    "\"What is the capital of France?\"}]}"

struct plain {
    CURL *easy;
    struct curl_slist *headers;
    size_t bytes;
};

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct plain *plain = arg;
    (void)data;
    plain->bytes += size * n;
    return size * n;
}

static bool plain_open(struct plain *plain, const char *base)
{
    char url[512];
    snprintf(url, sizeof(url), "%s/v1/chat/completions", base);
    plain->easy = curl_easy_init();
    static const char *const lines[] = {"Content-Type: application/json",
                                        "Authorization: Bearer any", "Expect:"};
    for (size_t i = 0; i < 3; i++)
        plain->headers = curl_slist_append(plain->headers, lines[i]);
    if (!plain->easy || !plain->headers)
        return false;
    curl_easy_setopt(plain->easy, CURLOPT_URL, url);
    curl_easy_setopt(plain->easy, CURLOPT_HTTPHEADER, plain->headers);
    curl_easy_setopt(plain->easy, CURLOPT_POSTFIELDS, BODY);
    curl_easy_setopt(plain->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(plain->easy, CURLOPT_WRITEDATA, plain);
    curl_easy_setopt(plain->easy, CURLOPT_NOSIGNAL, 1L);
    return true;
}

static bool plain_call(struct plain *plain)
{
    long status = 0;
    plain->bytes = 0;
    return curl_easy_perform(plain->easy) == CURLE_OK &&
           curl_easy_getinfo(plain->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
           status == 200 && plain->bytes > 0;
}

static bool our_call(ration *r, const char *url, char **argv)
{
    struct ration_call_options call;
    struct ration_response answer;
    ration_call_options_init(&call);
    call.url = url;
    call.api_key = "any";
    call.body = BODY;
    int err = ration_call(r, argv[3], argv[4], &call, &answer);
    bool known = answer.used_known;
    ration_response_free(&answer);
    return err == RATION_OK && known;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void rest(long us)
{
    struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    if (us > 0)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static int measure(struct plain *plain, ration *r, char **argv, size_t n, double *took[2])
{
    long pause_us = strtol(argv[6], NULL, 10);
    for (size_t i = 0; i < n + WARM_UP; i++) {
        size_t at = i < WARM_UP ? 0 : i - WARM_UP;
        rest(pause_us);
        double begun = now_us();
        if (!plain_call(plain)) {
            fprintf(stderr, "call-overhead: the plain call failed\n");
            return 2;
        }
        double between = now_us();
        took[0][at] = between - begun;
        rest(pause_us);
        between = now_us();
        if (!our_call(r, argv[1], argv)) {
            fprintf(stderr, "call-overhead: ration_call: %s\n", ration_errmsg(r));
            return 2;
        }
        took[1][at] = now_us() - between;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t n = argc == 7 ? strtoul(argv[5], NULL, 10) : 0;
    struct plain plain = {.easy = NULL};
    struct ration_options options;
    ration *r = NULL;
    if (n < 1 || n > 10000000) {
        fprintf(stderr, "usage: call-overhead URL SERVERS POOL TENANT CALLS PAUSE_US\n");
        return 2;
    }
    ration_options_init(&options);
    options.servers = argv[2];
    curl_global_init(CURL_GLOBAL_DEFAULT);
    double *took[2] = {calloc(n, sizeof(double)), calloc(n, sizeof(double))};
    int code = 2;
    if (took[0] && took[1] && plain_open(&plain, argv[1]) && ration_open(&options, &r) == RATION_OK)
        code = measure(&plain, r, argv, n, took);
    if (code == 0) {
        for (size_t i = 0; i < 2; i++)
            qsort(took[i], n, sizeof(double), ascending);
        printf("{\"calls\": %zu, \"plain_us\": %.1f, \"ration_call_us\": %.1f, \"overhead_us\": "
               "%.1f, \"plain_p99_us\": %.1f, \"ration_call_p99_us\": %.1f}\n",
               n, took[0][n / 2], took[1][n / 2], took[1][n / 2] - took[0][n / 2],
               took[0][n - 1 - n / 100], took[1][n - 1 - n / 100]);
    }
    ration_close(r);
    curl_slist_free_all(plain.headers);
    curl_easy_cleanup(plain.easy);
    free(took[0]);
    free(took[1]);
    curl_global_cleanup();
    return code;
}
