/*
 * Tables for people: columns as wide as their widest cell, numbers to the right. Cells are copied.
 * If memory runs out, cells are left out: a table is not worth an abort.
 */
#ifndef RATION_TOOL_TABLE_H
#define RATION_TOOL_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table;

/* `heads` borrows and ends with NULL; a head that begins with '>' is a column of numbers. */
struct table *table_new(const char *const *heads);
void table_free(struct table *table);

/* Cells fill rows from the left. */
void table_text(struct table *table, const char *text);
void table_count(struct table *table, int64_t n); /* 1,234,567 */
void table_print(const struct table *table, FILE *to, const char *indent);

/* "1,234,567"; that, or "$12.50" from millionths if the unit is usd */
void format_count(int64_t n, char *out, size_t size);
void format_amount(const char *unit, int64_t n, char *out, size_t size);

/* "[#####.....]  50 %"; "350 ms", "12.3 s", "4 min 10 s", "never" */
void format_bar(int64_t used, int64_t limit, char *out, size_t size);
void format_duration(int64_t ms, char *out, size_t size);

#endif
