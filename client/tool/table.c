/* Tables of cells, and numbers as people read them. */
#include "tool/table.h"

#include <inttypes.h>
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

void table_text(struct table *table, const char *text)
{
    if (!table)
        return;
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

void table_count(struct table *table, int64_t n)
{
    char text[32];
    format_count(n, text, sizeof(text));
    table_text(table, text);
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

void format_count(int64_t n, char *out, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n < 0 ? -(uint64_t)n : (uint64_t)n);
    size_t k = 0;
    if (n < 0 && size > 1)
        out[k++] = '-';
    for (int i = 0; i < len && k + 2 < size; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = '\0';
}

static void format_dollars(int64_t millionths, char *out, size_t size)
{
    int64_t magnitude = millionths < 0 ? -millionths : millionths;
    char whole[32];
    char decimals[8];
    format_count(magnitude / 1000000, whole, sizeof(whole));
    snprintf(decimals, sizeof(decimals), "%06d", (int)(magnitude % 1000000));
    for (size_t i = 5; i > 1 && decimals[i] == '0'; i--)
        decimals[i] = '\0';
    snprintf(out, size, "%s$%s.%s", millionths < 0 ? "-" : "", whole, decimals);
}

void format_amount(const char *unit, int64_t n, char *out, size_t size)
{
    if (strcmp(unit, "usd") == 0)
        format_dollars(n, out, size);
    else
        format_count(n, out, size);
}

void format_bar(int64_t used, int64_t limit, char *out, size_t size)
{
    char bar[21];
    int64_t part = used < 0 ? 0 : used;
    double share = limit > 0 ? (double)part / (double)limit : 1.0;
    size_t full = share >= 1.0 ? sizeof(bar) - 1 : (size_t)(share * (double)(sizeof(bar) - 1));
    if (full == 0 && part > 0)
        full = 1;
    memset(bar, '.', sizeof(bar) - 1);
    memset(bar, '#', full);
    bar[sizeof(bar) - 1] = '\0';
    snprintf(out, size, "[%s] %3.0f %%", bar, share * 100.0);
}

void format_duration(int64_t ms, char *out, size_t size)
{
    if (ms < 0)
        snprintf(out, size, "never");
    else if (ms < 1000)
        snprintf(out, size, "%" PRId64 " ms", ms);
    else if (ms < 60000) /* rounded up: a caller that comes back too early is denied again */
        snprintf(out, size, "%" PRId64 ".%" PRId64 " s", (ms + 99) / 1000, (ms + 99) / 100 % 10);
    else if (ms < 3600000)
        snprintf(out, size, "%" PRId64 " min %" PRId64 " s", ms / 60000, ms % 60000 / 1000);
    else
        snprintf(out, size, "%" PRId64 " h %" PRId64 " min", ms / 3600000, ms % 3600000 / 60000);
}
