/*
 * Rows of results, described once for both readers: each column says how people see it in a table
 * and under which key programs find it in JSON.
 */
#ifndef RATION_TOOL_ROWS_H
#define RATION_TOOL_ROWS_H

#include "tool/table.h"

#include <stddef.h>

#include <json-c/json.h>

enum column_kind {
    COLUMN_TEXT,   /* char[] */
    COLUMN_WORD,   /* const char * */
    COLUMN_COUNT,  /* int64_t or uint64_t */
    COLUMN_AMOUNT, /* int64_t, counted in the unit that is at `other` */
    COLUMN_LIMIT,  /* char[], a unit, with its period at `other`: "tokens a minute" */
    COLUMN_YES,    /* int: true if it is 1 */
};

/* A list of them ends with {0}. */
struct column {
    const char *title; /* as in table.h; NULL: not in the table */
    const char *key;   /* NULL: not in JSON */
    enum column_kind kind;
    size_t offset;                         /* of the member in the row */
    size_t other;                          /* of a second one, if the kind has it */
    struct shown (*show)(const void *row); /* NULL: as the kind says */
};

/* Both read n rows of `size` bytes each. */
void rows_print(const struct column *columns, const void *rows, size_t n, size_t size,
                const char *indent);
json_object *rows_json(const struct column *columns, const void *rows, size_t n, size_t size);

/* A single row as an object. */
json_object *row_json(const struct column *columns, const void *row);

#endif
