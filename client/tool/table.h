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

/* Adds cells that are separated by tabs; they fill rows from the left. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *table, FILE *to, const char *indent);

/* A number as people read it, to be used at once: printf("%s", as_count(n).s). */
struct shown {
    char s[80];
};

struct shown as_count(int64_t n);                    /* "1,234,567" */
struct shown as_amount(const char *unit, int64_t n); /* that, or "$12.50" from millionths of usd */
struct shown as_bar(int64_t used, int64_t limit);    /* "[#####.....]  50 %" */
struct shown as_duration(int64_t ms);                /* "350 ms", "12.3 s", "4 min 10 s", "never" */

#endif
