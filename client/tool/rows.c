/* Members are read by their offsets; numbers are copied out, since their signedness is the row's
 * own business. */
#include "tool/rows.h"

#include "tool/object.h"

#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS 16

static int64_t integer_at(const void *member)
{
    int64_t n = 0;
    memcpy(&n, member, sizeof(n));
    return n;
}

static const char *text_of(const struct column *column, const char *member)
{
    return column->kind == COLUMN_WORD ? *(const char *const *)(const void *)member : member;
}

static void add_cell(struct table *table, const struct column *column, const char *row)
{
    const char *member = row + column->offset;
    const char *other = row + column->other;
    if (column->show)
        table_add(table, "%s", column->show(row).s);
    else if (column->kind == COLUMN_COUNT)
        table_add(table, "%s", as_count(integer_at(member)).s);
    else if (column->kind == COLUMN_AMOUNT)
        table_add(table, "%s", as_amount(other, integer_at(member)).s);
    else if (column->kind == COLUMN_LIMIT)
        table_add(table, "%s%s%s", member, other[0] ? " a " : "", other);
    else
        table_add(table, "%s", text_of(column, member));
}

void rows_print(const struct column *columns, const void *rows, size_t n, size_t size,
                const char *indent)
{
    const char *heads[MAX_COLUMNS] = {NULL};
    size_t n_heads = 0;
    for (const struct column *c = columns; c->title || c->key; c++) {
        if (c->title && n_heads + 1 < MAX_COLUMNS)
            heads[n_heads++] = c->title;
    }
    struct table *table = table_new(heads);
    for (size_t i = 0; i < n; i++) {
        for (const struct column *c = columns; c->title || c->key; c++) {
            if (c->title)
                add_cell(table, c, (const char *)rows + i * size);
        }
    }
    table_print(table, stdout, indent);
    table_free(table);
}

json_object *row_json(const struct column *columns, const void *row)
{
    json_object *o = json_object_new_object();
    for (const struct column *c = columns; c->title || c->key; c++) {
        const char *member = (const char *)row + c->offset;
        if (!c->key)
            continue;
        if (c->kind == COLUMN_COUNT || c->kind == COLUMN_AMOUNT)
            object_put_integer(o, c->key, integer_at(member));
        else if (c->kind == COLUMN_YES)
            object_put_bool(o, c->key, *(const int *)(const void *)member == 1);
        else
            object_put_string(o, c->key, text_of(c, member));
    }
    return o;
}

json_object *rows_json(const struct column *columns, const void *rows, size_t n, size_t size)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, row_json(columns, (const char *)rows + i * size));
    return list;
}
