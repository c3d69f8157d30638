/*
 * Reads a trace: CSV with the header TIMESTAMP,ContextTokens,GeneratedTokens, one request a line,
 * in the order of time. Any other line is an error, with its number: a replay of half a trace would
 * be taken for a whole one.
 */
#include "tool/replay/replay.h"
#include "tool/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_TOKENS_OF_ROW 10000000

/* "2023-11-16 18:15:46.6805900" to microseconds since 1970; NULL, or what follows. */
static const char *read_time(const char *s, int64_t *us)
{
    struct tm tm = {.tm_isdst = 0};
    int used = 0;
    if (sscanf(s, "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used == 0)
        return NULL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t fraction = 0;
    s += used;
    if (*s == '.') {
        int64_t scale = 100000;
        for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
            fraction += (*s - '0') * scale;
    }
    *us = (int64_t)timegm(&tm) * 1000000 + fraction;
    return s;
}

static const char *read_tokens(const char *s, int32_t *out)
{
    char *end = NULL;
    if (*s != ',')
        return NULL;
    errno = 0;
    long value = strtol(s + 1, &end, 10);
    if (errno || end == s + 1 || value < 0 || value > MAX_TOKENS_OF_ROW)
        return NULL;
    *out = (int32_t)value;
    return end;
}

static bool read_row(const char *line, struct trace_row *row)
{
    const char *s = read_time(line, &row->at_us);
    s = s ? read_tokens(s, &row->input_tokens) : NULL;
    s = s ? read_tokens(s, &row->output_tokens) : NULL;
    return s && s[strspn(s, "\r\n")] == '\0';
}

static bool add_row(struct trace *trace, size_t *room, const struct trace_row *row)
{
    if (trace->n == *room) {
        size_t bigger = *room ? *room * 2 : 4096;
        struct trace_row *grown =
            bigger <= REPLAY_MAX_ROWS * 2UL ? realloc(trace->rows, bigger * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        trace->rows = grown;
        *room = bigger;
    }
    trace->rows[trace->n++] = *row;
    return true;
}

static bool read_rows(FILE *file, const char *path, struct trace *trace)
{
    char line[256];
    size_t room = 0;
    int64_t first_us = 0;
    for (size_t number = 1; fgets(line, sizeof(line), file); number++) {
        struct trace_row row;
        if (number == 1 && strncmp(line, "TIMESTAMP,", 10) == 0)
            continue;
        if (!read_row(line, &row))
            return say("%s:%zu: not TIMESTAMP,ContextTokens,GeneratedTokens", path, number);
        if (trace->n == 0)
            first_us = row.at_us;
        row.at_us -= first_us;
        if (trace->n > 0 && row.at_us < trace->rows[trace->n - 1].at_us)
            row.at_us =
                trace->rows[trace->n - 1].at_us; /* recorders write some lines a little late */
        if (!add_row(trace, &room, &row))
            return say("%s: too many rows for the memory", path);
    }
    if (trace->n == 0)
        say("%s: no requests in it", path);
    return trace->n > 0;
}

bool replay_read_trace(const char *path, struct trace *trace)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return say("--trace %s: %s", path, strerror(errno));
    bool ok = read_rows(file, path, trace);
    fclose(file);
    return ok;
}

/* ---- Tenants ---- */

static bool find_group(struct replay *replay, const char *label, size_t len, size_t *group)
{
    for (size_t i = 0; i < replay->n_groups; i++) {
        if (strlen(replay->labels[i]) == len && memcmp(replay->labels[i], label, len) == 0) {
            *group = i;
            return true;
        }
    }
    if (replay->n_groups == REPLAY_MAX_GROUPS || len == 0 || len > REPLAY_LABEL_BYTES)
        return false;
    memcpy(replay->labels[replay->n_groups], label, len);
    *group = replay->n_groups++;
    return true;
}

bool replay_read_tenants(struct replay *replay)
{
    const char *s = replay->tenants_text;
    for (;;) {
        size_t len = strcspn(s, ",");
        const char *colon = memchr(s, ':', len);
        size_t name_len = colon ? (size_t)(colon - s) : len;
        const char *label = colon ? colon + 1 : "all";
        size_t label_len = colon ? len - name_len - 1 : 3;
        struct replay_tenant *tenant = &replay->tenants[replay->n_tenants];
        if (replay->n_tenants == REPLAY_MAX_TENANTS || name_len == 0 ||
            name_len > RATION_MAX_TENANT_BYTES ||
            !find_group(replay, label, label_len, &tenant->group))
            return say("--tenants takes NAME[:LABEL],..., with at most %d names of %d bytes and %d "
                       "labels of %d bytes, not '%s'",
                       REPLAY_MAX_TENANTS, RATION_MAX_TENANT_BYTES, REPLAY_MAX_GROUPS,
                       REPLAY_LABEL_BYTES, replay->tenants_text);
        memcpy(tenant->name, s, name_len);
        replay->n_tenants++;
        if (s[len] == '\0')
            return true;
        s += len + 1;
    }
}

/* Not n modulo the tenants: n modulo the hosts decides which host takes a request, and with as many
 * hosts as tenants each host would only ever see one. */
size_t replay_tenant_of(const struct replay *replay, size_t n)
{
    uint64_t x = (uint64_t)n + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return (size_t)((x ^ (x >> 31)) % replay->n_tenants);
}
