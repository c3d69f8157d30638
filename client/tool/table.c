/* Tables of cells, and numbers as people read them. */
#include "tool/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 12

struct table {
    const char *heads[MAX_COLUMNS];
    bool numbers[MAX_COLUMNS];
    size_t columns;
    char **cells;
    size_t n;
    size_t room;
};

struct table *table_new(const char *const *heads)
{
    struct table *t = calloc(1, sizeof(*t));
    for (; t && heads[t->columns] && t->columns < MAX_COLUMNS; t->columns++) {
        const char *head = heads[t->columns];
        t->numbers[t->columns] = head[0] == '>';
        t->heads[t->columns] = head[0] == '>' ? head + 1 : head;
    }
    return t;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

static void add_cell(struct table *table, const char *text)
{
    if (table->n == table->room) {
        size_t room = table->room ? table->room * 2 : 64;
        char **grown = realloc(table->cells, room * sizeof(*grown));
        if (!grown)
            return;
        table->cells = grown;
        table->room = room;
    }
    char *copy = strdup(text);
    if (copy)
        table->cells[table->n++] = copy;
}

void table_add(struct table *table, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = table ? vasprintf(&text, format, args) : -1;
    va_end(args);
    char *rest = len < 0 ? NULL : text;
    while (rest)
        add_cell(table, strsep(&rest, "\t"));
    if (len >= 0)
        free(text);
}

static void print_cell(FILE *to, const char *text, size_t width, bool number, bool last)
{
    if (number)
        fprintf(to, "%*s", (int)width, text);
    else if (last)
        fputs(text, to);
    else
        fprintf(to, "%-*s", (int)width, text);
    fputs(last ? "\n" : "  ", to);
}

static bool has_heads(const struct table *table)
{
    bool any = false;
    for (size_t c = 0; c < table->columns; c++)
        any |= table->heads[c][0] != '\0';
    return any;
}

void table_print(const struct table *table, FILE *to, const char *indent)
{
    if (!table || table->columns == 0)
        return;
    size_t width[MAX_COLUMNS];
    for (size_t c = 0; c < table->columns; c++)
        width[c] = strlen(table->heads[c]);
    for (size_t i = 0; i < table->n; i++) {
        size_t len = strlen(table->cells[i]);
        size_t c = i % table->columns;
        width[c] = len > width[c] ? len : width[c];
    }
    if (has_heads(table)) {
        fputs(indent, to);
        for (size_t c = 0; c < table->columns; c++)
            print_cell(to, table->heads[c], width[c], table->numbers[c], c + 1 == table->columns);
    }
    for (size_t i = 0; i < table->n; i++) {
        size_t c = i % table->columns;
        if (c == 0)
            fputs(indent, to);
        print_cell(to, table->cells[i], width[c], table->numbers[c], c + 1 == table->columns);
    }
}

struct shown as_count(int64_t n)
{
    struct shown out;
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n < 0 ? -(uint64_t)n : (uint64_t)n);
    size_t k = 0;
    if (n < 0)
        out.s[k++] = '-';
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out.s[k++] = ',';
        out.s[k++] = digits[i];
    }
    out.s[k] = '\0';
    return out;
}

struct shown as_amount(const char *unit, int64_t n)
{
    struct shown out;
    char decimals[8];
    if (strcmp(unit, "usd") != 0)
        return as_count(n);
    int64_t magnitude = n < 0 ? -n : n;
    snprintf(decimals, sizeof(decimals), "%06d", (int)(magnitude % 1000000));
    for (size_t i = 5; i > 1 && decimals[i] == '0'; i--)
        decimals[i] = '\0';
    snprintf(out.s, sizeof(out.s), "%s$%.30s.%s", n < 0 ? "-" : "", as_count(magnitude / 1000000).s,
             decimals);
    return out;
}

struct shown as_bar(int64_t used, int64_t limit)
{
    struct shown out;
    const int width = 20;
    int64_t part = used < 0 ? 0 : used;
    double share = limit > 0 ? (double)part / (double)limit : 1.0;
    int full = share >= 1.0 ? width : (int)(share * width);
    if (full == 0 && part > 0)
        full = 1;
    snprintf(out.s, sizeof(out.s), "[%.*s%.*s] %3lld %%", full, "####################",
             width - full, "....................", llrint(fmin(share, 1e9) * 100));
    return out;
}

struct shown as_duration(int64_t ms)
{
    struct shown out;
    if (ms < 0)
        snprintf(out.s, sizeof(out.s), "never");
    else if (ms < 1000)
        snprintf(out.s, sizeof(out.s), "%" PRId64 " ms", ms);
    else if (ms < 60000) /* rounded up: a caller that comes back too early is denied again */
        snprintf(out.s, sizeof(out.s), "%" PRId64 ".%" PRId64 " s", (ms + 99) / 1000,
                 (ms + 99) / 100 % 10);
    else if (ms < 3600000)
        snprintf(out.s, sizeof(out.s), "%" PRId64 " min %" PRId64 " s", ms / 60000,
                 ms % 60000 / 1000);
    else
        snprintf(out.s, sizeof(out.s), "%" PRId64 " h %" PRId64 " min", ms / 3600000,
                 ms % 3600000 / 60000);
    return out;
}
