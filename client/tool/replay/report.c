/*
 * The results of a replay, as the hosts counted them and as the provider saw them: two independent
 * counts, side by side.
 *
 * A provider without GET /report (any but the strict one) has no half of its own. It may have been
 * running before: its counts are shown as differences, its peaks are those of its whole life ("in
 * any window").
 */
#include "tool/object.h"
#include "tool/provider.h"
#include "tool/replay/replay.h"
#include "tool/rows.h"
#include "tool/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REPORT_BYTES  (4 << 20)
#define REPORT_TIMEOUT_MS 5000

static bool fetch(const char *url, struct grow *page)
{
    char full[2048];
    long status = 0;
    CURL *easy = provider_easy(NULL, REPORT_TIMEOUT_MS, page);
    int n = snprintf(full, sizeof(full), "%.*s/report", (int)provider_base_bytes(url), url);
    bool ok = easy && n < (int)sizeof(full) &&
              curl_easy_setopt(easy, CURLOPT_URL, full) == CURLE_OK &&
              curl_easy_perform(easy) == CURLE_OK &&
              curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
    curl_easy_cleanup(easy);
    return ok;
}

static int64_t get_integer(json_object *o, const char *key)
{
    json_object *value = NULL;
    if (!json_object_object_get_ex(o, key, &value) || !json_object_is_type(value, json_type_int))
        return -1;
    return json_object_get_int64(value);
}

static void read_seconds(json_object *o, struct replay_upstream *upstream)
{
    json_object *list = NULL;
    const char *counts = object_string(o, "count");
    json_object_object_get_ex(o, "per_second", &list);
    upstream->counts_at_start = counts && strcmp(counts, "start") == 0;
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    upstream->seconds = n > 0 ? calloc(n, sizeof(*upstream->seconds)) : NULL;
    for (size_t i = 0; upstream->seconds && i < n; i++) {
        json_object *row = json_object_array_get_idx(list, i);
        int64_t tokens = get_integer(row, "tokens");
        upstream->seconds[i] = (struct replay_second){.second = get_integer(row, "second"),
                                                      .tokens = tokens > 0 ? tokens : 0};
        upstream->n_seconds = i + 1;
    }
}

void replay_upstream_close(struct replay_upstream *upstream)
{
    free(upstream->seconds);
    upstream->seconds = NULL;
    upstream->n_seconds = 0;
}

void replay_ask_upstream(const char *url, struct replay_upstream *upstream)
{
    *upstream = (struct replay_upstream){.known = false};
    struct grow page;
    grow_init(&page, MAX_REPORT_BYTES);
    json_object *o = fetch(url, &page) && page.bytes ? json_tokener_parse(page.bytes) : NULL;
    if (json_object_is_type(o, json_type_object)) {
        *upstream = (struct replay_upstream){
            .requests = get_integer(o, "requests"),
            .granted = get_integer(o, "granted"),
            .tokens = get_integer(o, "tokens"),
            .status_429 = get_integer(o, "status_429"),
            .max_requests_in_window = get_integer(o, "max_requests_in_window"),
            .max_tokens_in_window = get_integer(o, "max_tokens_in_window"),
            .rpm = get_integer(o, "rpm"),
            .tpm = get_integer(o, "tpm"),
            .window_ms = get_integer(o, "window_ms"),
            .elapsed_ms = get_integer(o, "elapsed_ms"),
        };
        upstream->known = upstream->requests >= 0 && upstream->status_429 >= 0;
        read_seconds(o, upstream);
    }
    json_object_put(o);
    grow_close(&page);
}

/*
 * The share of the quota that was used. In a time T, a rolling limit allows one full amount at once
 * and another as each window ends: floor(T / window) + 1 of them. Below zero if the provider does
 * not say enough.
 */
static double share_used(const struct replay_upstream *before, const struct replay_upstream *after,
                         int64_t elapsed_ms)
{
    if (after->tokens < 0 || after->tpm <= 0 || after->window_ms <= 0)
        return -1;
    if (before->requests <= 0 && after->elapsed_ms >= 0 && after->elapsed_ms < elapsed_ms)
        elapsed_ms = after->elapsed_ms; /* without the time in which nothing came */
    int64_t windows = elapsed_ms / after->window_ms + 1;
    return (double)(after->tokens - before->tokens) / ((double)after->tpm * (double)windows);
}

/* ---- Counts ---- */

void replay_count_add(struct replay_count *sum, const struct replay_count *more)
{
    sum->arrivals += more->arrivals;
    sum->granted += more->granted;
    sum->denied += more->denied;
    sum->errors += more->errors;
    sum->tries += more->tries;
    sum->status_429 += more->status_429;
    sum->tokens += more->tokens;
}

struct replay_count replay_sum(const struct replay *replay, const struct replay_snapshot *total)
{
    struct replay_count sum = {0};
    for (size_t g = 0; g < replay->n_groups; g++)
        replay_count_add(&sum, &total->group[g]);
    return sum;
}

/* ---- For people ---- */

/* One tier as the callers met it. */
struct tier_row {
    const char *label;
    struct replay_count count;
};

#define ROW(member) offsetof(struct tier_row, count.member)

static const struct column columns[] = {
    {"tier", NULL, COLUMN_WORD, offsetof(struct tier_row, label), 0, NULL},
    {">arrivals", "arrivals", COLUMN_COUNT, ROW(arrivals), 0, NULL},
    {">granted", "granted", COLUMN_COUNT, ROW(granted), 0, NULL},
    {">denied", "denied", COLUMN_COUNT, ROW(denied), 0, NULL},
    {">errors", "errors", COLUMN_COUNT, ROW(errors), 0, NULL},
    {NULL, "tries", COLUMN_COUNT, ROW(tries), 0, NULL},
    {NULL, "status_429", COLUMN_COUNT, ROW(status_429), 0, NULL},
    {">tokens", "tokens", COLUMN_COUNT, ROW(tokens), 0, NULL},
    {0}};

static void print_tiers(const struct replay *replay, const struct replay_snapshot *total)
{
    struct tier_row rows[REPLAY_MAX_GROUPS + 1];
    for (size_t i = 0; i < replay->n_groups; i++)
        rows[i] = (struct tier_row){replay->labels[i], total->group[i]};
    rows[replay->n_groups] = (struct tier_row){"all", replay_sum(replay, total)};
    printf("\nWhat the callers met (denied: %s)\n\n",
           replay->without_ration ? "refused until their patience was over"
                                  : "given a time to come back; nothing was sent");
    rows_print(columns, rows, replay->n_groups + 1, sizeof(rows[0]), "  ");
}

static void add_peak(struct table *table, const char *what, int64_t window_ms, int64_t most,
                     int64_t limit)
{
    if (most >= 0 && limit >= 0)
        table_add(table, "most %s in any %" PRId64 " s\t%s\tof %s allowed%s", what,
                  window_ms / 1000, as_count(most).s, as_count(limit).s,
                  most > limit ? ": TOO MANY" : "");
}

static void print_upstream(const struct replay_upstream *before,
                           const struct replay_upstream *after, const struct replay_used *used,
                           int64_t elapsed_ms)
{
    static const char *const heads[] = {"", ">", "", NULL};
    struct table *table = table_new(heads);
    int64_t status_429 = after->status_429 - before->status_429;
    double share = share_used(before, after, elapsed_ms);
    table_add(table, "requests\t%s\t", as_count(after->requests - before->requests).s);
    table_add(table, "tokens used\t%s\t", as_count(after->tokens - before->tokens).s);
    table_add(table, "429s (too many requests)\t%s\t%s", as_count(status_429).s,
              status_429 == 0 ? "none: the quota was kept" : "THE QUOTA WAS NOT KEPT");
    add_peak(table, "requests", after->window_ms, after->max_requests_in_window, after->rpm);
    add_peak(table, "tokens", after->window_ms, after->max_tokens_in_window, after->tpm);
    if (used->known)
        table_add(
            table,
            "quota used\t%.1f %%\tof the smaller of the quota and what arrived, window by window",
            used->of_could * 100);
    if (share >= 0)
        table_add(table,
                  "share of the quota used\t%.1f %%\tof the tokens that it allowed in this time",
                  share * 100);
    printf("\nWhat the provider saw\n\n");
    table_print(table, stdout, "  ");
    table_free(table);
}

/* ---- For programs ---- */

static json_object *count_json(const struct replay_count *count)
{
    struct tier_row row = {NULL, *count};
    return row_json(columns, &row);
}

static json_object *upstream_json(const struct replay_upstream *before,
                                  const struct replay_upstream *after,
                                  const struct replay_used *used, int64_t elapsed_ms)
{
    double share = share_used(before, after, elapsed_ms);
    json_object *o = json_object_new_object();
    object_put_integer(o, "requests", after->requests - before->requests);
    object_put_integer(o, "granted", after->granted - before->granted);
    object_put_integer(o, "tokens", after->tokens - before->tokens);
    object_put_integer(o, "status_429", after->status_429 - before->status_429);
    object_put_integer(o, "max_requests_in_window", after->max_requests_in_window);
    object_put_integer(o, "max_tokens_in_window", after->max_tokens_in_window);
    object_put_integer(o, "rpm", after->rpm);
    object_put_integer(o, "tpm", after->tpm);
    object_put_integer(o, "window_ms", after->window_ms);
    json_object_object_add(o, "quota_used",
                           json_object_new_double(used->known ? used->of_could : share));
    json_object_object_add(o, "could_be_had",
                           used->known ? json_object_new_double(used->could) : NULL);
    json_object_object_add(o, "share_of_quota", json_object_new_double(share));
    return o;
}

static json_object *replay_json(const struct replay *replay, const struct replay_snapshot *total,
                                const struct replay_upstream *before,
                                const struct replay_upstream *after, const struct replay_used *used,
                                int64_t elapsed_ms)
{
    json_object *o = json_object_new_object();
    json_object *tiers = json_object_new_object();
    for (size_t i = 0; i < replay->n_groups; i++)
        json_object_object_add(tiers, replay->labels[i], count_json(&total->group[i]));
    struct replay_count sum = replay_sum(replay, total);
    object_put_integer(o, "elapsed_ms", elapsed_ms);
    object_put_integer(o, "start_ms", replay->start_ms);
    object_put_integer(o, "late_ms", (int64_t)total->most_late_ms);
    json_object_object_add(o, "tiers", tiers);
    json_object_object_add(o, "all", count_json(&sum));
    json_object_object_add(o, "upstream",
                           after->known ? upstream_json(before, after, used, elapsed_ms) : NULL);
    object_put_string(o, "first_error", total->error);
    return o;
}

bool replay_report(const struct replay *replay, const struct replay_snapshot *total,
                   const struct replay_upstream *before, const struct replay_upstream *after,
                   int64_t elapsed_ms)
{
    struct replay_used used;
    print_tiers(replay, total);
    replay_quota_used(replay, after, elapsed_ms, &used);
    if (after->known)
        print_upstream(before, after, &used, elapsed_ms);
    else
        printf("\nThe provider at %s has no /report, so its own view is unknown.\n", replay->url);
    if (total->error[0])
        printf("\nThe first error: %s\n", total->error);
    fflush(stdout);
    return !replay->json_file ||
           object_write(replay_json(replay, total, before, after, &used, elapsed_ms),
                        replay->json_file);
}
